//! tarpc, over `ReconnectingFramed` and tokio-serde.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::{StreamExt, poll};
use reconnecting_stream::testing::{Fault, FaultProxy};
use reconnecting_stream::{ReconnectingFramed, Resend};
use reconnecting_stream_clients::policy::quick;
use reconnecting_stream_clients::tally::{Tally, outage, under_faults};
use reconnecting_stream_clients::tarpc::Transport;
use reconnecting_stream_tools::program::tell;
use tarpc::client::Config;
use tarpc::context::{self, Context};
use tarpc::server::{BaseChannel, Channel};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_serde::formats::Json;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

const CALLS: u64 = 4_000;
const RESETS: u64 = 40;
/// Some 20 requests: canceled ones that are never confirmed fill it soon.
const WINDOW: usize = 4096;

#[tarpc::service]
trait Numbers {
    async fn double(number: u64) -> u64;
}

#[derive(Clone, Default)]
struct Server {
    executed: Arc<AtomicU64>,
}

impl Numbers for Server {
    /// Replies in another order than that of the requests.
    async fn double(self, _: Context, number: u64) -> u64 {
        self.executed.fetch_add(1, Ordering::Relaxed);
        if number % 11 == 0 {
            sleep(Duration::from_millis(10)).await;
        }
        2 * number
    }
}

/// A server as tarpc's users have it.
async fn serve(server: Server) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let frames = Framed::new(socket, LengthDelimitedCodec::new());
            let transport = tarpc::serde_transport::new(frames, Json::default());
            let requests = BaseChannel::with_defaults(transport).execute(server.clone().serve());
            tokio::spawn(requests.for_each(|reply| async {
                tokio::spawn(reply);
            }));
        }
    });
    Ok(address)
}

fn deadline(after: Duration) -> Context {
    let mut context = context::current();
    context.deadline = Instant::now() + after;
    context
}

/// What is done to a service.
struct Load {
    limit: Duration,
    resets: u64,
    /// Every tenth call is made once more, and canceled.
    cancels: bool,
}

/// Many resets, and calls that are canceled.
const HEAVY: Load = Load {
    limit: Duration::from_secs(15),
    resets: RESETS,
    cancels: true,
};

/// Few resets, each of which costs the calls that it loses as much as their limit.
const CONTROL: Load = Load {
    limit: Duration::from_millis(500),
    resets: 10,
    cancels: false,
};

/// Makes calls, and resets the connection again and again. Halfway the server is away for a while.
async fn calls_under_faults(client: NumbersClient, proxy: &FaultProxy, load: Load) -> Arc<Tally> {
    let fault = async |number| match number {
        _ if number == load.resets / 2 => outage(proxy).await,
        _ => drop(proxy.inject(Fault::Reset).await),
    };
    let call = move |number, _| {
        let client = client.clone();
        async move {
            if load.cancels && number % 10 == 0 {
                let mut canceled = pin!(client.double(deadline(load.limit), number));
                let _ = poll!(canceled.as_mut());
                yield_now().await; // time to send it
            }
            let doubled = client.double(deadline(load.limit), number).await;
            Ok(doubled.map_err(io::Error::other)? == 2 * number)
        }
    };
    under_faults(CALLS, load.resets, fault, call).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_of_tarpc_gets_its_reply_through_resets() {
    let server = Server::default();
    let address = serve(server.clone()).await.unwrap();
    let proxy = FaultProxy::start(address).await.unwrap();
    let to = proxy.addr();
    let transport = Transport::lazy(move || TcpStream::connect(to), quick(), WINDOW);
    let client = NumbersClient::new(Config::default(), transport).spawn();
    let tally = calls_under_faults(client, &proxy, HEAVY).await;
    let executed = server.executed.load(Ordering::Relaxed);
    tell(format_args!(
        "tarpc, {RESETS} resets: {tally}, {executed} executions"
    ));
    tally.assert_all_right(CALLS);
    assert!(executed > CALLS);
}

/// The control: what is lost with a connection is not sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_calls_of_tarpc_reach_their_deadline_if_nothing_is_sent_again() {
    let address = serve(Server::default()).await.unwrap();
    let proxy = FaultProxy::start(address).await.unwrap();
    let to = proxy.addr();
    let connector = move || TcpStream::connect(to);
    let messages = ReconnectingFramed::builder(connector, LengthDelimitedCodec::new());
    let messages = messages.policy(quick()).resend(Resend::Torn).lazy();
    let transport = tokio_serde::Framed::new(messages, Json::default());
    let client = NumbersClient::new(Config::default(), transport).spawn();
    let tally = calls_under_faults(client, &proxy, CONTROL).await;
    tell(format_args!("control, 10 resets: {tally}"));
    assert!(tally.failed() > 0, "{tally}");
}

/// The control: one confirmation for each reply, whichever request it is for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_calls_of_tarpc_are_lost_if_each_reply_confirms_the_oldest() {
    let address = serve(Server::default()).await.unwrap();
    let proxy = FaultProxy::start(address).await.unwrap();
    let to = proxy.addr();
    let connector = move || TcpStream::connect(to);
    let messages = ReconnectingFramed::builder(connector, LengthDelimitedCodec::new());
    let max_bytes = 1 << 20;
    let resend = Resend::Unconfirmed { max_bytes };
    let messages = messages.policy(quick()).resend(resend).lazy();
    let confirm = messages.confirm_handle();
    let messages = messages.inspect(move |_| confirm.confirm_replies(1));
    let transport = tokio_serde::Framed::new(messages, Json::default());
    let client = NumbersClient::new(Config::default(), transport).spawn();
    let tally = calls_under_faults(client, &proxy, CONTROL).await;
    tell(format_args!("control of the order, 10 resets: {tally}"));
    assert!(tally.failed() > 0, "{tally}");
}
