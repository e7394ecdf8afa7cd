//! TLS around a connector. A session is resumed on the next connection.
//!
//! `cargo run --example tls --features rustls` starts the server itself.

use std::error::Error;
use std::io;
use std::sync::Arc;

use reconnecting_stream::{ReconnectingStream, TlsConnector};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let acceptor = acceptor(certificate.clone(), key)?;
    tokio::spawn(serve(listener, acceptor));

    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost")?;
    // The name is checked against the certificate, wherever the inner connector connects to.
    let connector = TlsConnector::new(move || TcpStream::connect(address), name, config);
    let mut stream = ReconnectingStream::connect(connector).await?;
    for _ in 0..3 {
        let letter = char::from(stream.read_u8().await?);
        let tls = stream.get_ref().ok_or("no connection")?.get_ref().1;
        let handshake = tls.handshake_kind();
        println!(
            "connection {}: {letter}, {handshake:?}",
            stream.generation()
        );
    }
    Ok(())
}

fn acceptor(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Result<TlsAcceptor, Box<dyn Error>> {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(Arc::new(config).into())
}

/// Sends one letter on each connection and closes it.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor) -> io::Result<()> {
    for letter in b'a'..=b'z' {
        let mut stream = acceptor.accept(listener.accept().await?.0).await?;
        stream.write_all(&[letter]).await?;
        stream.shutdown().await?;
    }
    Ok(())
}
