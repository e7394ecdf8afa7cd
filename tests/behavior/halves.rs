//! Two halves and one loss.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_loss_seen_by_one_half_keeps_the_other_off_the_old_connection() {
    for reader_first in [true, false] {
        let network = Network::new();
        let stream = build(network.connector()).connect().await.unwrap();
        let (mut reader, mut writer) = tokio::io::split(stream);
        network.peer(1).reset();
        let mut buf = [0; 8];
        let mut read = pin!(reader.read(&mut buf));
        let mut write = pin!(writer.write_all(b"x"));
        if reader_first {
            assert!(Task::new().poll_future(read.as_mut()).is_pending());
            assert!(Task::new().poll_future(write.as_mut()).is_pending());
        } else {
            assert!(Task::new().poll_future(write.as_mut()).is_pending());
            assert!(Task::new().poll_future(read.as_mut()).is_pending());
        }
        write.await.unwrap();
        network.peer(2).send(b"y");
        assert_eq!(read.await.unwrap(), 1);
        assert!(!network.peer(1).was_touched_when_dead());
        assert_eq!(network.peer(2).received(), b"x");
    }
}
