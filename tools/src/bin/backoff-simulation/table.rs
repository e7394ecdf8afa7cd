//! The table, as Markdown.

use crate::Scenario;
use crate::contender::Contender;
use crate::simulation::LIMIT;
use crate::tally::Outcome;

pub(crate) fn print(scenario: &Scenario, contenders: &[Contender], outcomes: &[Outcome]) {
    println!(
        "## {} clients, {} connections a second, {}, an outage of {} s\n",
        grouped(u64::from(scenario.clients)),
        grouped(scenario.rate),
        match scenario.backlog {
            0 => "no backlog".into(),
            backlog => format!("a backlog of {}", grouped(backlog)),
        },
        scenario.outage / 1000,
    );
    println!(
        "All could be back {} after its end.\n",
        seconds(Some(scenario.ideal()))
    );
    println!("| jitter | delays | peak | 50 % | 99 % | 100 % | in vain | refused |");
    println!("|:------ |:------ | ----:| ----:| ----:| -----:| -------:| -------:|");
    for (contender, outcome) in contenders.iter().zip(outcomes) {
        let [half, most, all] = outcome.back.map(seconds);
        println!(
            "| {} | {} | {} | {half} | {most} | {all} | {} | {} |",
            contender.jitter,
            contender.delays,
            grouped(outcome.peak),
            per_client(outcome.in_vain, outcome),
            per_client(outcome.refused, outcome),
        );
    }
    println!();
}

/// Formats a time, or that it exceeds the limit of the simulation.
pub(crate) fn seconds(milliseconds: Option<u64>) -> String {
    match milliseconds {
        None => format!("> {} h", LIMIT / 3_600_000),
        Some(long) if long >= 100_000 => format!("{} s", grouped(long / 1000)),
        Some(short) => format!("{}.{} s", short / 1000, short % 1000 / 100),
    }
}

fn per_client(attempts: u64, outcome: &Outcome) -> String {
    let tenths = attempts * 10 / outcome.clients;
    match tenths {
        many if many >= 1000 => grouped(many / 10),
        few => format!("{}.{}", few / 10, few % 10),
    }
}

pub(crate) fn grouped(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}
