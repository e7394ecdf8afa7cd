//! `io-tether` 0.6.2.

use super::feed::{DELAY, Observed, check, observer, read};

#[tokio::test]
async fn before() {
    use io_tether::{Action, Context, PinFut, Resolver, Tether};

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
        let stream = Tether::connect_tcp(address, Feed(observed)).await.unwrap();
        read(stream).await
    })
    .await;
}

#[tokio::test]
async fn after() {
    use reconnecting_stream::{Backoff, Policy, ReconnectingTcpStream, TcpConnector};

    check(|address, observed| async move {
        let policy = Policy::default()
            .backoff(Backoff::constant(DELAY))
            .max_attempts(20);
        let stream = ReconnectingTcpStream::builder(TcpConnector::new(address))
            .retry_initial_connect(true)
            .policy(policy)
            .on_event(observer(observed))
            .connect()
            .await
            .unwrap();
        read(stream).await
    })
    .await;
}
