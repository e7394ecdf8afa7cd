//! A publisher that ends its connections in several ways.

use std::io;
use std::net::SocketAddr;

use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// The password of the subscribers.
pub const TOKEN: &str = "let me in";
/// How many messages a connection carries before it ends.
const MESSAGES_PER_CONNECTION: u64 = 100;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// RST.
    Reset,
    /// FIN, without a word.
    Drop,
    /// The `Close` frame of the protocol, then FIN.
    Close,
    /// It stays open, and the server does not answer.
    Silence,
    /// 503 to the handshake.
    Refuse,
}

impl Ending {
    pub const ALL: [Self; 5] = [
        Self::Reset,
        Self::Drop,
        Self::Close,
        Self::Silence,
        Self::Refuse,
    ];
}

pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // For a server that is restarted.
    socket.set_reuseaddr(cfg!(not(windows)))?;
    socket.bind(address)?;
    socket.listen(16)
}

/// The message of this number: its reader knows it, too.
pub fn message(number: u64) -> String {
    let filler = " word".repeat(usize::try_from(number * 37 % 120).unwrap_or_default());
    format!("{number}:{filler}")
}

/// Each connection has the next of these endings, by turns. There are `messages` to publish: a
/// connection that has carried the last one is kept until its subscriber closes it.
pub async fn run(listener: TcpListener, endings: &[Ending], messages: u64) -> io::Result<()> {
    for ending in endings.iter().copied().cycle() {
        let (io, _) = listener.accept().await?;
        // A subscriber that is gone reconnects by itself.
        tokio::spawn(async move { publish(io, ending, messages).await });
    }
    Ok(())
}

async fn publish(io: TcpStream, ending: Ending, messages: u64) -> Result<(), Error> {
    // tungstenite wants it like this.
    #[allow(clippy::result_large_err)]
    let check = |request: &Request, response: Response| match check(request, ending) {
        StatusCode::OK => Ok(response),
        status => {
            let mut refusal = ErrorResponse::new(None);
            *refusal.status_mut() = status;
            Err(refusal)
        }
    };
    let mut socket = accept_hdr_async(io, check).await?;
    let Some(after) = subscription(&mut socket).await? else {
        return Ok(());
    };
    let until = messages.min(after + MESSAGES_PER_CONNECTION);
    for number in after + 1..=until {
        socket.feed(Message::text(message(number))).await?;
    }
    socket.flush().await?;
    if until < messages {
        match ending {
            Ending::Reset => socket.get_ref().set_zero_linger()?,
            Ending::Drop | Ending::Refuse => {}
            Ending::Close => socket.close(None).await?,
            Ending::Silence => std::future::pending().await,
        }
        return Ok(());
    }
    while let Some(message) = socket.next().await {
        message?;
    }
    Ok(())
}

fn check(request: &Request, ending: Ending) -> StatusCode {
    let token = request.headers().get("authorization");
    if token.is_none_or(|token| token != TOKEN) {
        StatusCode::UNAUTHORIZED
    } else if ending == Ending::Refuse {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    }
}

/// Up to which message the subscriber has them all.
async fn subscription(socket: &mut WebSocketStream<TcpStream>) -> Result<Option<u64>, Error> {
    let Some(first) = socket.next().await.transpose()? else {
        return Ok(None);
    };
    let after = first.to_text()?.strip_prefix("subscribe after ");
    Ok(after.and_then(|after| after.parse().ok()))
}
