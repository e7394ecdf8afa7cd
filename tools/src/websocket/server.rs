//! A publisher that is cruel to its subscribers.

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
/// How many messages a connection carries before its fate.
const PATIENCE: u64 = 100;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// RST.
    Reset,
    /// FIN, without a word.
    Drop,
    /// The `Close` frame of the protocol, then FIN.
    Close,
    /// It stays open, and nobody answers.
    Silence,
    /// 503 to the handshake.
    Refuse,
}

impl Fate {
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
    let blah: String = (0..number * 37 % 120).map(|_| " blah").collect();
    format!("{number}:{blah}")
}

/// Each connection has the next of these fates, by turns. There are `messages` to publish: a
/// connection that has carried the last one is kept until its subscriber closes it.
pub async fn run(listener: TcpListener, fates: &[Fate], messages: u64) -> io::Result<()> {
    for fate in fates.iter().copied().cycle() {
        let (io, _) = listener.accept().await?;
        // A subscriber that is gone comes back, or not: it is up to the subscriber.
        tokio::spawn(async move { publish(io, fate, messages).await });
    }
    Ok(())
}

async fn publish(io: TcpStream, fate: Fate, messages: u64) -> Result<(), Error> {
    // tungstenite wants it like this.
    #[allow(clippy::result_large_err)]
    let check = |request: &Request, response: Response| match check(request, fate) {
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
    let until = messages.min(after + PATIENCE);
    for number in after + 1..=until {
        socket.feed(Message::text(message(number))).await?;
    }
    socket.flush().await?;
    if until < messages {
        match fate {
            Fate::Reset => socket.get_ref().set_zero_linger()?,
            Fate::Drop | Fate::Refuse => {}
            Fate::Close => socket.close(None).await?,
            Fate::Silence => std::future::pending().await,
        }
        return Ok(());
    }
    while let Some(message) = socket.next().await {
        message?;
    }
    Ok(())
}

fn check(request: &Request, fate: Fate) -> StatusCode {
    let token = request.headers().get("authorization");
    if token.is_none_or(|token| token != TOKEN) {
        StatusCode::UNAUTHORIZED
    } else if fate == Fate::Refuse {
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
