//! `stream-reconnect` 0.4.0-beta.4.

use std::iter::repeat;

use super::feed::{DELAY, TICKS, check, observer};

#[tokio::test]
async fn before() {
    use std::future::Future;
    use std::io;
    use std::net::SocketAddr;
    use std::pin::Pin;

    use futures::StreamExt;
    use stream_reconnect::{ReconnectOptions, ReconnectStream, UnderlyingStream};
    use tokio::net::TcpStream;
    use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};

    type Line = Result<String, LinesCodecError>;

    struct Feed;

    impl UnderlyingStream<SocketAddr, Line, LinesCodecError> for Feed {
        type Stream = Framed<TcpStream, LinesCodec>;

        fn establish(
            address: SocketAddr,
        ) -> Pin<Box<dyn Future<Output = Result<Self::Stream, LinesCodecError>> + Send>> {
            Box::pin(async move {
                let socket = TcpStream::connect(address).await?;
                Ok(Framed::new(socket, LinesCodec::new()))
            })
        }

        fn is_write_disconnect_error(error: &LinesCodecError) -> bool {
            matches!(error, LinesCodecError::Io(_))
        }

        fn is_read_disconnect_error(line: &Line) -> bool {
            line.as_ref().is_err_and(Self::is_write_disconnect_error)
        }

        fn exhaust_err() -> LinesCodecError {
            io::Error::other("exhausted").into()
        }
    }

    check(|address, observed| async move {
        let losses = observed.clone();
        let options = ReconnectOptions::new()
            .with_retries_generator(|| repeat(DELAY))
            .with_on_connect_callback(move || observed.connected())
            .with_on_disconnect_callback(move || losses.lost());
        let lines = ReconnectStream::<Feed, _, _, _>::connect_with_options(address, options);
        let lines = lines.await.unwrap().take(TICKS as usize);
        lines.map(|line| line.unwrap() + "\n").collect().await
    })
    .await;
}

#[tokio::test]
async fn after() {
    use futures::StreamExt;
    use reconnecting_stream::{Backoff, Policy, ReconnectingFramed, TcpConnector};
    use tokio_util::codec::LinesCodec;

    check(|address, observed| async move {
        let policy = Policy::default()
            .backoff(Backoff::from_factory(|| repeat(DELAY)))
            .max_attempts(None);
        let connector = TcpConnector::new(address);
        let lines = ReconnectingFramed::builder(connector, LinesCodec::new())
            .policy(policy)
            .on_event(observer(observed))
            .connect()
            .await
            .unwrap()
            .take(TICKS as usize);
        lines.map(|line| line.unwrap() + "\n").collect().await
    })
    .await;
}
