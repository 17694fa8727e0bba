//! Requests of pods in the last ten minutes, as a plot, a sentence and a table. The three lines differ in form, not only in
//! colour. Words are outside of the drawing, which is stretched to the available width.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use maud::{Markup, html};

use super::{
    columns,
    words::{counted, number, span_between},
};
use crate::admin::state::TrafficState;

const MINUTES: u64 = 10;
const WINDOW: Duration = Duration::from_secs(MINUTES * 60);
/// The size of the drawing, in its own units.
const WIDTH: f64 = 1200.0;
const HEIGHT: f64 = 200.0;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    requests: u64,
    hits: u64,
    refusals: u64,
}

/// One interval's place on the axis, and its rates per second.
#[derive(Debug, PartialEq)]
struct Step {
    from: f64,
    to: f64,
    requests: f64,
    hits: f64,
    refusals: f64,
}

struct Plot {
    /// The time that was counted, such as `the last 10 minutes`. None: nothing is counted yet.
    period: Option<String>,
    steps: Vec<Step>,
    /// The top of the axis, in requests per second.
    top: f64,
    peak: f64,
    total: Count,
    /// By age in minutes, the newest first.
    minutes: Vec<Count>,
}

pub(super) fn section(traffic: &[TrafficState], started_at: SystemTime, now: SystemTime) -> Markup {
    let plot = Plot::of(traffic, started_at, now);
    html! {
        section #traffic aria-labelledby="traffic-title" {
            h2 #traffic-title { "Traffic" }
            p { (plot.summary()) }
            @if !plot.steps.is_empty() {
                figure {
                    figcaption { "Requests per second" (legend()) }
                    div.plot {
                        ul.axis-y aria-hidden="true" {
                            @for share in [1.0, 0.5, 0.0] { li { (rate(plot.top * share)) } }
                        }
                        (drawing(&plot))
                        ul.axis-x aria-hidden="true" { li { "10 min ago" } li { "5 min" } li { "now" } }
                    }
                }
                (table(&plot))
            }
        }
    }
}

impl Plot {
    fn of(traffic: &[TrafficState], started_at: SystemTime, now: SystemTime) -> Self {
        let period = match now.duration_since(started_at) {
            Ok(up) if up >= WINDOW => format!("the last {MINUTES} minutes"),
            _ => format!("the {} since the gateway started", span_between(started_at, now)),
        };
        let mut plot = Self {
            period: (!traffic.is_empty()).then_some(period),
            steps: Vec::new(),
            top: 1.0,
            peak: 0.0,
            total: Count::default(),
            minutes: vec![Count::default(); MINUTES as usize],
        };
        for sample in traffic {
            let count = Count { requests: sample.requests, hits: sample.hits, refusals: sample.refusals };
            // An end in the future counts as now.
            let age = sample
                .at
                .checked_add(Duration::from_secs(sample.seconds))
                .and_then(|end| now.duration_since(end).ok())
                .unwrap_or_default();
            let minute = usize::try_from(age.as_secs() / 60).ok().and_then(|minute| plot.minutes.get_mut(minute));
            let Some(minute) = minute else { continue };
            minute.add(count);
            plot.total.add(count);
            let Some(step) = Step::of(&count, age, sample.seconds) else { continue };
            plot.peak = plot.peak.max(step.requests);
            plot.top = plot.top.max(step.requests).max(step.hits).max(step.refusals);
            plot.steps.push(step);
        }
        plot.top = round_up(plot.top);
        plot
    }

    fn summary(&self) -> String {
        let Count { requests, hits, refusals } = self.total;
        let Some(period) = &self.period else {
            return "Nothing is counted yet: the first sample comes some seconds after the start.".to_owned();
        };
        if requests == 0 {
            return format!("No request came in {period}.");
        }
        // An interval of less than a second has no rate.
        let peak = if self.peak > 0.0 { format!(", at most {} per second", rate(self.peak)) } else { String::new() };
        format!(
            "{} in {period}{peak}: {} answered from the credential cache, {} refused.",
            counted(requests, "request", "requests"),
            number(hits),
            number(refusals),
        )
    }
}

impl Count {
    fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.hits = self.hits.saturating_add(other.hits);
        self.refusals = self.refusals.saturating_add(other.refusals);
    }
}

impl Step {
    /// None of an interval of less than a second.
    fn of(count: &Count, age: Duration, seconds: u64) -> Option<Self> {
        let each = |n: u64| n as f64 / seconds as f64;
        let place = |ago: f64| ((1.0 - ago / WINDOW.as_secs_f64()) * WIDTH).clamp(0.0, WIDTH).round();
        (seconds > 0).then(|| Self {
            from: place(age.as_secs_f64() + seconds as f64),
            to: place(age.as_secs_f64()),
            requests: each(count.requests),
            hits: each(count.hits),
            refusals: each(count.refusals),
        })
    }
}

/// Up to a number that is easily read off an axis, as is its half.
fn round_up(top: f64) -> f64 {
    let power = 10f64.powf(top.log10().floor());
    [1.0, 2.0, 3.0, 4.0, 6.0, 8.0].map(|n| n * power).into_iter().find(|round| *round >= top).unwrap_or(10.0 * power)
}

fn rate(each_second: f64) -> String {
    match each_second {
        0.0 => "0".to_owned(),
        few if few < 10.0 => format!("{few:.1}"),
        many => number(many.round() as u64),
    }
}

fn drawing(plot: &Plot) -> Markup {
    html! {
        svg viewBox="0 0 1200 200" preserveAspectRatio="none" role="img" aria-labelledby="plot-title plot-desc" {
            title #plot-title { "Requests, hits and refusals per second" }
            desc #plot-desc { (plot.summary()) }
            path.grid d="M0 0H1200M0 100H1200M0 200H1200" {}
            path.area d=(closed(&plot.steps, plot.top, |step| step.requests)) {}
            path.requests d=(line(&plot.steps, plot.top, |step| step.requests)) {}
            path.hits d=(line(&plot.steps, plot.top, |step| step.hits)) {}
            path.refusals d=(closed(&plot.steps, plot.top, |step| step.refusals)) {}
        }
    }
}

fn height(value: f64, top: f64) -> f64 {
    (HEIGHT * (1.0 - value / top)).clamp(0.0, HEIGHT).round()
}

/// A line of steps, one per sample; gaps between samples stay gaps.
fn line(steps: &[Step], top: f64, value: impl Fn(&Step) -> f64) -> String {
    let (mut path, mut last) = (String::new(), None);
    for step in steps {
        let y = height(value(step), top);
        // Writing to a string does not fail.
        let _ = match last {
            Some((end, before)) if end == step.from && before == y => write!(path, "H{}", step.to),
            Some((end, _)) if end == step.from => write!(path, "V{y}H{}", step.to),
            _ => write!(path, "M{} {y}H{}", step.from, step.to),
        };
        last = Some((step.to, y));
    }
    path
}

/// One column per sample above zero, closed down to the axis.
fn closed(steps: &[Step], top: f64, value: impl Fn(&Step) -> f64) -> String {
    let mut path = String::new();
    for step in steps.iter().filter(|step| value(step) > 0.0) {
        let _ = write!(path, "M{} 200V{}H{}V200Z", step.from, height(value(step), top), step.to);
    }
    path
}

fn legend() -> Markup {
    html! {
        ul.legend {
            @for (class, path, words) in [
                ("requests", "M0 4H28", "requests"),
                ("hits", "M0 6H28", "hits: answered from the credential cache"),
                ("refusals", "M4 12V3H9V12ZM13 12V6H18V12ZM22 12V1H27V12Z", "refusals"),
            ] {
                li { svg viewBox="0 0 28 12" aria-hidden="true" { path.(class) d=(path) {} } (words) }
            }
        }
    }
}

fn table(plot: &Plot) -> Markup {
    html! {
        details data-key="traffic-table" {
            summary { "As a table, by minute" }
            table.numbers {
                caption { "Each minute, the newest first" }
                (columns(&["Minutes ago", "Requests", "Hits", "Refusals"]))
                tbody {
                    @for (minute, count) in plot.minutes.iter().enumerate() {
                        tr {
                            th scope="row" { (minute) "–" (minute + 1) }
                            td { (number(count.requests)) }
                            td { (number(count.hits)) }
                            td { (number(count.refusals)) }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000_000)
    }

    fn sample(ago: u64, seconds: u64, requests: u64) -> TrafficState {
        let at = now() - Duration::from_secs(ago);
        TrafficState { at, seconds, requests, hits: requests / 2, refusals: requests / 10 }
    }

    /// Of a gateway that has been up for an hour.
    fn of(samples: &[TrafficState]) -> Plot {
        Plot::of(samples, now() - Duration::from_secs(3_600), now())
    }

    #[test]
    fn what_came_within_less_than_a_second_is_counted_and_has_no_rate() {
        let plot = of(&[sample(300, 5, 20), sample(0, 0, 10)]);
        assert_eq!((plot.total.requests, plot.total.refusals, plot.steps.len()), (30, 3, 1));
        assert!(of(&[sample(0, 0, 10)]).summary().contains("10 requests in the last 10 minutes: 5 answered"));
    }

    #[test]
    fn a_gateway_that_just_started_claims_no_ten_minutes() {
        let plot = |requests| Plot::of(&[sample(5, 5, requests)], now() - Duration::from_secs(41), now());
        assert_eq!(plot(0).summary(), "No request came in the 41 s since the gateway started.");
        assert!(
            plot(10)
                .summary()
                .starts_with("10 requests in the 41 s since the gateway started, at most 2.0 per second: ")
        );
    }

    #[test]
    fn without_a_sample_there_is_a_sentence_and_no_plot() {
        let page = section(&[], now(), now()).into_string();
        assert!(page.contains("Nothing is counted yet") && !page.contains("<svg"), "{page}");
    }

    #[test]
    fn one_sample_is_a_line() {
        let plot = of(&[sample(10, 5, 20)]);
        assert_eq!(plot.steps, [Step { from: 1180.0, to: 1190.0, requests: 4.0, hits: 2.0, refusals: 0.4 }]);
        assert_eq!((plot.top, plot.peak), (4.0, 4.0));
        assert_eq!(line(&plot.steps, plot.top, |step| step.requests), "M1180 0H1190");
        assert_eq!(closed(&plot.steps, plot.top, |step| step.refusals), "M1180 200V180H1190V200Z");
    }

    #[test]
    fn a_quiet_time_is_one_line_on_the_axis() {
        let quiet: Vec<_> = (1..=120).rev().map(|n| sample(n * 5, 5, 0)).collect();
        let plot = of(&quiet);
        assert_eq!((plot.top, plot.summary().as_str()), (1.0, "No request came in the last 10 minutes."));
        let drawn = line(&plot.steps, plot.top, |step| step.requests);
        assert!(drawn.starts_with("M0 200H10H20") && !drawn.contains('V'), "{drawn}");
        assert_eq!(closed(&plot.steps, plot.top, |step| step.refusals), "");
    }

    #[test]
    fn an_interval_without_length_from_the_future_or_too_long_ago_divides_nothing() {
        let odd = [sample(5, 0, 7), sample(3_600, 5, 7), sample(700, 5, 7)];
        assert!(of(&odd).steps.is_empty());
        let ahead = TrafficState { at: now() + Duration::from_secs(60), ..sample(0, 5, u64::MAX) };
        let plot = of(&[ahead]);
        assert!(plot.top.is_finite() && plot.steps.iter().all(|step| step.to == WIDTH));
    }

    #[test]
    fn a_gap_between_samples_is_a_gap_in_the_line() {
        let plot = of(&[sample(300, 5, 5), sample(295, 5, 5), sample(100, 5, 5)]);
        assert_eq!(line(&plot.steps, plot.top, |step| step.requests), "M600 0H610H620M1000 0H1010");
    }

    #[test]
    fn the_axis_ends_at_a_round_number_above_all_lines() {
        assert_eq!([1.0, 1.2, 2.0, 3.1, 7.0, 84.0, 1_000.0].map(round_up), [1.0, 2.0, 2.0, 4.0, 8.0, 100.0, 1_000.0]);
    }

    #[test]
    fn minutes_of_the_table_sum_up_to_the_total() {
        let busy: Vec<_> = (1..=120).rev().map(|n| sample(n * 5, 5, n)).collect();
        let plot = of(&busy);
        let mut sum = Count::default();
        plot.minutes.iter().for_each(|count| sum.add(*count));
        assert_eq!(sum, plot.total);
        assert_eq!(plot.total.requests, (1..=120).sum::<u64>());
    }
}
