//! Both halves complete in every order of polls, however the outage ends.

use super::pair::{Gone, Split};
use super::*;

/// How the outage ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Immediately,
    AfterAWhile,
    AfterTimeouts,
    GivenUp,
    Closed,
    Reconnected,
}

impl End {
    const ALL: [Self; 6] = [
        Self::Immediately,
        Self::AfterAWhile,
        Self::AfterTimeouts,
        Self::GivenUp,
        Self::Closed,
        Self::Reconnected,
    ];

    fn outcomes(self) -> Vec<Outcome> {
        match self {
            Self::Immediately => vec![],
            Self::AfterAWhile => vec![Outcome::AcceptsAfter(2 * SECOND)],
            Self::AfterTimeouts => vec![Outcome::Hangs, Outcome::Hangs],
            Self::GivenUp => vec![Outcome::Refuses(io::ErrorKind::ConnectionRefused); 3],
            Self::Closed => vec![Outcome::Hangs; 3],
            Self::Reconnected => vec![Outcome::Hangs; 3],
        }
    }

    fn command(self, handle: &Handle) {
        match self {
            Self::Closed => handle.close(),
            Self::Reconnected => handle.reconnect(),
            Self::Immediately | Self::AfterAWhile | Self::AfterTimeouts | Self::GivenUp => {}
        }
    }

    fn check(self, result: &io::Result<()>, half: Half) {
        match (self, half) {
            (Self::GivenUp | Self::Reconnected, _) => {
                assert!(gave_up(result.as_ref().unwrap_err()).is_some());
            }
            (Self::Closed, Writer) => {
                assert_eq!(
                    result.as_ref().unwrap_err().kind(),
                    io::ErrorKind::BrokenPipe
                );
            }
            (Self::Closed, Reader)
            | (Self::Immediately | Self::AfterAWhile | Self::AfterTimeouts, _) => {
                result.as_ref().unwrap();
            }
        }
    }
}

/// Every order of so many polls.
fn orders(polls: u32) -> impl Iterator<Item = Vec<Half>> {
    (0..2u32.pow(polls)).map(move |bits| {
        (0..polls)
            .map(|i| if bits >> i & 1 == 0 { Reader } else { Writer })
            .collect()
    })
}

/// One case: both halves wait, the connection dies, they are polled in `order` while time
/// passes, the half that polled last goes, the outage ends.
async fn case(split: Split, end: End, order: &[Half], gone: Gone, command_at: usize) {
    let network = Network::new();
    network.script([Outcome::Accepts]).script(end.outcomes());
    let (mut pair, handle) = pair_that_waits(&network, policy(), split).await;
    // The half that is polled next meets the fault. The stream has to wake the other one.
    network.peer(1).fault_unnoticed(Fault::Reset);

    for (i, half) in order.iter().enumerate() {
        if i == command_at {
            end.command(&handle);
        }
        pair.poll(*half);
        advance(SECOND / 2).await;
    }
    let last = *order.last().unwrap();
    pair.abandon(last, gone);
    if command_at >= order.len() {
        end.command(&handle);
    }
    // The bytes that let a read complete, on whichever connection there will be.
    for _ in 0..2 {
        pair.run().await;
        for generation in 2..=network.connections() {
            network.peer(generation).send(b"y");
        }
    }
    for (half, result, is_there) in [
        (Reader, &pair.reader.result, pair.reader.half.is_some()),
        (Writer, &pair.writer.result, pair.writer.half.is_some()),
    ] {
        let is_asked = gone == Gone::Not || half != last;
        if is_asked && is_there {
            let result = result.as_ref();
            end.check(
                result.unwrap_or_else(|| {
                    panic!("{half:?} sleeps: {split:?} {end:?} {order:?} {gone:?} {command_at}")
                }),
                half,
            );
        }
    }
}

async fn all_orders(split: Split, end: End, gone: Gone) -> usize {
    let mut cases = 0;
    for polls in 1..=5 {
        for order in orders(polls) {
            for command_at in 0..=order.len() {
                case(split, end, &order, gone, command_at).await;
                cases += 1;
            }
        }
    }
    cases
}

/// 320 orders and moments for each way in which an outage ends.
async fn all_cases(gone: Gone) {
    for split in Split::ALL {
        for end in End::ALL {
            assert_eq!(all_orders(split, end, gone).await, 320, "{end:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn both_halves_complete_in_every_order_of_polls() {
    all_cases(Gone::Not).await;
}

#[tokio::test(start_paused = true)]
async fn the_other_half_completes_after_the_half_that_polled_last_was_canceled() {
    all_cases(Gone::Canceled).await;
}

#[tokio::test(start_paused = true)]
async fn the_other_half_completes_after_the_half_that_polled_last_was_dropped() {
    all_cases(Gone::Dropped).await;
}
