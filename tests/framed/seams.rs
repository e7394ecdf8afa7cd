//! What a reader and a sender get at a seam.

use super::*;

async fn framed(
    network: &Network,
    seam: Seam,
) -> ReconnectingFramed<impl Connect<Io = Wire>, LengthDelimitedCodec> {
    ReconnectingFramed::builder(network.connector(), LengthDelimitedCodec::new())
        .policy(policy())
        .seam(seam)
        .connect()
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn seam_error_is_one_item_and_then_the_application_can_resubscribe() {
    let network = Network::new();
    let mut framed = framed(&network, Seam::Error).await;
    network.peer(1).reset();
    let error = framed.next().await.unwrap().unwrap_err();
    assert_eq!(lost(&error).unwrap().generation, 1);
    framed.send(Bytes::from_static(b"subscribe")).await.unwrap();
    network.peer(2).send(b"\0\0\0\x02ok");
    assert_eq!(framed.next().await.unwrap().unwrap(), &b"ok"[..]);
}

#[tokio::test(start_paused = true)]
async fn seams_are_not_reported_to_the_sink() {
    for seam in [Seam::Hidden, Seam::Error, Seam::Eof] {
        let network = Network::new();
        let mut framed = framed(&network, seam).await;
        for generation in 1..=3 {
            network.peer(generation).reset();
            framed.send(Bytes::from_static(b"x")).await.unwrap();
        }
        // The reader gets each of them.
        network.peer(4).send(b"\0\0\0\x02ok");
        for generation in 1..=3 {
            match seam {
                Seam::Hidden => {}
                Seam::Error => {
                    let error = framed.next().await.unwrap().unwrap_err();
                    assert_eq!(lost(&error).unwrap().generation, generation);
                }
                Seam::Eof => assert!(framed.next().await.is_none()),
            }
        }
        assert_eq!(framed.next().await.unwrap().unwrap(), &b"ok"[..]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_on_demand_keeps_what_had_arrived() {
    let network = Network::new();
    let mut framed = framed(&network, Seam::Error).await;
    network.peer(1).send(b"\0\0\0\x01a\0\0\0\x01b\0\0\0\x01");
    assert_eq!(framed.next().await.unwrap().unwrap(), &b"a"[..]);
    framed.reconnect();
    assert_eq!(framed.next().await.unwrap().unwrap(), &b"b"[..]);
    assert!(lost(&framed.next().await.unwrap().unwrap_err()).is_some());
    framed.connected().await.unwrap();
    network.peer(2).send(b"\0\0\0\x01c");
    assert_eq!(framed.next().await.unwrap().unwrap(), &b"c"[..]);
}
