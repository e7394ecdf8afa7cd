//! Attempts: their repetition, their timeout, and the errors that end an outage.

use super::*;

/// The seconds at which attempts were made, after a loss at zero.
async fn attempts_after_a_loss(network: &Network, policy: Policy) -> Vec<u64> {
    let mut stream = build(network.connector())
        .policy(policy)
        .connect()
        .await
        .unwrap();
    network.peer(1).reset();
    let start = Instant::now();
    let _ = timeout(600 * SECOND, stream.write_all(b"x")).await;
    let attempts = network.attempts();
    attempts[1..]
        .iter()
        .map(|dialed| (dialed.at - start).as_secs())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_repeated_after_the_backoff() {
    let network = Network::new();
    network.script([Outcome::Accepts]).script(
        [
            ErrorKind::ConnectionRefused,
            ErrorKind::NotFound,
            ErrorKind::Other,
            ErrorKind::PermissionDenied,
        ]
        .map(Outcome::Refuses),
    );
    let policy = policy().backoff(Backoff::exponential(SECOND).jitter(Jitter::None));
    assert_eq!(
        attempts_after_a_loss(&network, policy).await,
        [1, 3, 7, 15, 25]
    );
    let numbers: Vec<_> = network.attempts()[1..]
        .iter()
        .map(|dialed| (dialed.attempt.number, dialed.attempt.generation))
        .collect();
    assert_eq!(numbers, [(1, 2), (2, 2), (3, 2), (4, 2), (5, 2)]);
    let errors: Vec<_> = network.attempts()[1..]
        .iter()
        .map(|dialed| dialed.attempt.last_error.as_ref().unwrap().kind())
        .collect();
    assert_eq!(
        errors[..2],
        [ErrorKind::ConnectionReset, ErrorKind::ConnectionRefused]
    );
    assert_eq!(network.attempts()[3].attempt.downtime, 7 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_times_out() {
    let network = Network::new();
    network.script([Outcome::Accepts, Outcome::Hangs, Outcome::Hangs]);
    let policy = policy().attempt_timeout(3 * SECOND);
    assert_eq!(attempts_after_a_loss(&network, policy).await, [1, 5, 9]);
    assert_eq!(network.running(), 0);
    let error = network.attempts()[2].attempt.last_error.clone().unwrap();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.to_string(), "the attempt did not complete within 3s");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_cut_off_with_the_outage() {
    let network = Network::new();
    network.script([Outcome::Accepts]).otherwise(Outcome::Hangs);
    let mut stream = build(network.connector())
        .policy(policy().max_outage(5 * SECOND))
        .connect()
        .await
        .unwrap();
    network.peer(1).reset();
    let start = Instant::now();
    let error = stream.write_all(b"x").await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(gave_up(&error).unwrap().outage.as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn errors_that_repeating_cannot_cure_end_the_outage() {
    for outcome in [
        Outcome::Refuses(ErrorKind::InvalidInput),
        Outcome::Refuses(ErrorKind::InvalidData),
        Outcome::Refuses(ErrorKind::Unsupported),
        Outcome::RefusesForGood,
    ] {
        let network = Network::new();
        network.script([Outcome::Accepts]).otherwise(outcome);
        let mut stream = build(network.connector()).connect().await.unwrap();
        network.peer(1).reset();
        let error = stream.write_all(b"x").await.unwrap_err();
        let gave_up = gave_up(&error).unwrap();
        assert_eq!(gave_up.attempts, 1, "{outcome:?}");
        let marked = gave_up
            .last_error
            .get_ref()
            .is_some_and(|inner| inner.downcast_ref::<Permanent>().is_some());
        assert_eq!(marked, outcome == Outcome::RefusesForGood);
    }
}

#[tokio::test(start_paused = true)]
async fn a_denied_permission_is_final_before_the_first_success() {
    let network = Network::new();
    network.otherwise(Outcome::Refuses(ErrorKind::PermissionDenied));
    let mut stream = build(network.connector()).lazy();
    let error = stream.connected().await.unwrap_err();
    assert_eq!(gave_up(&error).unwrap().attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_surfaced_error_goes_to_the_caller_and_the_outage_continues() {
    let network = Network::new();
    network.script([Outcome::Refuses(ErrorKind::AddrNotAvailable)]);
    let classify = |error: &io::Error, phase| match error.kind() {
        ErrorKind::AddrNotAvailable => Verdict::Surface,
        _ => Verdict::of(error, phase),
    };
    let mut stream = build(network.connector())
        .policy(policy().classify(classify))
        .lazy();
    let error = stream.write_all(b"x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    assert!(matches!(
        stream.state(),
        State::Backoff {
            attempt: 2,
            delay: SECOND,
            ..
        }
    ));
    stream.write_all(b"x").await.unwrap();
    assert_eq!(network.attempts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_resets_the_backoff_only_once_it_is_stable() {
    let network = Network::new();
    network
        .script([Outcome::Accepts])
        .script([Outcome::AcceptsThen(Fault::Reset); 4]);
    let policy = policy().backoff(Backoff::exponential(SECOND).jitter(Jitter::None));
    let mut stream = build(network.connector())
        .policy(policy)
        .connect()
        .await
        .unwrap();
    network.peer(1).reset();
    let start = Instant::now();
    stream.write_all(b"x").await.unwrap();
    let seconds = |from: usize| -> Vec<u64> {
        network.attempts()[from..]
            .iter()
            .map(|dialed| (dialed.at - start).as_secs())
            .collect()
    };
    assert_eq!(seconds(1), [1, 3, 7, 15, 25]);

    sleep(10 * SECOND).await;
    network.peer(6).reset();
    stream.write_all(b"x").await.unwrap();
    assert_eq!(seconds(6), [36], "stable: the backoff begins again");
    assert_eq!(network.attempts()[6].attempt.number, 1);
}
