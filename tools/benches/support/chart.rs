//! Charts for `docs/`, for readers who have not read the text around them.

use std::error::Error;
use std::{fs, io};

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Colours that people with any eyesight tell apart, in print too.
const COLOURS: [RGBColor; 3] = [RGBColor(0, 90, 160), RGBColor(230, 140, 20), BLACK];

const WIDTH: u32 = 800;
const MARGIN: i32 = 24;
const HEAD: i32 = 112;
const FONT: &str = "sans-serif";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

/// Horizontal bars in groups, each with its value at its end.
pub struct Bars<'a> {
    pub title: &'a str,
    /// What a newcomer has to know, under the title.
    pub note: &'a str,
    pub series: &'a [&'a str],
    /// A name, and a value for each of the series.
    pub groups: Vec<(String, Vec<f64>)>,
}

impl Bars<'_> {
    pub fn draw(&self, file: &str) -> Drawn {
        const BAR: i32 = 22;
        const GAP: i32 = 16;
        const NAMES: i32 = 150;
        let group_height = BAR * i32::try_from(self.series.len())? + GAP;
        let height = HEAD + group_height * i32::try_from(self.groups.len())? + MARGIN;
        let path = path(file)?;
        let area = SVGBackend::new(&path, (WIDTH, height.try_into()?)).into_drawing_area();
        head(&area, self.title, self.note, self.series)?;

        let values = self.groups.iter().flat_map(|(_, values)| values);
        let highest = values.copied().fold(f64::MIN_POSITIVE, f64::max);
        let room = f64::from(i32::try_from(WIDTH)? - NAMES - 2 * MARGIN - 60);
        let mut top = HEAD;
        for (name, values) in &self.groups {
            let middle = top + (group_height - GAP) / 2;
            let right = Pos::new(HPos::Right, VPos::Center);
            write(&area, name, (MARGIN + NAMES - 12, middle), 17, right)?;
            for (value, colour) in values.iter().zip(COLOURS) {
                let left = MARGIN + NAMES;
                let end = left + pixels(value / highest * room);
                let corners = [(left, top + 2), (end.max(left + 1), top + BAR - 2)];
                area.draw(&Rectangle::new(corners, colour.filled()))?;
                let at = Pos::new(HPos::Left, VPos::Center);
                write(&area, &figure(*value), (end + 8, top + BAR / 2), 16, at)?;
                top += BAR;
            }
            top += GAP;
        }
        Ok(area.present()?)
    }
}

/// Lines over time.
pub struct Lines<'a> {
    pub title: &'a str,
    /// What a newcomer has to know, under the title.
    pub note: &'a str,
    pub across: &'a str,
    pub up: &'a str,
    pub highest: f64,
    /// A name, and its points.
    pub series: Vec<(&'a str, Vec<(f64, f64)>)>,
}

impl Lines<'_> {
    pub fn draw(&self, file: &str) -> Drawn {
        let path = path(file)?;
        let area = SVGBackend::new(&path, (WIDTH, 460)).into_drawing_area();
        let names: Vec<&str> = self.series.iter().map(|(name, _)| *name).collect();
        head(&area, self.title, self.note, &names)?;

        let points = self.series.iter().flat_map(|(_, points)| points);
        let last = points.map(|(x, _)| *x).fold(0.0, f64::max);
        let (_, below) = area.split_vertically(HEAD - 8);
        let mut chart = ChartBuilder::on(&below)
            .margin(MARGIN)
            .margin_top(8)
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..last, 0.0..self.highest)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(self.across)
            .y_desc(self.up)
            .label_style((FONT, 15))
            .axis_desc_style((FONT, 16))
            .x_label_formatter(&|x| format!("{x}"))
            .y_label_formatter(&|y| figure(*y))
            .draw()?;
        for ((_, points), colour) in self.series.iter().zip(COLOURS) {
            let line = LineSeries::new(points.iter().copied(), colour.stroke_width(3));
            chart.draw_series(line)?;
        }
        Ok(area.present()?)
    }
}

/// Returns the path of a chart, in the folder `docs` of the workspace.
fn path(file: &str) -> io::Result<String> {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
    fs::create_dir_all(docs)?;
    Ok(format!("{docs}/{file}"))
}

/// The title, the note, and which colour is what.
fn head(area: &Area<'_>, title: &str, note: &str, names: &[&str]) -> Drawn {
    area.fill(&WHITE)?;
    let at = Pos::new(HPos::Left, VPos::Center);
    write(area, title, (MARGIN, 28), 22, at)?;
    write(area, note, (MARGIN, 56), 15, at)?;
    let mut left = MARGIN;
    for (name, colour) in names.iter().zip(COLOURS) {
        let square = [(left, 78), (left + 14, 92)];
        area.draw(&Rectangle::new(square, colour.filled()))?;
        write(area, name, (left + 22, 85), 16, at)?;
        left += 60 + 9 * i32::try_from(name.len())?;
    }
    Ok(())
}

fn write(area: &Area<'_>, text: &str, at: (i32, i32), size: i32, anchor: Pos) -> Drawn {
    let style = (FONT, size).into_text_style(area).pos(anchor);
    Ok(area.draw(&Text::new(text.to_owned(), at, style))?)
}

/// With commas between thousands.
fn figure(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[expect(clippy::cast_possible_truncation, reason = "a chart is small")]
fn pixels(length: f64) -> i32 {
    length.round() as i32
}
