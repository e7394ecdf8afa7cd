//! russh: a session that tasks share, supervised. Each command has a channel of its own.

#[path = "ssh/server.rs"]
mod server;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reconnecting_stream::testing::{Fault, FaultProxy};
use reconnecting_stream::{Connect, Permanent, Reconnecting, SharedReconnecting};
use reconnecting_stream_clients::policy::quick;
use reconnecting_stream_clients::tally::{Tally, outage, under_faults};
use reconnecting_stream_tools::program::tell;
use russh::client::{Config, Handle, Handler, connect};
use russh::keys::PublicKey;
use russh::{ChannelMsg, Error};
use tokio::time::timeout;

const CALLS: u64 = 2_000;
const RESETS: u64 = 40;
const PASSWORD: &str = "secret";
/// A message can be left in the channel of a session that ends.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);

/// Trusts one key.
struct Trusts(PublicKey);

impl Handler for Trusts {
    type Error = Error;

    async fn check_server_key(&mut self, key: &PublicKey) -> Result<bool, Error> {
        Ok(key.key_data() == self.0.key_data())
    }
}

/// Makes sessions that are logged in. A wrong key and a wrong password stay wrong.
fn connector(
    address: SocketAddr,
    key: PublicKey,
    password: &'static str,
) -> impl Connect<Io = Arc<Handle<Trusts>>, Future: Send> + Send {
    let config = Arc::new(Config {
        // What detects a server that is silent.
        keepalive_interval: Some(Duration::from_secs(10)),
        ..Config::default()
    });
    move || {
        let (config, trusts) = (Arc::clone(&config), Trusts(key.clone()));
        async move {
            let session = connect(config, address, trusts).await;
            let mut session = session.map_err(refused)?;
            let login = session.authenticate_password("user", password).await;
            match login.map_err(refused)?.success() {
                true => Ok(Arc::new(session)),
                false => Err(Permanent::new("the server refused the password").into()),
            }
        }
    }
}

fn refused(error: Error) -> io::Error {
    match error {
        Error::UnknownKey => Permanent::new(error).into(),
        error => io::Error::other(error),
    }
}

/// A channel that is refused says nothing about the session.
fn is_lost(error: &Error) -> bool {
    !matches!(error, Error::ChannelOpenFailure(_))
}

/// Runs a command, in as many sessions as it takes: for commands that do no harm if they run twice.
async fn run<C>(ssh: &SharedReconnecting<C>, command: &str, tally: &Tally) -> io::Result<String>
where
    C: Connect<Io = Arc<Handle<Trusts>>>,
{
    loop {
        let session = ssh.get().await?;
        let ran = timeout(COMMAND_TIMEOUT, run_once(&session, command)).await;
        match ran.unwrap_or(Err(Error::ConnectionTimeout)) {
            Ok(output) => return Ok(output),
            Err(error) if is_lost(&error) => {
                session.mark_lost(io::Error::other(error));
                tally.repeat();
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

/// Runs a command. Without its exit status, the output is not complete.
async fn run_once(session: &Handle<Trusts>, command: &str) -> Result<String, Error> {
    let mut channel = session.channel_open_session().await?;
    channel.exec(true, command).await?;
    let (mut output, mut status) = (Vec::new(), None);
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } => output.extend_from_slice(&data),
            ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
            _ => {}
        }
    }
    status.ok_or(Error::Disconnect)?;
    Ok(String::from_utf8_lossy(&output).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervised_session_of_ssh_gives_each_task_its_own_output() {
    let (address, key) = server::serve(PASSWORD).await.unwrap();
    let proxy = FaultProxy::start(address).await.unwrap();
    let builder = Reconnecting::builder(connector(proxy.addr(), key, PASSWORD)).policy(quick());
    let ssh = builder.lazy().shared();
    let fault = async |number| match number {
        _ if number == RESETS / 2 => outage(&proxy).await,
        _ => drop(proxy.inject(Fault::Reset).await),
    };
    let call = move |number: u64, tally: Arc<Tally>| {
        let ssh = ssh.clone();
        async move {
            let output = run(&ssh, &format!("echo {number}"), &tally).await?;
            Ok(output == format!("{number}\n"))
        }
    };
    let tally = under_faults(CALLS, RESETS, fault, call).await;
    tell(format_args!("russh, {RESETS} resets: {tally}"));
    tally.assert_all_right(CALLS);
    assert!(tally.repeated() >= RESETS / 2, "{tally}");
}

#[tokio::test]
async fn a_wrong_password_of_ssh_is_not_tried_again() {
    let (address, key) = server::serve(PASSWORD).await.unwrap();
    let builder = Reconnecting::builder(connector(address, key, "wrong")).policy(quick());
    let mut ssh = builder.lazy();
    let refused = ssh.get().await.err().unwrap().to_string();
    assert!(refused.contains("refused the password"), "{refused}");
}
