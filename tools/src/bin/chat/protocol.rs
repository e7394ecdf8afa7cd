//! The lines that go to the server and back.

use std::fmt;
use std::str::FromStr;

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Who it is, and the last message of the room that it has.
    Login { name: String, after: usize },
    /// A message for the room, with the client's own number: 1, 2, 3...
    Say { number: usize, text: String },
}

/// What the server says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It has the client's messages up to this number.
    Got { number: usize },
    /// A message of the room, with its place among the messages of all members, from 1.
    Message { place: usize, message: Message },
}

/// A message of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) author: String,
    /// The author's own.
    pub(crate) number: usize,
    pub(crate) text: String,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login { name, after } => {
                write!(f, "I am {name}, send me everything after {after}")
            }
            Self::Say { number, text } => write!(f, "say {number} {text}"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Got { number } => write!(f, "got {number}"),
            Self::Message { place, message } => {
                let Message {
                    author,
                    number,
                    text,
                } = message;
                write!(f, "message {place} {author} {number} {text}")
            }
        }
    }
}

/// A line that no side has sent, such as a torn one.
#[derive(Debug)]
pub(crate) struct Torn;

impl FromStr for Request {
    type Err = Torn;

    fn from_str(line: &str) -> Result<Self, Torn> {
        if let Some(login) = line.strip_prefix("I am ") {
            let words = login.split_once(", send me everything after ");
            let (name, after) = words.ok_or(Torn)?;
            return Ok(Self::Login {
                name: name.into(),
                after: number(after)?,
            });
        }
        let say = line.strip_prefix("say ").ok_or(Torn)?;
        let (count, text) = say.split_once(' ').ok_or(Torn)?;
        Ok(Self::Say {
            number: number(count)?,
            text: text.into(),
        })
    }
}

impl FromStr for Answer {
    type Err = Torn;

    fn from_str(line: &str) -> Result<Self, Torn> {
        if let Some(got) = line.strip_prefix("got ") {
            return Ok(Self::Got {
                number: number(got)?,
            });
        }
        let message = line.strip_prefix("message ").ok_or(Torn)?;
        let words: Vec<_> = message.splitn(4, ' ').collect();
        let [place, author, count, text] = words[..] else {
            return Err(Torn);
        };
        Ok(Self::Message {
            place: number(place)?,
            message: Message {
                author: author.into(),
                number: number(count)?,
                text: text.into(),
            },
        })
    }
}

fn number(word: &str) -> Result<usize, Torn> {
    word.parse().map_err(|_| Torn)
}

/// Returns the text of an author under this number. The receiver computes it, too, and so notices
/// any wrong byte. Long and short ones alternate.
pub(crate) fn text(author: &str, number: usize) -> String {
    let filler = " word".repeat(number * 37 % 120);
    format!("this is {author}, number {number}:{filler} and this is the end")
}

/// Whether it is what its author said.
pub(crate) fn is_whole(message: &Message) -> bool {
    message.text == text(&message.author, message.number)
}
