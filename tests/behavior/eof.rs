//! The end of a connection.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_end_of_a_connection_is_a_loss() {
    let network = Network::new();
    let mut stream = build(network.connector()).connect().await.unwrap();
    network.peer(1).send(b"last");
    network.peer(1).close();
    assert_eq!(read(&mut stream).await.unwrap(), b"last");
    assert!(timeout(2 * SECOND, read(&mut stream)).await.is_err());
    network.peer(2).send(b"next");
    assert_eq!(read(&mut stream).await.unwrap(), b"next");
}

#[tokio::test(start_paused = true)]
async fn the_end_is_passed_to_the_reader_if_the_policy_says_so() {
    let network = Network::new();
    let mut stream = build(network.connector())
        .policy(policy().eof(Eof::Pass))
        .connect()
        .await
        .unwrap();
    network.peer(1).close();
    assert_eq!(read(&mut stream).await.unwrap(), b"");
    assert_eq!(read(&mut stream).await.unwrap(), b"");
    stream.write_all(b"half-open").await.unwrap();
    assert_eq!(network.peer(1).received(), b"half-open");
}
