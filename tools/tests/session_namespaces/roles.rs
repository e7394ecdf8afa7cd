//! The processes in the namespaces.

use std::env;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use reconnecting_stream::testing::{Direction, Fault, FaultProxy, Plan};
use reconnecting_stream::{
    Backoff, Connect, Endpoint, Event, Policy, ResumableListener, ResumableStream, SessionOptions,
    State, TcpConnector,
};
use reconnecting_stream_tools::lab::pattern::Place;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::process::ROLE;
use super::{FIRST, PORT, SECOND};

/// Long enough for a busy machine; nothing waits for it unless it fails.
const DEADLINE: Duration = Duration::from_secs(60);
const MS: Duration = Duration::from_millis(1);
const CHUNK: usize = 10_000;
const CHUNKS: usize = 200;

/// Not a test, but a part of them.
#[tokio::test]
async fn this_process_is_an_end_if_a_test_started_it() {
    let Ok(role) = env::var(ROLE) else { return };
    let work = async {
        match role.as_str() {
            "server" => serve(options()).await,
            "patient server" => {
                let patience = Duration::from_secs(300);
                serve(options().ping_after(patience).dead_after(patience)).await
            }
            "client" => {
                let endpoints = [FIRST, SECOND].map(|ip| Endpoint::from((ip, PORT)));
                talk(TcpConnector::any_of(endpoints)).await
            }
            "slow client" => talk_through_a_proxy().await,
            other => panic!("{other}"),
        }
    };
    timeout(DEADLINE, work).await.expect("it hangs").unwrap();
}

fn options() -> SessionOptions {
    SessionOptions::new()
        .ping_after(300 * MS)
        .dead_after(600 * MS)
        .max_resumes_per_second(u32::MAX)
}

/// Sends back what comes. Says when a connection is lost.
async fn serve(options: SessionOptions) -> io::Result<()> {
    let listener = ResumableListener::builder().options(options);
    let listener = listener.bind(("0.0.0.0", PORT)).await?;
    println!("<listening> {PORT}");
    let stream = listener.accept().await?;
    let mut states = stream.handle().subscribe();
    tokio::spawn(async move {
        let is_lost = |state: &State| !matches!(state, State::Connected { .. });
        let _ = states.wait_for(is_lost).await;
        println!("<lost> ");
    });
    let (mut reader, mut writer) = stream.into_split();
    tokio::io::copy(&mut reader, &mut writer).await?;
    writer.shutdown().await?;
    println!("<served> ");
    // The peer may be behind a wire that is cut.
    sleep(Duration::from_secs(10)).await;
    Ok(())
}

/// Through a proxy on this host that delays everything and cuts every connection.
async fn talk_through_a_proxy() -> io::Result<()> {
    let server = SocketAddr::new(FIRST.parse().unwrap(), PORT);
    let proxy = FaultProxy::start(server).await?;
    proxy.default_plan(|_| {
        let slow = Plan::new().on_accept(Fault::Delay(40 * MS));
        slow.after(300_000, Direction::ToServer, Fault::Reset)
    });
    let address = proxy.addr();
    talk(move || TcpStream::connect(address)).await
}

/// Writes everything at a steady pace, and checks that it comes back.
async fn talk<C>(connector: C) -> io::Result<()>
where
    C: Connect<Io = TcpStream, Future: Send + 'static> + Send + 'static,
{
    let policy = Policy::default()
        .backoff(Backoff::constant(20 * MS))
        .attempt_timeout(500 * MS)
        .max_attempts(None);
    let stream = ResumableStream::builder(connector)
        .policy(policy)
        .options(options())
        .on_event(|event: &Event| {
            if let Event::Lost { cause, .. } = event {
                println!("<lost> {cause}");
            }
        })
        .connect()
        .await?;
    let handle = stream.handle();
    let (mut reader, mut writer) = stream.into_split();
    let write = async {
        for number in 0..CHUNKS {
            let place = Place::beginning(1).after(number * CHUNK);
            let chunk: Vec<u8> = place.bytes().take(CHUNK).collect();
            writer.write_all(&chunk).await?;
            sleep(10 * MS).await;
        }
        writer.shutdown().await
    };
    let read = async {
        for number in 0..CHUNKS {
            let mut chunk = vec![0; CHUNK];
            reader.read_exact(&mut chunk).await?;
            let place = Place::beginning(1).after(number * CHUNK);
            assert_eq!(place.matches(&chunk), CHUNK, "wrong bytes");
            if number == 10 {
                println!("<moving> ");
            }
        }
        assert_eq!(reader.read(&mut [0; 8]).await?, 0, "bytes after the end");
        if let State::Connected { generation } = handle.state() {
            println!("<complete> {generation}");
        }
        Ok(())
    };
    tokio::try_join!(write, read)?;
    Ok(())
}
