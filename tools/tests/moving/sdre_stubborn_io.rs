//! `sdre-stubborn-io` 0.7.2.

use std::iter::repeat;
use std::time::Duration;

use super::feed::{DELAY, TICKS, check};

#[tokio::test]
async fn before() {
    use sdre_stubborn_io::config::ReconnectEvent;
    use sdre_stubborn_io::{ReconnectOptions, StubbornTcpStream};
    use tokio::io::AsyncReadExt;

    check(|address, observed| async move {
        let options = ReconnectOptions::new()
            .with_connection_name("feed")
            .with_connect_timeout(Some(Duration::from_secs(5)))
            .with_retries_generator(|| repeat(DELAY))
            .with_event_callback(move |event| match event {
                ReconnectEvent::Connected { .. } => observed.connected(),
                ReconnectEvent::Disconnected => observed.lost(),
                _ => {}
            });
        let stream = StubbornTcpStream::connect_with_options(address, options);
        let mut stream = stream.await.unwrap();
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
            .attempt_timeout(Duration::from_secs(5))
            .backoff(Backoff::from_factory(|| repeat(DELAY)))
            .max_attempts(None);
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
