//! What is decided at the beginning of a history.

use std::sync::Arc;
use std::time::Duration;

use reconnecting_stream::{Backoff, Eof, Policy, ReconnectingFramed, Resend, Seam};

use super::super::classify::classify;
use super::super::codec::Codec;
use super::super::connection::Habits;
use super::super::connector::Connector;
use super::super::harness::{IDLE, Rig};
use super::super::observer::observer;
use super::super::random::Random;
use super::super::settings::{MAX_UNREAD, Offline, Settings};
use super::handshake::shake;
use super::newer;

pub type Framed = ReconnectingFramed<Connector, Codec>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirming {
    /// Each reply counts as the answer to the next message of its connection.
    Answered,
    /// The reader confirms the message that a reply names.
    Named,
    /// The reader takes note, and another thread confirms later.
    Elsewhere,
}

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub settings: Settings,
    pub confirming: Confirming,
    pub is_split: bool,
    pub begins_connected: bool,
    /// The reader asks for the next item as soon as it has got one.
    pub reads_on: bool,
    pub never_reads: bool,
    pub has_hooks: bool,
    pub may_close: bool,
    pub may_be_killed: bool,
    pub may_poison: bool,
    pub may_panic: bool,
    pub may_burst: bool,
    pub transient_errors: bool,
    pub has_idle_timeout: bool,
    /// The client flushes and closes by its own methods, not those of the sink.
    pub is_inherent: bool,
    pub observer_panics: bool,
}

impl Plan {
    pub fn of(random: &mut Random) -> Self {
        let mut settings = settings(random);
        newer::vary(&mut settings, random);
        // Only the whole tells how many messages it has dropped.
        let is_split = random.one_in(2) && !newer::may_drop(&settings);
        Self {
            settings,
            confirming: random.pick(&[
                Confirming::Answered,
                Confirming::Named,
                Confirming::Elsewhere,
            ]),
            is_split,
            begins_connected: random.one_in(3),
            reads_on: !random.one_in(3),
            never_reads: random.one_in(6),
            has_hooks: random.one_in(2),
            may_close: random.one_in(4),
            may_be_killed: random.one_in(20),
            may_poison: random.one_in(5),
            may_panic: random.one_in(10),
            may_burst: random.one_in(30),
            transient_errors: random.one_in(8),
            has_idle_timeout: random.one_in(6),
            is_inherent: random.one_in(2),
            // What a `SplitSink` holds back would be lost with the panic.
            observer_panics: !is_split && random.one_in(8),
        }
    }

    pub fn build(&self, rig: &Arc<Rig>) -> Framed {
        let settings = &self.settings;
        let policy = Policy::default()
            .backoff(Backoff::constant(super::BACKOFF))
            .attempt_timeout(Duration::from_millis(50))
            .eof(settings.eof)
            .idle_timeout(self.has_idle_timeout.then_some(IDLE))
            .classify(classify)
            .max_attempts(settings.max_attempts);
        let codec = Codec::new(Arc::clone(rig), settings.trailers);
        let mut builder = ReconnectingFramed::builder(Connector(Arc::clone(rig)), codec)
            .policy(policy)
            .seam(settings.seam)
            .resend(settings.resend)
            .max_queued(settings.max_queued)
            .on_event(observer(rig));
        builder = newer::set(builder, settings);
        if settings.has_handshake {
            let rig = Arc::clone(rig);
            builder = builder.on_connect(move |framed| shake(Arc::clone(&rig), framed));
        }
        if !self.begins_connected {
            rig.harness().observer_panics = self.observer_panics;
            return builder.lazy();
        }
        let framed = builder.wrap(rig.accept(1));
        rig.harness().observer_panics = self.observer_panics;
        framed
    }
}

fn settings(random: &mut Random) -> Settings {
    let seam = random.pick(&[Seam::Hidden, Seam::Error, Seam::Error, Seam::Eof]);
    let passes = seam != Seam::Eof && random.one_in(8);
    Settings {
        seam,
        eof: if passes { Eof::Pass } else { Eof::Reconnect },
        resend: resend(random),
        max_queued: random.pick(&[1, 30, 60, 200, 10_000]),
        max_attempts: random.one_in(8).then(|| random.pick(&[2, 3, 4])),
        offline: Offline::Keep,
        keeps_unsent: true,
        max_unread: MAX_UNREAD,
        habits: habits(random),
        trailers: random.pick(&[0, 0, 2]),
        has_handshake: random.one_in(4),
        banner: random.pick(&[0, 0, 1, 4]),
        faulty_attempts: random.one_in(2),
        has_classifier: random.one_in(6),
    }
}

fn resend(random: &mut Random) -> Resend {
    let max_bytes = random.pick(&[1, 40, 100, 10_000]);
    if random.one_in(2) {
        Resend::Torn
    } else {
        Resend::Unconfirmed { max_bytes }
    }
}

fn habits(random: &mut Random) -> Habits {
    Habits {
        chunk: random.pick(&[1, 3, 17, 4096, usize::MAX]),
        room: random.pick(&[0, 10, 100, usize::MAX]),
        buffer: random.pick(&[0, 0, 0, 50, 8192]),
        keeps_arrived: random.one_in(2),
    }
}
