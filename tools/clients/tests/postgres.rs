//! tokio-postgres: a client that tasks share, supervised, in front of a real postgres.
#![cfg(target_os = "linux")]

#[path = "postgres/server.rs"]
mod server;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use reconnecting_stream::testing::{Fault, FaultProxy};
use reconnecting_stream::{Connect, Permanent, Reconnecting, SharedReconnecting};
use reconnecting_stream_clients::policy::quick;
use reconnecting_stream_clients::tally::{Tally, under_faults};
use reconnecting_stream_tools::program::tell;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, NoTls};

use server::Postgres;

const CALLS: u64 = 2_000;
const RESETS: u64 = 40;

/// Makes clients. Each one's task ends with its connection.
fn connector(address: SocketAddr) -> impl Connect<Io = Arc<Client>, Future: Send> + Send {
    move || async move {
        let (host, port) = (address.ip(), address.port());
        let config = format!("host={host} port={port} user=postgres dbname=postgres");
        let connected = tokio_postgres::connect(&config, NoTls).await;
        let (client, connection) = connected.map_err(refused)?;
        tokio::spawn(connection);
        // What belongs to a connection (settings, prepared statements, LISTEN) is made here.
        Ok(Arc::new(client))
    }
}

/// A wrong password stays wrong. A server that starts (57P03) does not.
fn refused(error: Error) -> io::Error {
    match error.code() {
        Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
            Permanent::new(error).into()
        }
        _ => io::Error::other(error),
    }
}

/// Whether the client is of no more use: its connection has ended, or the server ends it.
fn is_lost(client: &Client, error: &Error) -> bool {
    let ends = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN];
    let is_ended = error.code().is_some_and(|code| ends.contains(code));
    is_ended || error.is_closed() || client.is_closed()
}

/// Executes statements, on as many connections as it takes: for statements that do no harm if they
/// are executed twice. It is unknown whether those that have failed were executed.
async fn execute<C, T, Ended>(
    postgres: &SharedReconnecting<C>,
    tally: &Tally,
    statements: impl Fn(Arc<Client>) -> Ended,
) -> io::Result<T>
where
    C: Connect<Io = Arc<Client>>,
    Ended: Future<Output = Result<T, Error>>,
{
    loop {
        let client = postgres.get().await?;
        match statements(Arc::clone(&*client)).await {
            Ok(rows) => return Ok(rows),
            Err(error) if is_lost(&client, &error) => {
                client.mark_lost(io::Error::other(error));
                tally.repeat();
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

/// Inserts a row once, however often it is called, and reads it.
async fn insert_and_read(client: Arc<Client>, number: i64) -> Result<String, Error> {
    let value = format!("value of {number}");
    let insert = "INSERT INTO numbers VALUES ($1, $2) ON CONFLICT DO NOTHING";
    client.execute(insert, &[&number, &value]).await?;
    let select = "SELECT value FROM numbers WHERE number = $1";
    let row = client.query_one(select, &[&number]).await?;
    row.try_get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervised_client_of_postgres_gives_each_task_its_own_rows() {
    let Some(mut server) = Postgres::start() else {
        return;
    };
    let proxy = FaultProxy::start(server.address()).await.unwrap();
    let builder = Reconnecting::builder(connector(proxy.addr())).policy(quick());
    let postgres = builder.lazy().shared();
    let client = postgres.get().await.unwrap();
    let create = "CREATE TABLE numbers (number BIGINT PRIMARY KEY, value TEXT NOT NULL)";
    client.batch_execute(create).await.unwrap();
    let fault = async |number| {
        if number == RESETS / 2 {
            server.restart();
        } else {
            proxy.inject(Fault::Reset).await;
        }
    };
    let caller = postgres.clone();
    let call = move |number, tally: Arc<Tally>| {
        let postgres = caller.clone();
        async move {
            let number = i64::try_from(number).unwrap();
            let statements = |client| insert_and_read(client, number);
            let value = execute(&postgres, &tally, statements).await?;
            Ok(value == format!("value of {number}"))
        }
    };
    let tally = under_faults(CALLS, RESETS, fault, call).await;
    let client = postgres.get().await.unwrap();
    let count = client.query_one("SELECT count(*) FROM numbers", &[]).await;
    let rows: i64 = count.unwrap().get(0);
    tell(format_args!(
        "tokio-postgres, {RESETS} resets: {tally}, {rows} rows"
    ));
    tally.assert_all_right(CALLS);
    assert!(tally.repeated() >= RESETS / 2, "{tally}");
    assert_eq!(u64::try_from(rows).unwrap(), CALLS);
}
