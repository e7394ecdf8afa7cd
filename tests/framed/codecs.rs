//! Codecs that fail, panic, or are made for each connection.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_error_of_the_decoder_is_returned_and_ends_the_connection() {
    let network = Network::new();
    let codec = LinesCodec::new_with_max_length(4);
    let mut framed = ReconnectingFramed::builder(network.connector(), codec)
        .policy(policy())
        .connect()
        .await
        .unwrap();
    // An endless message, up to the limit of the codec.
    network.peer(1).send(b"ok\nendless endless endless");
    assert_eq!(framed.next().await.unwrap().unwrap(), "ok");
    assert!(framed.next().await.unwrap().is_err());
    assert!(network.peer(1).is_dropped());
    network.greet(|_, peer| peer.send(b"good\n"));
    assert_eq!(framed.next().await.unwrap().unwrap(), "good");
}

#[derive(Clone)]
struct Panics(Arc<AtomicUsize>);

impl Decoder for Panics {
    type Item = Bytes;
    type Error = io::Error;
    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Bytes>> {
        if bytes.is_empty() {
            return Ok(None);
        }
        assert_ne!(self.0.fetch_add(1, Ordering::Relaxed), 0, "scripted");
        Ok(Some(bytes.split().freeze()))
    }
}

impl Encoder<&'static str> for Panics {
    type Error = io::Error;
    fn encode(&mut self, text: &'static str, bytes: &mut BytesMut) -> io::Result<()> {
        bytes.extend_from_slice(text.as_bytes());
        assert_ne!(text, "panic", "scripted");
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_decoder_passes_to_the_caller_and_ends_the_connection() {
    let network = Network::new();
    let mut framed = ReconnectingFramed::builder(network.connector(), Panics(Arc::default()))
        .policy(policy())
        .connect()
        .await
        .unwrap();
    network.peer(1).send(b"x");
    assert!(
        AssertUnwindSafe(framed.next())
            .catch_unwind()
            .await
            .is_err()
    );
    let error = framed.next().await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the codec panicked");
    network.greet(|_, peer| peer.send(b"y"));
    assert_eq!(framed.next().await.unwrap().unwrap(), "y");
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_encoding_leaves_nothing_of_its_message() {
    let network = Network::new();
    let mut framed = ReconnectingFramed::builder(network.connector(), Panics(Arc::default()))
        .policy(policy())
        .connect()
        .await
        .unwrap();
    framed.feed("good").await.unwrap();
    assert!(
        AssertUnwindSafe(framed.feed("panic"))
            .catch_unwind()
            .await
            .is_err()
    );
    assert!(network.peer(1).is_dropped());
    framed.send("better").await.unwrap();
    assert_eq!(network.peer(1).received(), b"");
    assert_eq!(network.peer(2).received(), b"goodbetter");
}

#[tokio::test(start_paused = true)]
async fn a_bytes_codec_passes_bytes_as_they_arrive() {
    let network = Network::new();
    let mut framed = ReconnectingFramed::builder(network.connector(), BytesCodec::new())
        .policy(policy())
        .connect()
        .await
        .unwrap();
    network.peer(1).send(b"abc");
    assert_eq!(framed.next().await.unwrap().unwrap(), &b"abc"[..]);
    framed.send(Bytes::from_static(b"")).await.unwrap();
    framed.send(Bytes::from_static(b"x")).await.unwrap();
    network.peer(1).reset();
    framed.send(Bytes::from_static(b"y")).await.unwrap();
    assert_eq!(network.peer(2).received(), b"y");
}

#[tokio::test(start_paused = true)]
async fn bytes_of_a_dead_connection_that_can_not_be_decoded_are_one_error() {
    let network = Network::new();
    let codec = LengthDelimitedCodec::builder()
        .max_frame_length(8)
        .new_codec();
    let mut framed = ReconnectingFramed::builder(network.connector(), codec)
        .connect()
        .await
        .unwrap();
    framed.send(Bytes::from("x")).await.unwrap();
    network
        .peer(1)
        .send(b"\0\0\0\x01a\xff\xff\xff\xff\0\0\0\x01b");
    network.peer(1).close();
    // The sink finds the loss, and takes what had arrived.
    framed.send(Bytes::from("y")).await.unwrap();
    network.peer(2).send(b"\0\0\0\x01c");
    assert_eq!(framed.next().await.unwrap().unwrap(), b"a"[..]);
    let error = framed.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(framed.next().await.unwrap().unwrap(), b"c"[..]);
    assert_eq!(framed.generation(), 2);
}

/// Writes its number before each byte that it is given.
struct Numbered(u8);

impl Encoder<u8> for Numbered {
    type Error = io::Error;

    fn encode(&mut self, byte: u8, buffer: &mut BytesMut) -> io::Result<()> {
        buffer.extend_from_slice(&[self.0, byte]);
        Ok(())
    }
}

impl Decoder for Numbered {
    type Item = u8;
    type Error = io::Error;

    fn decode(&mut self, _: &mut BytesMut) -> io::Result<Option<u8>> {
        Ok(None)
    }
}

#[tokio::test(start_paused = true)]
async fn messages_are_encoded_by_the_codec_of_the_connection_that_is_there() {
    let network = Network::new();
    let made = AtomicU8::new(b'0');
    let codecs = move || Numbered(made.fetch_add(1, Ordering::Relaxed) + 1);
    let mut framed = ReconnectingFramed::builder_with(network.connector(), codecs)
        .connect()
        .await
        .unwrap();
    framed.send(b'a').await.unwrap();
    network.peer(1).reset();
    // A reader meets the loss, and waits for the next connection.
    assert!(timeout(9 * SECOND, framed.next()).await.is_err());
    framed.connected().await.unwrap();
    framed.reconnect();
    framed.connected().await.unwrap();
    framed.send(b'b').await.unwrap();
    assert_eq!(network.peer(1).received(), b"1a");
    assert_eq!(network.peer(3).received(), b"3b");
}
