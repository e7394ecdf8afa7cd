//! The two ends of a raw connection and of a session, over TCP and over TLS.

use std::io;
use std::sync::Arc;

use reconnecting_stream::{Accepted, ResumableListener, Sessions};
use reconnecting_stream_tools::certificates::{Authority, client_that_trusts, name};
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::work::{answer, runtime};

/// What a raw connection and a session run over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Tcp,
    Tls,
}

/// Where the other ends listen, and the certificate of their authority.
#[derive(Clone, Debug)]
pub(crate) struct FarEnd {
    /// Raw over TCP, sessions over TCP, raw over TLS, sessions over TLS.
    ports: [u16; 4],
    authority: CertificateDer<'static>,
}

impl FarEnd {
    /// Writes it in one line.
    fn to_line(&self) -> String {
        let ports = self.ports.map(|port| port.to_string()).join(" ");
        let bytes = self.authority.iter().map(ToString::to_string);
        format!("{ports} {}", bytes.collect::<Vec<_>>().join(" "))
    }

    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let mut ports = [0; 4];
        for port in &mut ports {
            *port = words.next()?.parse().ok()?;
        }
        let bytes: Option<Vec<u8>> = words.map(|word| word.parse().ok()).collect();
        let authority = bytes?.into();
        Some(Self { ports, authority })
    }
}

/// Serves in this process, and prints where.
pub(crate) fn serve() -> io::Result<()> {
    runtime()?.block_on(async {
        println!("{}", listen().await?.to_line());
        std::future::pending().await
    })
}

pub(crate) async fn listen() -> io::Result<FarEnd> {
    let authority = Authority::new();
    let tls = TlsAcceptor::from(Arc::new(authority.server()));
    let sessions = ResumableListener::bind("127.0.0.1:0").await?;
    let session_port = sessions.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok(stream) = sessions.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    let raw_tls = tls.clone();
    let over_tls = Sessions::new(Default::default());
    let ports = [
        accept(|socket| async { answer(socket).await }).await?,
        session_port,
        accept(move |socket| {
            let tls = raw_tls.clone();
            async move { answer(tls.accept(socket).await?).await }
        })
        .await?,
        accept(move |socket| {
            let (tls, sessions) = (tls.clone(), over_tls.clone());
            async move {
                match sessions.accept(tls.accept(socket).await?).await? {
                    Accepted::New(stream) => answer(stream).await,
                    _ => Ok(()),
                }
            }
        })
        .await?,
    ];
    let authority = authority.certificate();
    Ok(FarEnd { ports, authority })
}

/// Serves the sockets of a new port.
async fn accept<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> io::Result<u16>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let _ = socket.set_nodelay(true);
            tokio::spawn(serve(socket));
        }
    });
    Ok(port)
}

/// Makes the client's end of connections.
#[derive(Clone)]
pub(crate) struct Dial {
    port: u16,
    connector: TlsConnector,
}

impl Dial {
    pub(crate) fn new(far: &FarEnd, over: Over, is_session: bool) -> Self {
        let config = client_that_trusts(far.authority.clone());
        Self {
            port: far.ports[2 * usize::from(over == Over::Tls) + usize::from(is_session)],
            connector: TlsConnector::from(Arc::new(config)),
        }
    }

    pub(crate) async fn tcp(self) -> io::Result<TcpStream> {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).await?;
        socket.set_nodelay(true)?;
        Ok(socket)
    }

    pub(crate) async fn tls(self) -> io::Result<TlsStream<TcpStream>> {
        let connector = self.connector.clone();
        connector.connect(name(), self.tcp().await?).await
    }
}
