//! Curves as SVG: dark on white, so that they are readable on dark and on light pages.

use std::{ops::Range, path::Path};

use anyhow::{Result, anyhow};
use plotters::{
    coord::{
        Shift,
        ranged1d::{AsRangedCoord, Ranged, ValueFormatter},
    },
    prelude::*,
    style::RelativeSize,
};

const SIZE: (u32, u32) = (860, 480);
/// Colours that people who do not see red or green can tell apart too (Okabe and Ito, "Color Universal Design", 2008).
const COLOURS: [RGBColor; 5] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167), RGBColor(86, 86, 86)];

pub struct Plot {
    pub title: &'static str,
    pub x: Axis,
    pub y: Axis,
    pub curves: Vec<Curve>,
}

pub struct Axis {
    /// With its unit.
    pub label: &'static str,
    pub range: Range<f64>,
    pub scale: Scale,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Linear,
    /// By powers of ten.
    Log,
}

pub struct Curve {
    pub name: String,
    pub points: Vec<(f64, f64)>,
    pub marks: Marks,
}

/// Whether single points are drawn: yes if few were measured, no if the curve is a sequence or a limit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    Points,
    None,
}

impl Curve {
    pub fn measured(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, marks: Marks::Points }
    }

    pub fn line(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, marks: Marks::None }
    }
}

impl Axis {
    pub fn linear(label: &'static str, range: Range<f64>) -> Self {
        Self { label, range, scale: Scale::Linear }
    }

    pub fn log(label: &'static str, range: Range<f64>) -> Self {
        Self { label, range, scale: Scale::Log }
    }
}

impl Plot {
    pub fn draw(&self, file: &Path) -> Result<()> {
        let area = SVGBackend::new(file, SIZE).into_drawing_area();
        let (x, y) = (self.x.range.clone(), self.y.range.clone());
        let drawn = match (self.x.scale, self.y.scale) {
            (Scale::Linear, Scale::Linear) => self.draw_on(&area, x, y),
            (Scale::Log, Scale::Linear) => self.draw_on(&area, x.log_scale(), y),
            (Scale::Linear, Scale::Log) => self.draw_on(&area, x, y.log_scale()),
            (Scale::Log, Scale::Log) => self.draw_on(&area, x.log_scale(), y.log_scale()),
        };
        drawn.map_err(|error| anyhow!("cannot draw {}: {error}", file.display()))
    }

    fn draw_on<X, Y>(
        &self,
        area: &DrawingArea<SVGBackend<'_>, Shift>,
        x: X,
        y: Y,
    ) -> Result<(), Box<dyn std::error::Error>>
    where
        X: AsRangedCoord<Value = f64>,
        Y: AsRangedCoord<Value = f64>,
        X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, ("sans-serif", 19))
            .margin(14)
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .x_desc(self.x.label)
            .y_desc(self.y.label)
            .x_label_formatter(&|value| short(*value))
            .y_label_formatter(&|value| short(*value))
            .label_style(("sans-serif", 14))
            .axis_desc_style(("sans-serif", 15))
            .max_light_lines(5)
            .bold_line_style(RGBColor(214, 214, 214))
            .light_line_style(RGBColor(240, 240, 240))
            .draw()?;
        for (curve, colour) in self.curves.iter().zip(COLOURS.iter().cycle()) {
            let style = colour.stroke_width(2);
            chart
                .draw_series(LineSeries::new(curve.points.iter().copied(), style))?
                .label(curve.name.clone())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], style));
            if curve.marks == Marks::Points {
                chart.draw_series(curve.points.iter().map(|point| Circle::new(*point, 4, colour.filled())))?;
            }
        }
        if self.curves.len() > 1 {
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperLeft)
                .margin(RelativeSize::Smaller(0.03).max(12))
                .background_style(WHITE.mix(0.9))
                .border_style(RGBColor(190, 190, 190))
                .label_font(("sans-serif", 14))
                .draw()?;
        }
        area.present()?;
        Ok(())
    }
}

/// A tick's number in as few characters as identify it.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 1e6 => format!("{}M", value / 1e6),
        size if size >= 1e4 => format!("{}k", value / 1e3),
        size if size >= 0.001 => format!("{}", (value * 1e6).round() / 1e6),
        _ => format!("{value:e}"),
    }
}
