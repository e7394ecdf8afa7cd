//! Section 4 of the contract: the behaviour of `ReconnectingStream`, sentence by sentence.
//!
//! A test here has the sentence as its name. Sentences that another test shows already are listed
//! with it and not tested twice. `*` stands for several tests of the same beginning.
//!
//! | sentence | test |
//! |---|---|
//! | an error of a lost kind drops the connection immediately, before the backoff | `behavior.rs::errors::a_read_that_meets_a_reset_*`, `a_write_that_meets_a_reset_*`, `a_flush_that_meets_a_reset_*`, `sockets.rs::the_dead_socket_is_closed_before_the_backoff_begins` |
//! | a loss wakes both halves | `waking.rs::a_loss_wakes_the_other_half_immediately` |
//! | the outage begins or continues | `behavior.rs::attempts::a_connection_resets_the_backoff_only_once_it_is_stable` |
//! | lost kinds | `behavior.rs::errors::errors_of_broken_connections_are_losses_by_default`, `policy/verdict.rs::lost_errnos_are_a_loss` |
//! | never a loss | `behavior.rs::errors::other_errors_are_returned_and_the_connection_stays`, `policy/verdict.rs::a_lack_of_resources_is_not_a_loss` |
//! | the end of the stream | `behavior.rs::eof::*` |
//! | a read into an empty buffer, a write of an empty slice | `behavior.rs::empty::*` |
//! | the other half never touches the old connection again | `behavior.rs::halves::a_loss_seen_by_one_half_keeps_the_other_off_the_old_connection` |
//! | a read that waits longer than the idle timeout | `behavior.rs::idle::*` |
//! | an attempt that fails or times out is repeated after the backoff | `behavior.rs::attempts::a_failed_attempt_is_repeated_after_the_backoff`, `an_attempt_that_hangs_times_out` |
//! | errors that end an outage | `behavior.rs::attempts::errors_that_repeating_cannot_cure_end_the_outage`, `a_denied_permission_is_final_before_the_first_success` |
//! | both halves continue on the new connection | `waking.rs::both_halves_complete_on_a_current_thread_runtime`, `both_halves_complete_on_a_multi_thread_runtime` |
//! | backoff and counter are reset only once it is stable | `behavior.rs::attempts::a_connection_resets_the_backoff_only_once_it_is_stable` |
//! | `GaveUp`: every later poll of either half answers the same | `behavior.rs::cap::after_giving_up_every_poll_of_either_half_returns_the_same_error` |
//! | `handle.reconnect()` starts afresh | `behavior.rs::cap::a_reconnect_after_giving_up_starts_afresh` |
//! | no reconnect ever after a shutdown | `behavior.rs::shutdown::no_command_reconnects_a_stream_that_was_shut_down`, `final_loss::no_command_dials_again_after_a_permanent_verdict_in_a_shutdown` |
//! | reads continue until the end | `behavior.rs::shutdown::after_a_shutdown_reads_continue_until_the_end_and_nothing_reconnects`, `sockets.rs::a_stream_that_was_shut_down_reads_until_the_end` |
//! | twice: the same answer | `final_loss::a_second_shutdown_*` |
//! | writes after it: `BrokenPipe` | `behavior.rs::shutdown::a_second_shutdown_succeeds_and_writes_after_it_are_a_broken_pipe` |
//! | during an outage the attempt is canceled | `behavior.rs::shutdown::a_shutdown_during_an_outage_cancels_the_attempt` |
//! | a loss that nothing will replace is told whatever the seam | `final_loss::a_loss_*`, `an_idle_timeout_*`, `a_reader_that_waits_*`, `a_shutdown_that_waits_*` |
//! | ... a connection that is marked lost | `final_loss::a_connection_that_is_marked_lost_while_it_is_shut_down_is_told_whatever_the_seam` |
//! | ... the same for a buffered connection, and for TLS | `real::a_reset_*`, `real::tls::*`, `an_end_without_a_close_notify_*` |
//! | ... for a permanent verdict in the shutdown | `final_loss::a_permanent_verdict_in_a_shutdown_is_told_to_both_halves_whatever_the_seam` |
//! | `reconnect()` dials without a delay; asking again changes nothing | `commands::a_reconnect_that_is_repeated_*` |
//! | one `Retrying` for each attempt | `commands::there_is_one_retrying_for_each_attempt` |
//! | `mark_lost` is a loss like any other, under the backoff | `mark_lost::*` |
//! | the observer panics | `panics::an_observer_*`, `a_connection_whose_event_*`, `a_shutdown_whose_events_*`, `a_half_that_waits_*`, `giving_up_for_good_*` |
//! | the classifier panics | `panics::a_classifier_*` |
//! | a connector, or the delays, panic | `panics_of_connectors::*`, `connectors.rs::*` |
//! | a drop panics | `panics_of_drops::*` |
//! | at `Lost` the state that handles see is no longer `Connected` | `outage::at_the_event_lost_*`, `at_every_event_*` |
//! | `max_outage` below `stable_after` | `outage::a_connection_that_has_lived_longer_*`, `a_connection_that_has_not_*` |
//! | `handle.close()` | `behavior.rs::close::*`, `waking.rs::a_command_wakes_halves_that_wait_for_a_healthy_connection` |
//! | drop leaves nothing behind | `behavior.rs::drops::a_dropped_stream_leaves_nothing_behind`, `leaks.rs::a_dropped_stream_leaves_no_task_and_no_open_file` |
//! | a poll future is dropped | `behavior.rs::drops::a_dropped_write_loses_nothing`, `framed.rs::both_halves_of_a_framed_stream_complete_in_every_order_whichever_is_dropped` |
//! | `Seam::Hidden` | `seams.rs::a_hidden_seam_is_reported_to_neither_half`, `a_hidden_seam_tears_a_message_that_was_cut` |
//! | `Seam::Error`: exactly one, before anything waits | `seams.rs::seam_error_is_one_error_for_each_half_before_anything_waits`, `seam_error_comes_before_the_next_connection_is_used_though_it_is_there_already` |
//! | its next operation drives the reconnect | `seams.rs::a_half_that_waits_is_woken_and_gets_the_loss` |
//! | several seams between two operations are one error | `seams.rs::several_seams_between_two_operations_are_one_error` |
//! | `Seam::Eof` | `seams.rs::seam_eof_is_an_end_for_the_reader_and_an_error_for_the_writer` |
//! | the stream moves only when it is polled | `outage::a_stream_moves_only_when_it_is_polled` |
//! | `connected()` moves no data | `outage::connected_drives_a_stream_to_the_next_connection_without_moving_data` |
//! | the defaults | `outage::by_default_*`, `policy/backoff/tests.rs::full_jitter_spreads_from_the_floor_to_the_delay_and_the_first_one_too`, `no_delay_is_ever_above_the_cap_and_zero_only_if_asked` |

#[cfg(feature = "rustls")]
#[path = "support/tls.rs"]
mod certificates;
mod contract;
mod support;

#[path = "contract_stream/commands.rs"]
mod commands;
#[path = "contract_stream/final_loss.rs"]
mod final_loss;
#[path = "contract_stream/mark_lost.rs"]
mod mark_lost;
#[path = "contract_stream/outage.rs"]
mod outage;
#[path = "contract_stream/panics.rs"]
mod panics;
#[path = "contract_stream/panics_of_connectors.rs"]
mod panics_of_connectors;
#[path = "contract_stream/panics_of_drops.rs"]
mod panics_of_drops;
#[path = "contract_stream/real.rs"]
mod real;

use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use contract::{Net, Recorder, Socket};
use futures::FutureExt;
use reconnecting_stream::{Backoff, Builder, Connect, Policy, ReconnectingStream, Seam};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const SEAMS: [Seam; 3] = [Seam::Hidden, Seam::Error, Seam::Eof];

fn policy() -> Policy {
    Policy::default().backoff(Backoff::constant(SECOND))
}

fn build(net: &Net, seam: Seam) -> Builder<impl Connect<Io = Socket, Future: Send> + Send + Sync> {
    ReconnectingStream::builder(net.connector())
        .policy(policy())
        .seam(seam)
}

async fn connect(
    net: &Net,
    seam: Seam,
) -> ReconnectingStream<impl Connect<Io = Socket, Future: Send> + Send + Sync> {
    build(net, seam).connect().await.unwrap()
}

async fn read(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut buf = [0; 64];
    let n = reader.read(&mut buf).await?;
    Ok(buf[..n].to_vec())
}

fn is_lost<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|e| support::lost(e).is_some())
}

fn has_given_up<T>(result: &io::Result<T>) -> bool {
    result
        .as_ref()
        .is_err_and(|e| support::gave_up(e).is_some())
}

/// Runs a future to its end, or to its panic.
async fn caught<T>(future: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(future).catch_unwind().await.ok()
}

fn observed(net: &Net, seam: Seam) -> (Builder<impl Connect<Io = Socket> + Send>, Recorder) {
    let recorder = Recorder::new();
    let builder = build(net, seam).on_event(recorder.observer());
    (builder, recorder)
}

/// Polls a read of a stream that is not split: a panic would poison the lock of its halves.
fn poll_read(
    stream: &mut ReconnectingStream<impl Connect<Io = Socket>>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Vec<u8>>> {
    let mut bytes = [0; 64];
    let mut buf = ReadBuf::new(&mut bytes);
    let polled = Pin::new(stream).poll_read(cx, &mut buf);
    polled.map_ok(|()| buf.filled().to_vec())
}
