//! The curves: how many attempts arrive at the server, over time.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::Scenario;
use crate::contender::Contender;
use crate::table::{grouped, seconds};
use crate::tally::{DRAWN, Outcome, Point, STEP};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

const WIDTH: u32 = 1000;
const HEAD: u32 = 104;
const PANEL: u32 = 165;
const FOOT: u32 = 34;

const INK: RGBColor = RGBColor(34, 34, 34);
const PALE: RGBColor = RGBColor(110, 110, 110);
const REFUSED: RGBColor = RGBColor(217, 95, 70);
const ACCEPTED: RGBColor = RGBColor(38, 130, 110);
const AWAY: RGBColor = RGBColor(236, 236, 236);

pub(crate) fn draw(
    file: &Path,
    scenario: &Scenario,
    contenders: &[Contender],
    outcomes: &[Outcome],
) -> Drawn {
    let panels: Vec<_> = contenders
        .iter()
        .zip(outcomes)
        .filter_map(|(contender, outcome)| Some((contender.headline?, outcome)))
        .collect();
    let count = u32::try_from(panels.len())?;
    let root = SVGBackend::new(file, (WIDTH, HEAD + count * PANEL + FOOT)).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, body) = root.split_vertically(HEAD);
    title(&head, scenario)?;
    let (body, foot) = body.split_vertically(count * PANEL);
    let areas = body.split_evenly((panels.len(), 1));
    for ((headline, outcome), area) in panels.into_iter().zip(areas) {
        panel(&area, scenario, headline, outcome)?;
    }
    let middle = (i32::try_from(WIDTH / 2)?, 8);
    let style = text(16, INK).pos(Pos::new(HPos::Center, VPos::Top));
    foot.draw(&Text::new("seconds since the loss", middle, style))?;
    root.present()?;
    Ok(())
}

fn text(size: u32, color: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&color)
}

fn title(area: &Area<'_>, scenario: &Scenario) -> Drawn {
    let clients = grouped(u64::from(scenario.clients));
    let rate = grouped(scenario.rate);
    let backlog = match scenario.backlog {
        0 => String::new(),
        backlog => format!(", and {} may wait for it", grouped(backlog)),
    };
    let first = format!(
        "{clients} clients lose their server for {} s",
        scenario.outage / 1000
    );
    area.draw(&Text::new(first, (20, 14), text(24, INK)))?;
    let second = format!(
        "Connection attempts in each {STEP} ms, on a logarithmic scale. \
         After the outage the server accepts {rate} a second{backlog}.",
    );
    area.draw(&Text::new(second, (20, 46), text(15, PALE)))?;
    let keys = [
        (20, REFUSED, "refused"),
        (120, ACCEPTED, "accepted"),
        (230, AWAY, "the server is away"),
    ];
    for (x, color, word) in keys {
        area.draw(&Rectangle::new([(x, 74), (x + 14, 88)], color.filled()))?;
        area.draw(&Text::new(word, (x + 20, 73), text(15, INK)))?;
    }
    Ok(())
}

fn panel(area: &Area<'_>, scenario: &Scenario, headline: &str, outcome: &Outcome) -> Drawn {
    let top = f64::from(scenario.clients) * 2.0;
    let until = to_seconds(DRAWN);
    let mut chart = ChartBuilder::on(area)
        .margin_left(10)
        .margin_right(24)
        .margin_top(30)
        .x_label_area_size(22)
        .y_label_area_size(74)
        .build_cartesian_2d(0.0..until, (1.0..top).log_scale())?;
    let away = [(0.0, 1.0), (to_seconds(scenario.outage), top)];
    chart.draw_series([Rectangle::new(away, AWAY.filled())])?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(PALE.mix(0.25))
        .axis_style(PALE)
        .x_labels(16)
        .y_labels(5)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| grouped(rounded(*y)))
        .label_style(text(13, PALE))
        .draw()?;
    for (color, count) in [
        (REFUSED, (|point| point.attempts) as fn(&Point) -> u64),
        (ACCEPTED, |point| point.accepted),
    ] {
        for outline in outlines(&outcome.curve, count) {
            // A step is thinner than a pixel: the line keeps a lonely one visible.
            chart.draw_series([PathElement::new(outline.clone(), color)])?;
            chart.draw_series([Polygon::new(outline, color.filled())])?;
        }
    }
    area.draw(&Text::new(headline, (20, 8), text(17, INK)))?;
    let right = (i32::try_from(WIDTH)? - 24, 9);
    let style = text(15, INK).pos(Pos::new(HPos::Right, VPos::Top));
    area.draw(&Text::new(verdict(outcome), right, style))?;
    Ok(())
}

fn verdict(outcome: &Outcome) -> String {
    let [_, most, _] = outcome.back;
    format!(
        "at most {} attempts in {STEP} ms after the return; 99 % are back after {}",
        grouped(outcome.peak),
        seconds(most),
    )
}

/// The shapes below the curve, in steps; none where it is zero.
fn outlines(curve: &[Point], count: fn(&Point) -> u64) -> Vec<Vec<(f64, f64)>> {
    let mut shapes = Vec::new();
    let mut time = 0;
    for part in curve.chunk_by(|a, b| (count(a) == 0) == (count(b) == 0)) {
        let mut shape = vec![(to_seconds(time), 1.0)];
        for point in part {
            let height = exact(count(point)).max(1.0);
            shape.push((to_seconds(time), height));
            time += STEP;
            shape.push((to_seconds(time), height));
        }
        shape.push((to_seconds(time), 1.0));
        if part.iter().any(|point| count(point) > 0) {
            shapes.push(shape);
        }
    }
    shapes
}

fn to_seconds(milliseconds: u64) -> f64 {
    exact(milliseconds) / 1000.0
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
fn exact(number: u64) -> f64 {
    number as f64
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a label of the axis"
)]
fn rounded(label: f64) -> u64 {
    label.round() as u64
}
