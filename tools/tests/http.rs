//! HTTP under a stream that reconnects: the recipe `http`, with servers that are
//! killed, and what happens to hyper without it.
#![cfg(target_os = "linux")]

#[path = "http/hyper_alone.rs"]
mod hyper_alone;

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use reconnecting_stream::{
    Backoff, Connect, ConnectionLost, Policy, ReconnectingStream, Seam, State,
};
use reconnecting_stream_tools::http::client::{Client, Failure, Work, client};
use reconnecting_stream_tools::http::server;
use reconnecting_stream_tools::program::{Program, are_installed, free_port, tell};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const MS: Duration = Duration::from_millis(1);

fn quick() -> Policy {
    Policy::default()
        .backoff(Backoff::constant(2 * MS))
        // A busy machine needs seconds to restart a server.
        .max_attempts(None)
}

fn request(method: Method, path: &str, body: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap()
}

/// The recipe over TCP.
fn start(address: std::net::SocketAddr) -> (Client, JoinHandle<io::Result<Work>>) {
    let stream = ReconnectingStream::builder(move || TcpStream::connect(address))
        .policy(quick())
        .seam(Seam::Error)
        .lazy();
    let (client, worker) = client(stream);
    (client, tokio::spawn(worker.run()))
}

async fn ask(client: &Client, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Failure> {
    timeout(DEADLINE, client.ask(request))
        .await
        .expect("it hangs")
}

/// Set for the process that plays the server: its port.
const SERVER: &str = "RECONNECTING_STREAM_TEST_SERVER";

/// Not a test, but the server of one, in a process of its own: this file, run again.
#[tokio::test]
async fn this_process_is_the_server_if_a_test_started_it() {
    let Ok(port) = std::env::var(SERVER) else {
        return;
    };
    let address = (Ipv4Addr::LOCALHOST, port.parse().unwrap()).into();
    let listener = server::listen(address).unwrap();
    server::run(listener, Arc::default()).await.unwrap();
}

fn server_process_on(port: u16) -> Program {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "this_process_is_the_server_if_a_test_started_it",
            "--nocapture",
        ])
        .env(SERVER, port.to_string());
    Program::from_command(command, port)
}

#[tokio::test]
async fn responses_belong_to_their_requests_though_the_server_is_killed_and_injects_faults() {
    const REQUESTS: u32 = 2000;
    let mut program = server_process_on(free_port());
    let (client, worker) = start(program.address());
    let (mut wrong, mut kills) = (0, 0);
    let kill_every = REQUESTS / 10;
    for number in 0..REQUESTS {
        let path = format!("/{number}");
        let body = "x".repeat(number as usize * 37 % 5000);
        let asking = ask(&client, request(Method::PUT, &path, &body));
        let answer = if number % kill_every == kill_every / 2 {
            kills += 1;
            // In the middle of a request, in most cases.
            let (answer, ()) = tokio::join!(asking, async {
                tokio::task::yield_now().await;
                program.restart();
            });
            answer
        } else {
            asking.await
        };
        let right = server::answer_to(&path, body.as_bytes());
        wrong += u32::from(answer.unwrap().body() != right.as_bytes());
    }
    drop(client);
    let work = worker.await.unwrap().unwrap();
    tell(format_args!(
        "{REQUESTS} requests sent, {} answers received, {wrong} wrong, 0 missing, \
         {} requests repeated, {} kept, {kills} kills",
        work.answered, work.repeated, work.kept
    ));
    assert_eq!((wrong, work.answered, work.failed), (0, REQUESTS, 0));
    // The server resets one in 75 requests and cuts another one.
    assert!(work.repeated >= 2 * REQUESTS / 75 - kills, "{work:?}");
    assert!(work.kept > 0, "{work:?}");
}

#[tokio::test]
async fn a_post_is_not_repeated_and_continues_if_it_never_left() {
    let listener = server::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let stats = Arc::new(server::Stats::default());
    let server = tokio::spawn(server::run(listener, Arc::clone(&stats)));
    let (client, worker) = start(address);
    let mut failed = 0;
    for number in 0..300 {
        let answer = ask(&client, request(Method::POST, &format!("/{number}"), "")).await;
        failed += u32::from(answer.is_err());
    }
    drop(client);
    let work = worker.await.unwrap().unwrap();
    server.abort();
    let executed = stats.executed.load(std::sync::atomic::Ordering::Relaxed);
    tell(format_args!(
        "300 POSTs sent, {} answered, {failed} failed, {executed} executed",
        work.answered
    ));
    // By turns 25 requests until a reset, a cut, a close: 4 times each.
    assert_eq!((executed, failed, work.failed), (300, 8, 8));
    assert_eq!((work.answered, work.repeated), (292, 0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_closed_between_requests_costs_no_request() {
    let (connector, mut peers) = duplexes();
    let stream = ReconnectingStream::builder(connector)
        .policy(quick())
        .seam(Seam::Error)
        .lazy();
    let (client, worker) = client(stream);
    let worker = tokio::spawn(worker.run());
    for _ in 0..10 {
        let asking = client.ask(request(Method::POST, "/", ""));
        let answering = async {
            let mut peer = peers.recv().await.unwrap();
            peer.receive_head().await;
            peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await;
            peer
        };
        let (answer, peer) = tokio::join!(asking, answering);
        assert_eq!(answer.unwrap().body(), "ok");
        drop(peer);
        tokio::time::sleep(HOUR).await;
        assert!(peers.try_recv().is_err(), "no connection without a request");
    }
    drop(client);
    let work = worker.await.unwrap().unwrap();
    assert_eq!((work.answered, work.repeated, work.failed), (10, 0, 0));
}

const NGINX: &str = "
daemon off;
pid nginx.pid;
error_log stderr crit;
events {}
http {
    access_log off;
    keepalive_requests 20;
    # Kept where the test can remove them.
    client_body_temp_path temp;
    proxy_temp_path temp;
    fastcgi_temp_path temp;
    uwsgi_temp_path temp;
    scgi_temp_path temp;
    server {
        listen 127.0.0.1:PORT;
        location / { return 200 \"$request_uri in connection $connection\"; }
    }
}";

/// It closes each connection after 20 answers, is reloaded, and is killed.
#[tokio::test]
async fn requests_to_nginx_succeed_through_reloads_and_kills() {
    const REQUESTS: u32 = 1000;
    if !are_installed(&["nginx"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let config = NGINX.replace("PORT", &port.to_string());
    fs::write(folder.path().join("nginx.conf"), config).unwrap();
    let prefix = folder.path().to_str().unwrap();
    let args = ["-p", prefix, "-c", "nginx.conf", "-e", "stderr"];
    let mut nginx = Program::start("nginx", port, args);
    let (client, worker) = start(nginx.address());
    let (mut wrong, mut kills, mut reloads) = (0, 0, 0);
    for number in 0..REQUESTS {
        match number % 100 {
            33 => {
                nginx.hang_up();
                reloads += 1;
            }
            66 => {
                nginx.restart();
                kills += 1;
            }
            _ => {}
        }
        let path = format!("/{number}");
        let answer = ask(&client, request(Method::GET, &path, "")).await.unwrap();
        let is_right = answer.body().starts_with(format!("{path} in").as_bytes());
        wrong += u32::from(!is_right || answer.status() != StatusCode::OK);
    }
    drop(client);
    let work = worker.await.unwrap().unwrap();
    tell(format_args!(
        "{REQUESTS} requests sent, {} answers received, {wrong} wrong, 0 missing, \
         {} requests repeated, {} kept, {kills} kills, {reloads} reloads",
        work.answered, work.repeated, work.kept
    ));
    assert_eq!((wrong, work.answered, work.failed), (0, REQUESTS, 0));
    assert!(
        work.kept >= REQUESTS / 20 / 2,
        "it closes after 20: {work:?}"
    );
}

/// The server's end of a connection that was made in memory.
struct Peer(DuplexStream);

impl Peer {
    async fn receive_head(&mut self) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }
}

fn duplexes() -> (
    impl Connect<Io = DuplexStream, Future: Send> + Send,
    mpsc::UnboundedReceiver<Peer>,
) {
    let (accepted, peers) = mpsc::unbounded_channel();
    let connector = move || {
        let (io, peer) = duplex(64 * 1024);
        let is_up = accepted.send(Peer(peer));
        async move { is_up.map(|()| io).map_err(io::Error::other) }
    };
    (connector, peers)
}
