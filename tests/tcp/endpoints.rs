//! Several endpoints, several addresses, and none that can be reached.

use super::*;

#[tokio::test]
async fn the_next_endpoint_is_tried_in_the_same_attempt() {
    let (_refuses, refused) = refusing();
    let (_listener, address) = listen().await;
    let mut connector = TcpConnector::any_of([refused, address]);
    let stream = attempt(&mut connector).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_endpoint_that_hangs_does_not_cost_the_attempt_timeout() {
    let (_full, _fill, hung) = hanging().await;
    let (_listener, address) = listen().await;
    let mut connector = TcpConnector::any_of([hung, address]);
    let stream = attempt(&mut connector).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_endpoint_that_the_attempt_waited_for_in_vain_goes_last() {
    let (_full, _fill, hung) = hanging().await;
    let (_listener, address) = listen().await;
    let connector = TcpConnector::any_of([hung, address]).happy_eyeballs_delay(Duration::MAX);
    let mut stream = ReconnectingStream::builder(connector)
        .policy(quick().attempt_timeout(100 * MS))
        .retry_initial_connect(true)
        .connect()
        .await
        .unwrap();
    assert_eq!(stream.get_mut().unwrap().peer_addr().unwrap(), address);
}

#[tokio::test]
async fn an_endpoint_whose_connection_was_lost_goes_last() {
    let (first, at_first) = listen().await;
    let (second, at_second) = listen().await;
    let connector = TcpConnector::any_of([at_first, at_second]);
    let mut stream = ReconnectingStream::builder(connector)
        .policy(quick())
        .connect()
        .await
        .unwrap();
    let mut states = stream.handle().subscribe();
    let turns = [
        (&first, at_second),
        (&second, at_first),
        (&first, at_second),
    ];
    for (lost, (listener, next)) in (1..).zip(turns) {
        let (peer, _) = soon(listener.accept()).await.unwrap();
        drop(peer);
        let is_next =
            |state: &State| matches!(state, State::Connected { generation } if *generation > lost);
        tokio::select! {
            // Finds the end of the connection; the next peer says nothing.
            read = stream.read_u8() => panic!("{read:?}"),
            changed = soon(states.wait_for(is_next)) => drop(changed.unwrap()),
        }
        assert_eq!(stream.get_ref().unwrap().peer_addr().unwrap(), next);
    }
}

#[tokio::test]
async fn a_name_is_tried_at_all_of_its_addresses() {
    // `localhost` is ::1 and 127.0.0.1 on most systems; only one of them is listened on.
    let (_listener, address) = listen().await;
    let mut connector = TcpConnector::new(("localhost", address.port()));
    let stream = attempt(&mut connector).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address);
}

#[tokio::test]
async fn an_error_lists_every_address_that_was_tried() {
    let (_one, first) = refusing();
    let (_two, second) = refusing();
    let mut connector = TcpConnector::any_of([first, second]);
    let error = attempt(&mut connector).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    let failures = &unreachable(&error).failures;
    let tried: Vec<_> = failures
        .iter()
        .map(|failure| failure.address.unwrap())
        .collect();
    assert_eq!(tried, [first, second]);
    let text = error.to_string();
    assert!(
        text.contains(&first.to_string()) && text.contains(&second.to_string()),
        "{text}"
    );
}

#[tokio::test]
async fn no_endpoint_at_all_gives_up_with_a_typed_error() {
    let nowhere: [&str; 0] = [];
    let mut stream = ReconnectingStream::builder(TcpConnector::any_of(nowhere)).lazy();
    let error = soon(stream.connected()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let gave_up: &GaveUp = error.get_ref().unwrap().downcast_ref().unwrap();
    assert_eq!(gave_up.attempts, 1);
    assert!(unreachable(&gave_up.last_error).failures.is_empty());
}

#[tokio::test]
async fn an_endpoint_without_a_port_gives_up_immediately() {
    let mut stream = ReconnectingStream::builder(TcpConnector::new("db.example")).lazy();
    let error = soon(stream.connected()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("db.example"), "{error}");
}

#[tokio::test]
async fn an_address_of_the_other_family_than_the_bind_address_is_not_tried() {
    let (_listener, address) = listen().await;
    let mut connector = TcpConnector::new(address).bind_address(IpAddr::from(Ipv6Addr::LOCALHOST));
    let error = attempt(&mut connector).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    assert!(unreachable(&error).failures[0].address.is_none());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_attempt_that_is_cut_off_leaves_no_socket() {
    let (_full, _fill, hung) = hanging().await;
    let connector = TcpConnector::any_of([hung, hung, hung]).happy_eyeballs_delay(10 * MS);
    let (told, mut failed) = tokio::sync::mpsc::unbounded_channel();
    let mut stream = ReconnectingStream::builder(connector)
        .policy(quick().attempt_timeout(100 * MS))
        .on_event(move |event: &Event| {
            if let Event::AttemptFailed { error, .. } = event {
                let _ = told.send((error.kind(), sockets_to(hung)));
            }
        })
        .lazy();
    let driven = tokio::spawn(async move { stream.connected().await });
    soon(async {
        while sockets_to(hung) == 0 {
            sleep(MS).await;
        }
    })
    .await;
    for _ in 0..2 {
        let (kind, sockets) = soon(failed.recv()).await.unwrap();
        assert_eq!((kind, sockets), (ErrorKind::TimedOut, 0));
    }
    driven.abort();
}

/// Sockets of anybody that are waiting for an answer from this port.
#[cfg(target_os = "linux")]
fn sockets_to(address: SocketAddr) -> usize {
    const SYN_SENT: &str = "02";
    let port = format!(":{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_one = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        fields.next().is_some_and(|remote| remote.ends_with(&port))
            && fields.next() == Some(SYN_SENT)
    };
    table.lines().filter(is_one).count()
}
