//! An SSH server that knows one command, `echo`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PublicKey};
use russh::server::{Auth, Config, Handler, Msg, Session, run_stream};
use russh::{Channel, ChannelId, CryptoVec, Error};
use tokio::net::TcpListener;

struct Echo {
    password: &'static str,
}

impl Handler for Echo {
    type Error = Error;

    async fn auth_password(&mut self, _user: &str, password: &str) -> Result<Auth, Error> {
        match password == self.password {
            true => Ok(Auth::Accept),
            false => Ok(Auth::reject()),
        }
    }

    async fn channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        _session: &mut Session,
    ) -> Result<bool, Error> {
        Ok(true)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Error> {
        let mut output = command.strip_prefix(b"echo ").unwrap_or_default().to_vec();
        output.push(b'\n');
        session.channel_success(channel)?;
        session.data(channel, CryptoVec::from(output))?;
        session.exit_status_request(channel, 0)?;
        session.eof(channel)?;
        session.close(channel)
    }
}

/// Starts a server. Returns its address and its key.
pub(crate) async fn serve(password: &'static str) -> io::Result<(SocketAddr, PublicKey)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&[42; 32]));
    let public_key = key.public_key().clone();
    let config = Arc::new(Config {
        keys: vec![key],
        auth_rejection_time: Duration::ZERO,
        ..Config::default()
    });
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let session = run_stream(Arc::clone(&config), socket, Echo { password });
            tokio::spawn(async move { session.await?.await });
        }
    });
    Ok((address, public_key))
}
