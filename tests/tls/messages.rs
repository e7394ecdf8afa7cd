//! Messages over TLS.

use super::*;

const RESETS: usize = 10;
const LINES: usize = 50;

/// The server resets after some lines, in the middle of one that it writes.
async fn serve(server: Server) {
    loop {
        let Ok(io) = server.try_accept().await else {
            continue;
        };
        let mut lines = Framed::new(io, LinesCodec::new());
        for _ in 0..LINES / RESETS {
            let Some(Ok(line)) = lines.next().await else {
                break;
            };
            lines.send(line).await.unwrap();
        }
        let io = lines.get_mut();
        io.write_all(b"torn").await.unwrap();
        io.flush().await.unwrap();
        io.get_ref().0.set_zero_linger().unwrap();
    }
}

#[tokio::test]
async fn messages_over_tls_are_never_torn() {
    let authority = Authority::new();
    let server = Server::new(authority.server(NOW)).await;
    let connector = server.connector(authority.client());
    let server = tokio::spawn(serve(server));
    let mut lines = ReconnectingFramed::builder(connector, LinesCodec::new())
        .policy(quick())
        .seam(Seam::Error)
        .connect()
        .await
        .unwrap();
    let (mut seams, mut twice, mut again) = (0, 0, 0);
    for number in 0..LINES {
        while lines.feed(number.to_string()).await.is_err() {
            seams += 1;
        }
        loop {
            // Its error is one of the seam, which does not take away what is queued.
            while SinkExt::<String>::flush(&mut lines).await.is_err() {
                seams += 1;
            }
            match soon(lines.next()).await.unwrap() {
                Ok(echo) if echo == number.to_string() => break,
                Ok(echo) => {
                    let echo: usize = echo.parse().expect("torn");
                    assert!(echo < number);
                    twice += 1;
                }
                Err(_) => {
                    seams += 1;
                    again += 1;
                    while lines.feed(number.to_string()).await.is_err() {
                        seams += 1;
                    }
                }
            }
        }
    }
    println!("{LINES} lines answered, {seams} seams, {again} asked again, {twice} twice");
    assert!(seams >= RESETS - 1);
    server.abort();
}
