//! redis-rs: a multiplexed connection that tasks share, supervised, in front of a real redis.
#![cfg(target_os = "linux")]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reconnecting_stream::testing::{Direction, Fault, FaultProxy, Plan};
use reconnecting_stream::{
    Connect, Permanent, Reconnecting, ReconnectingStream, SharedReconnecting,
};
use reconnecting_stream_clients::policy::quick;
use reconnecting_stream_clients::tally::{Tally, under_faults};
use reconnecting_stream_tools::program::{Program, are_installed, free_port, tell};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisConnectionInfo, RedisError, cmd};
use tokio::net::TcpStream;

const CALLS: u64 = 4_000;
const RESETS: u64 = 40;
const MS: Duration = Duration::from_millis(1);
/// A call can be left in the channel of a client that ends, and then waits as long as a clone of the
/// client exists.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Starts a redis that has written a command to disk when it replies.
fn start(folder: &std::path::Path) -> Program {
    let port = free_port();
    let arguments = format!(
        "--port {port} --bind 127.0.0.1 --appendonly yes --appendfsync always --dir {}",
        folder.display()
    );
    Program::start("redis-server", port, arguments.split(' '))
}

/// Makes clients. A server that still loads its data is asked again later.
fn connector(address: SocketAddr) -> impl Connect<Io = MultiplexedConnection, Future: Send> + Send {
    move || async move {
        let client = redis::Client::open(format!("redis://{address}")).map_err(Permanent::new)?;
        let mut connection = client
            .get_multiplexed_async_connection()
            .await
            .map_err(refused)?;
        let ping = cmd("PING").query_async::<()>(&mut connection).await;
        ping.map_err(refused)?;
        connection.set_response_timeout(RESPONSE_TIMEOUT);
        Ok(connection)
    }
}

/// A wrong password stays wrong.
fn refused(error: RedisError) -> io::Error {
    match error.kind() {
        ErrorKind::AuthenticationFailed => Permanent::new(error).into(),
        _ => io::Error::other(error),
    }
}

/// Executes a command, on as many connections as it takes: for commands that do no harm if they
/// are executed twice, such as `GET` and `SET`, not `INCR` and `LPUSH`.
async fn execute<C, T>(redis: &SharedReconnecting<C>, command: &Cmd, tally: &Tally) -> io::Result<T>
where
    C: Connect<Io = MultiplexedConnection>,
    T: FromRedisValue,
{
    loop {
        let mut connection = redis.get().await?;
        match command.query_async(&mut *connection).await {
            Ok(reply) => return Ok(reply),
            Err(error) if error.is_unrecoverable_error() || error.is_timeout() => {
                connection.mark_lost(io::Error::other(error));
                tally.repeat();
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

fn set(number: u64) -> Cmd {
    let mut set = cmd("SET");
    set.arg(number).arg(format!("value of {number}"));
    set
}

fn get(number: u64) -> Cmd {
    let mut get = cmd("GET");
    get.arg(number);
    get
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervised_connection_of_redis_gives_each_task_its_own_replies() {
    if !are_installed(&["redis-server"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path());
    let proxy = FaultProxy::start(server.address()).await.unwrap();
    let builder = Reconnecting::builder(connector(proxy.addr())).policy(quick());
    let redis = builder.lazy().shared();
    let fault = async |number| {
        if number == RESETS / 2 {
            server.restart();
        } else {
            proxy.inject(Fault::Reset).await;
        }
    };
    let call = move |number, tally: Arc<Tally>| {
        let redis = redis.clone();
        async move {
            execute::<_, ()>(&redis, &set(number), &tally).await?;
            let value: Option<String> = execute(&redis, &get(number), &tally).await?;
            Ok(value == Some(format!("value of {number}")))
        }
    };
    let tally = under_faults(CALLS, RESETS, fault, call).await;
    tell(format_args!("redis-rs, {RESETS} resets: {tally}"));
    tally.assert_all_right(CALLS);
    assert!(tally.repeated() >= RESETS / 2, "{tally}");
}

/// The control: the same client over a hidden seam.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_a_multiplexed_connection_over_a_hidden_seam_gives_tasks_replies_of_others() {
    const CALLS: u64 = 400;
    if !are_installed(&["redis-server"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let proxy = FaultProxy::start(server.address()).await.unwrap();
    // Between two replies: after a cut inside of one, the client fails.
    proxy.default_plan(|_| Plan::new().after(907, Direction::ToClient, Fault::Reset));
    let address = proxy.addr();
    let stream = ReconnectingStream::builder(move || TcpStream::connect(address)).policy(quick());
    let stream = stream.connect().await.unwrap();
    let settings = RedisConnectionInfo::default();
    let connected = MultiplexedConnection::new(&settings, stream).await;
    let (mut connection, driver) = connected.unwrap();
    tokio::spawn(driver);
    // A call whose reply is lost would wait forever.
    connection.set_response_timeout(100 * MS);
    let call = move |number: u64, _| {
        let mut connection = connection.clone();
        async move {
            let number = 100 + number; // so that all replies have one length
            let mut echo = cmd("ECHO");
            let echo = echo.arg(number).query_async::<u64>(&mut connection);
            Ok(echo.await.map_err(io::Error::other)? == number)
        }
    };
    let tally = under_faults(CALLS, 0, async |_| (), call).await;
    let resets = proxy.stats().resets;
    tell(format_args!("control, {resets} resets: {tally}"));
    assert!(tally.right() < CALLS, "{tally}");
}
