//! Section 5 of the contract: the behaviour of `ReconnectingFramed`, sentence by sentence.
//!
//! A test here has the sentence as its name. Sentences that another test shows already are listed
//! with it and not tested twice. `*` stands for several tests of the same beginning.
//!
//! | sentence | test |
//! |---|---|
//! | works with `StreamExt::split`, on two tasks | `framed.rs::both_halves_of_a_framed_stream_complete_in_every_order_whichever_is_dropped`, `framed.rs::losses::*` |
//! | what is not ready is not polled, so a send does not read ahead again | `framed.rs::reading_ahead_takes_nothing_from_the_reader`, `a_writer_that_has_finished_is_not_woken_by_what_comes_for_the_reader` |
//! | **Receiving** | |
//! | one ordered sequence: items, seam, items, seam | `receiving::the_reader_sees_items_and_seams_in_one_order_*` |
//! | ... or brought bytes with their handshake | `receiving::what_a_handshake_read_beyond_itself_*` |
//! | `Error` one item, `Eof` one `None`, `Hidden` nothing | the same two, for each seam |
//! | every whole message that had arrived is delivered | `receiving::every_whole_message_that_had_arrived_*`, `framed_sweep.rs::lines_that_arrived_whole_are_delivered_before_the_seam` |
//! | ... also items that the decoder holds | `receiving::items_that_the_decoder_holds_*` |
//! | half of one is dropped | `receiving::half_of_a_message_is_dropped_*` |
//! | the read ahead is bounded by 64 KiB | `framed.rs::a_sender_reads_ahead_no_further_than_its_bound` |
//! | at a loss what the kernel still has is taken | `receiving::every_whole_message_that_had_arrived_*` (300 KiB) |
//! | what waits is bounded over all connections, and the seam says so | `bounds::*` |
//! | `decode_eof` is asked until it has no more | `decoding::decode_eof_is_asked_until_it_has_no_more` |
//! | an error of it is one error, then the end | `decoding::an_error_of_decode_eof_*` |
//! | a decode error ends the connection, once | `decoding::a_decode_error_*` |
//! | an error of the writing side never becomes an item | `errors::an_error_of_the_writing_side_*`, `a_sender_that_waits_*` |
//! | a transient error of the reading side never fails a send | `errors::a_transient_error_*` |
//! | **Sending** | |
//! | no frame is ever torn | `framed_sweep.rs::two_resets_tear_and_lose_no_*`, `framed_sockets.rs` |
//! | a frame that was cut is sent again whole, in order | `framed_sweep.rs::lines_that_were_cut_go_whole_to_the_next_connection`, `backlog::a_frame_that_was_cut_*` |
//! | the queue is bounded in bytes | `room::a_queue_is_bounded_in_bytes_*`, `framed.rs::by_default_sixty_four_kibibytes_wait_in_the_queue` |
//! | full: woken by room, a confirmation, a loss, an end, a command | `room::poll_ready_that_waits_*` |
//! | the backlog is flushed, whichever half polls | `backlog::the_backlog_is_written_and_flushed_*`, `framed.rs::a_reader_flushes_the_question_that_it_has_sent_again` |
//! | ... the other half's future is dropped, has room, was given up | `backlog::the_backlog_continues_*`, `a_task_that_only_reads_*`, `a_reader_gets_its_items_*` |
//! | a sender that never reads learns of every end | `never_reads::*`, `races::*`, `framed.rs::a_sender_that_never_reads_*` |
//! | `Resend::Torn` leaves what was taken whole | `framed_sweep.rs::lines_that_were_cut_go_whole_to_the_next_connection` |
//! | `Resend::Unconfirmed`: at least once, no gap, no reordering | `confirmations::what_is_not_confirmed_is_sent_again_oldest_first_*`, `framed_sweep.rs::unconfirmed_lines_are_sent_again` |
//! | confirmations count in the order of each connection | `confirmations::a_confirmation_of_the_first_connection_*`, `replies_of_a_connection_*`, `framed.rs::replies_are_counted_for_the_connection_that_they_were_read_from` |
//! | ... or race with a reconnect | `confirmations::a_confirmation_that_races_*` |
//! | confirming is immediate | `confirmations::a_confirmation_is_counted_before_anything_is_polled` |
//! | it wakes a flush or a close during an outage | `confirmations::a_confirmation_wakes_*`, `a_flush_that_waits_in_an_outage_*` |
//! | transient messages | `transient::*` |
//! | what is stale may be dropped | `offline::*` |
//! | a close sends the backlog, or says so | `closing::a_close_*` |
//! | a close during an outage with nothing to send ends immediately | `closing::a_close_during_an_outage_with_nothing_to_send_*` |
//! | a flush with nothing to do is `Ok`, also after a close | `closing::a_flush_with_nothing_to_do_*` |
//! | giving up answers `GaveUp` to all | `giving_up::giving_up_*` |
//! | `handle.reconnect()` starts afresh also after a close was tried | `giving_up::a_reconnect_starts_afresh_*`, `a_close_after_the_reconnect_*`, `a_permanent_verdict_in_a_close_*` |
//! | a panic of the encoder | `errors::a_panic_of_the_encoder_*` |
//! | an error of the encoder | `errors::an_error_of_the_encoder_*` |
//! | the classifier is told the `Phase` | `errors::the_classifier_is_told_where_*` |
//! | a loss that nothing replaces is told (section 4) | `closing::a_loss_after_a_close_*`, `a_loss_during_an_outage_that_a_close_ends_*` |
//! | **Otherwise** | |
//! | `on_connect`, under the attempt timeout, before anything queued | `framed.rs::handshake::*` |
//! | what it read beyond itself is delivered first | `receiving::what_a_handshake_read_beyond_itself_*` |
//! | what it left unwritten is written | `framed.rs::handshake::what_a_handshake_left_unflushed_is_written` |
//! | inherent `flush()` and `close()` | `closing::flush_and_close_need_no_type_*` |
//! | a connector of `Stream + Sink`: `poll_ready` before each message | `messages::a_message_is_never_passed_*`, `a_connection_is_asked_again_*` |
//! | a sender gets the loss before its message goes to the next connection | `messages::a_sender_gets_the_loss_*` |
//! | the classification counts at a close | `messages::the_classification_counts_at_a_close`, `a_classification_of_messages_that_panics_*` |

#![cfg(feature = "codec")]

mod contract;
mod support;

#[path = "contract_framed/backlog.rs"]
mod backlog;
#[path = "contract_framed/bounds.rs"]
mod bounds;
#[path = "contract_framed/closing.rs"]
mod closing;
#[path = "contract_framed/confirmations.rs"]
mod confirmations;
#[path = "contract_framed/decoding.rs"]
mod decoding;
#[path = "contract_framed/errors.rs"]
mod errors;
#[path = "contract_framed/giving_up.rs"]
mod giving_up;
#[path = "contract_framed/messages.rs"]
mod messages;
#[path = "contract_framed/never_reads.rs"]
mod never_reads;
#[path = "contract_framed/offline.rs"]
mod offline;
#[path = "contract_framed/races.rs"]
mod races;
#[path = "contract_framed/receiving.rs"]
mod receiving;
#[path = "contract_framed/room.rs"]
mod room;
#[path = "contract_framed/transient.rs"]
mod transient;

use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use contract::codec::Lines;
use contract::{Net, Socket};
use futures::{FutureExt, Sink, Stream, StreamExt};
use reconnecting_stream::{
    Backoff, Builder, Connect, FramedOptions, Policy, ReconnectingFramed, Resend, Seam,
};

const SECOND: Duration = Duration::from_secs(1);
const SEAMS: [Seam; 3] = [Seam::Hidden, Seam::Error, Seam::Eof];
const UNCONFIRMED: Resend = Resend::Unconfirmed { max_bytes: 1000 };

type Framed<C> = ReconnectingFramed<C, Lines>;

fn policy() -> Policy {
    Policy::default().backoff(Backoff::constant(SECOND))
}

/// A builder with `Seam::Error`.
fn build(
    net: &Net,
) -> Builder<impl Connect<Io = Socket, Future: Send> + Send + Sync, FramedOptions<Socket, Lines>> {
    build_with(net, Lines::default())
}

fn build_with(
    net: &Net,
    codec: Lines,
) -> Builder<impl Connect<Io = Socket, Future: Send> + Send + Sync, FramedOptions<Socket, Lines>> {
    ReconnectingFramed::builder(net.connector(), codec)
        .policy(policy())
        .seam(Seam::Error)
}

async fn connect(net: &Net) -> Framed<impl Connect<Io = Socket, Future: Send> + Send + Sync> {
    build(net).connect().await.unwrap()
}

async fn connect_unconfirmed(
    net: &Net,
) -> Framed<impl Connect<Io = Socket, Future: Send> + Send + Sync> {
    build(net).resend(UNCONFIRMED).connect().await.unwrap()
}

/// An item, a seam or an end, as text.
fn describe(item: Option<io::Result<String>>) -> String {
    match item {
        None => "none".to_owned(),
        Some(Ok(line)) => line,
        Some(Err(error)) => describe_error(&error),
    }
}

fn describe_error(error: &io::Error) -> String {
    if let Some(lost) = support::lost(error) {
        match lost.dropped_bytes {
            0 => format!("lost {}", lost.generation),
            dropped => format!("lost {} with {dropped} bytes", lost.generation),
        }
    } else if support::gave_up(error).is_some() {
        "gave up".to_owned()
    } else {
        format!("{:?}", error.kind())
    }
}

fn describe_result(result: io::Result<()>) -> String {
    result.map_or_else(|error| describe_error(&error), |()| "ok".to_owned())
}

/// The next item, if it need not be waited for.
fn next_now<C: Connect<Io = Socket>>(framed: &mut Framed<C>) -> Option<String> {
    framed.next().now_or_never().map(describe)
}

/// Everything that need not be waited for, until the end of the stream.
fn take_all<C: Connect<Io = Socket>>(framed: &mut Framed<C>) -> Vec<String> {
    let mut items = Vec::new();
    while let Some(item) = next_now(framed) {
        items.push(item);
        if items.last().is_some_and(|item| item == "none") && items.len() > 50 {
            break;
        }
    }
    items
}

fn poll_ready<C: Connect<Io = Socket>>(
    framed: &mut Framed<C>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    <Framed<C> as Sink<&str>>::poll_ready(Pin::new(framed), cx)
}

fn poll_flush<C: Connect<Io = Socket>>(
    framed: &mut Framed<C>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    <Framed<C> as Sink<&str>>::poll_flush(Pin::new(framed), cx)
}

fn poll_close<C: Connect<Io = Socket>>(
    framed: &mut Framed<C>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    <Framed<C> as Sink<&str>>::poll_close(Pin::new(framed), cx)
}

fn start_send<C: Connect<Io = Socket>>(framed: &mut Framed<C>, line: &str) -> io::Result<()> {
    Pin::new(framed).start_send(line)
}

fn poll_next<C: Connect<Io = Socket>>(
    framed: &mut Framed<C>,
    cx: &mut Context<'_>,
) -> Poll<String> {
    Pin::new(framed).poll_next(cx).map(describe)
}

/// Runs a future to its end, or to its panic.
async fn caught<T>(future: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(future).catch_unwind().await.ok()
}
