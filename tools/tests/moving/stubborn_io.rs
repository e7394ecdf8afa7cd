//! `stubborn-io` 0.3.6.

use std::iter::repeat;

use super::feed::{DELAY, TICKS, check};

#[tokio::test]
async fn before() {
    use stubborn_io::{ReconnectOptions, StubbornTcpStream};
    use tokio::io::AsyncReadExt;

    check(|address, observed| async move {
        let losses = observed.clone();
        let options = ReconnectOptions::new()
            .with_retries_generator(|| repeat(DELAY))
            .with_on_connect_callback(move || observed.connected())
            .with_on_disconnect_callback(move || losses.lost());
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
            .backoff(Backoff::from_factory(|| repeat(DELAY)))
            .max_attempts(None);
        let mut stream = ReconnectingTcpStream::builder(TcpConnector::new(address))
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
