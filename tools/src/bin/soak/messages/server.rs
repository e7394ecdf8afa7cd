//! A server that checks messages, and sends them back.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::codec::Framed;

use super::Spec;
use super::content::{codec, number};
use reconnecting_stream_tools::lab::Failure;
use reconnecting_stream_tools::lab::extents::Extents;

/// What the server has got.
#[derive(Debug, Default)]
pub(super) struct Got {
    /// Above all that were received.
    pub(super) next: u64,
    pub(super) received: u64,
    pub(super) twice: u64,
    /// Of the connections that have ended.
    extents: Extents<u64>,
    /// What a connection has got so far.
    live: BTreeMap<u64, (u64, u64)>,
    pub(super) wrong: Option<Failure>,
}

impl Got {
    fn take(&mut self, spec: Spec, connection: u64, number: u64) -> Result<(), Failure> {
        let (_, next) = *self.live.entry(connection).or_insert((number, number));
        let is_next = match spec.is_confirmed() {
            true => number == next && number <= self.next,
            false => number >= next,
        };
        if !is_next {
            let above = self.next;
            return Err(format!(
                "{number} came on {connection}, not {next}, {above}"
            ));
        }
        self.live
            .entry(connection)
            .and_modify(|(_, next)| *next = number + 1);
        self.received += 1;
        self.twice += u64::from(spec.is_confirmed() && number < self.next);
        self.next = self.next.max(number + 1);
        Ok(())
    }

    /// Without confirmations a connection begins where the one before has ended, or later.
    fn end(&mut self, spec: Spec, connection: u64) -> Result<(), Failure> {
        match self.live.remove(&connection) {
            Some((first, next)) if !spec.is_confirmed() => {
                self.extents.note(connection, first, next)
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn check(&self) -> Result<(), Failure> {
        match &self.wrong {
            Some(failure) => Err(format!("at the server, {failure}")),
            None => Ok(()),
        }
    }
}

pub(super) type Ledger = Arc<watch::Sender<Got>>;

pub(super) async fn serve(spec: Spec, listener: TcpListener, ledger: Ledger) {
    let mut connections = JoinSet::new();
    loop {
        if let Ok((socket, _)) = listener.accept().await {
            while connections.try_join_next().is_some() {}
            connections.spawn(answer(spec, socket, Arc::clone(&ledger)));
        }
    }
}

async fn answer(spec: Spec, mut socket: TcpStream, ledger: Ledger) {
    let Ok(connection) = socket.read_u64().await else {
        return;
    };
    let mut framed = Framed::new(socket, codec());
    while let Some(arrived) = framed.next().await {
        let taken = match arrived {
            Ok(bytes) => number(&bytes).map(|number| (number, bytes)),
            Err(error) if error.kind() == ErrorKind::InvalidData => Err(error.to_string()),
            // The connection has died.
            Err(_) => break,
        };
        let answer = taken.and_then(|(number, bytes)| {
            let mut taken = Ok(());
            ledger.send_modify(|got| taken = got.take(spec, connection, number));
            taken.map(|()| bytes.freeze())
        });
        let is_answered = match answer {
            Ok(bytes) => framed.send(bytes).await.is_ok(),
            Err(failure) => {
                ledger.send_modify(|got| got.wrong = Some(failure));
                false
            }
        };
        if !is_answered {
            break;
        }
    }
    ledger.send_modify(|got| {
        let ended = got.end(spec, connection);
        got.wrong = got.wrong.take().or(ended.err());
    });
}
