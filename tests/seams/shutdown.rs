//! Seams and shutting down.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_shutdown_on_the_next_connection_reports_the_loss_first() {
    let network = Network::new();
    let (mut reader, mut writer) = split(&network, Seam::Error).await;
    writer.write_all(b"lost").await.unwrap();
    network.peer(1).close();
    assert_lost(read(&mut reader).await, 1, ErrorKind::UnexpectedEof);
    assert!(timeout(2 * SECOND, read(&mut reader)).await.is_err());
    assert_lost(writer.shutdown().await, 1, ErrorKind::UnexpectedEof);
    assert!(!network.peer(2).is_shut_down());
    writer.write_all(b"again").await.unwrap();
    writer.shutdown().await.unwrap();
    assert_eq!(network.peer(2).received(), b"again");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_during_an_outage_hides_the_loss_from_neither_half() {
    for writer_finds_it in [true, false] {
        let network = Network::new();
        let (mut reader, mut writer) = split(&network, Seam::Error).await;
        network.peer(1).reset();
        if writer_finds_it {
            assert_lost(writer.write(b"x").await, 1, ErrorKind::ConnectionReset);
        } else {
            assert_lost(read(&mut reader).await, 1, ErrorKind::ConnectionReset);
            assert_lost(writer.shutdown().await, 1, ErrorKind::ConnectionReset);
        }
        writer.shutdown().await.unwrap();
        if writer_finds_it {
            assert_lost(read(&mut reader).await, 1, ErrorKind::ConnectionReset);
        }
        for _ in 0..2 {
            assert_eq!(read(&mut reader).await.unwrap(), b"");
            writer.shutdown().await.unwrap();
        }
        assert_eq!(network.attempts().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_loss_after_a_shutdown_is_reported_once() {
    let network = Network::new();
    let (mut reader, mut writer) = split(&network, Seam::Error).await;
    writer.shutdown().await.unwrap();
    network.peer(1).reset();
    assert!(lost(&read(&mut reader).await.unwrap_err()).is_some());
    assert_eq!(read(&mut reader).await.unwrap(), b"");
}
