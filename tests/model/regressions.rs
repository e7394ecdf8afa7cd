//! Histories that the model and an early version of the stream disagreed about, as short as can
//! be.

use std::io::ErrorKind;

use reconnecting_stream::{Eof, Seam};

use super::plan::{Begin, Delays, Op, Plan, Rules, Step};
use super::run;
use super::support::{Fault, Outcome};

fn plan(seam: Seam, steps: &[Step]) -> Plan {
    let rules = Rules {
        delays: Delays::Constant(0),
        max_attempts: None,
        max_outage: None,
        stable_after: 0,
        attempt_timeout: 1_000,
        idle_timeout: Some(1_000),
        eof: Eof::Reconnect,
    };
    Plan {
        rules,
        seam,
        begin: Begin::Connected,
        script: vec![Outcome::Accepts],
        steps: steps.to_vec(),
    }
}

const RUN: Step = Step::Run {
    writer_first: false,
};

#[test]
fn an_empty_read_does_not_end_the_idle_wait() {
    run(&plan(
        Seam::Error,
        &[
            Step::Poll(Op::Read(1)),
            Step::Advance(900),
            Step::Poll(Op::Read(0)),
            Step::Poll(Op::Read(1)),
            Step::Advance(100),
            RUN,
        ],
    ));
}

#[test]
fn the_first_write_after_a_seam_does_not_end_the_idle_wait() {
    run(&plan(
        Seam::Hidden,
        &[
            Step::Poll(Op::Read(1)),
            Step::Fault(Fault::Error(ErrorKind::BrokenPipe)),
            RUN,
            Step::Advance(900),
            Step::Poll(Op::Write(1)),
            Step::Advance(100),
            RUN,
        ],
    ));
}

#[test]
fn a_flush_after_a_shutdown_does_not_end_the_idle_wait() {
    run(&plan(
        Seam::Hidden,
        &[
            Step::Poll(Op::Shutdown),
            Step::Poll(Op::Read(1)),
            Step::Advance(900),
            Step::Poll(Op::Flush),
            Step::Advance(100),
            RUN,
        ],
    ));
}

#[test]
fn after_a_close_a_reader_gets_the_end_even_if_the_writer_shuts_down() {
    for has_read_the_end in [false, true] {
        let mut steps = vec![
            Step::Fault(Fault::Reset),
            Step::Poll(Op::Write(1)),
            Step::Close,
        ];
        if has_read_the_end {
            steps.push(Step::Poll(Op::Read(1)));
        }
        steps.extend([Op::Shutdown, Op::Read(1), Op::Read(1)].map(Step::Poll));
        run(&plan(Seam::Error, &steps));
    }
}
