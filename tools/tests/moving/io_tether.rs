//! `io-tether` 0.6.2.

use super::feed::{DELAY, Observed, TICKS, check};

#[tokio::test]
async fn before() {
    use io_tether::{Action, Context, PinFut, Resolver, Tether};
    use tokio::io::AsyncReadExt;

    struct Feed(Observed);

    impl<C> Resolver<C> for Feed {
        fn disconnected(&mut self, context: &Context, _: &mut C) -> PinFut<Action> {
            if context.current_reconnect_attempts() >= 20 {
                return Box::pin(async { Action::Exhaust });
            }
            self.0.lost();
            Box::pin(async {
                tokio::time::sleep(DELAY).await;
                Action::AttemptReconnect
            })
        }

        fn reconnected(&mut self, _: &Context) -> PinFut<()> {
            self.0.connected();
            Box::pin(std::future::ready(()))
        }
    }

    check(|address, observed| async move {
        let mut stream = Tether::connect_tcp(address, Feed(observed)).await.unwrap();
        let (mut ticks, mut tick) = (Vec::new(), [0; 5]);
        for _ in 0..TICKS {
            stream.read_exact(&mut tick).await.unwrap();
            ticks.push(String::from_utf8(tick.to_vec()).unwrap());
        }
        ticks
    })
    .await;
}

#[tokio::test]
async fn after() {
    use reconnecting_stream::{Backoff, Event, Policy, ReconnectingTcpStream, TcpConnector};
    use tokio::io::AsyncReadExt;

    check(|address, observed| async move {
        let policy = Policy::default()
            .backoff(Backoff::constant(DELAY))
            .max_attempts(20);
        let mut stream = ReconnectingTcpStream::builder(TcpConnector::new(address))
            .retry_initial_connect(true)
            .policy(policy)
            .on_event(move |event: &Event| match event {
                Event::Connected { .. } => observed.connected(),
                Event::Lost { .. } => observed.lost(),
                _ => {}
            })
            .connect()
            .await
            .unwrap();
        let (mut ticks, mut tick) = (Vec::new(), [0; 5]);
        for _ in 0..TICKS {
            stream.read_exact(&mut tick).await.unwrap();
            ticks.push(String::from_utf8(tick.to_vec()).unwrap());
        }
        ticks
    })
    .await;
}
