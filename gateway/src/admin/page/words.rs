//! Numbers, times and untrusted text for a person to read.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use maud::{Markup, Render, html};

use crate::clock::rfc3339;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Text that others wrote. Invisible characters and those that change the direction of text are written as escapes, so that
/// no name looks like another; maud escapes the rest.
pub(super) struct Untrusted<'a>(pub(super) &'a str);

impl Render for Untrusted<'_> {
    fn render_to(&self, buffer: &mut String) {
        let mut rest = self.0;
        while let Some(place) = rest.find(is_unseen) {
            let (before, from) = rest.split_at(place);
            before.render_to(buffer);
            let mut after = from.chars();
            if let Some(unseen) = after.next() {
                // Writing to a string does not fail.
                let _ = write!(buffer, "{}", unseen.escape_unicode());
            }
            rest = after.as_str();
        }
        rest.render_to(buffer);
    }
}

/// An untrusted ARN or path, which may wrap after a slash.
pub(super) struct Path<'a>(pub(super) &'a str);

impl Render for Path<'_> {
    fn render(&self) -> Markup {
        let parts = self.0.split_inclusive('/').enumerate();
        html! { code { @for (place, part) in parts { @if place > 0 { wbr; } (Untrusted(part)) } } }
    }
}

/// A sentence of the gateway, with commands in backticks.
pub(super) struct Sentence<'a>(pub(super) &'a str);

impl Render for Sentence<'_> {
    fn render(&self) -> Markup {
        let parts = self.0.split('`').enumerate();
        html! {
            @for (place, part) in parts {
                @if place % 2 == 0 { (Untrusted(part)) } @else { code { (Untrusted(part)) } }
            }
        }
    }
}

/// Controls, and Unicode's formatting characters of no width (Bidi_Control among them, UAX #9).
fn is_unseen(c: char) -> bool {
    let breaks = matches!(c, '\n' | '\t');
    let formats = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    (c.is_control() && !breaks) || formats
}

/// A duration in at most two units: `41 s`, `41 min`, `3 h 5 min`, `12 days`.
pub(super) fn span(length: Duration) -> String {
    match length.as_secs() {
        seconds @ ..MINUTE => format!("{seconds} s"),
        seconds @ ..HOUR => format!("{} min", seconds / MINUTE),
        seconds @ ..DAY => match (seconds / HOUR, seconds % HOUR / MINUTE) {
            (hours, 0) => format!("{hours} h"),
            (hours, minutes) => format!("{hours} h {minutes} min"),
        },
        seconds => counted(seconds / DAY, "day", "days"),
    }
}

pub(super) fn span_between(from: SystemTime, to: SystemTime) -> String {
    span(to.duration_since(from).unwrap_or_default())
}

/// A past event in the future, where clocks disagree, is `now`.
pub(super) fn ago(now: SystemTime, at: SystemTime) -> String {
    match now.duration_since(at) {
        Ok(past) if past.as_secs() > 0 => format!("{} ago", span(past)),
        _ => "now".to_owned(),
    }
}

/// The same for RFC 3339 text; any other text is returned unchanged.
pub(super) fn ago_text(now: SystemTime, at: &str) -> String {
    humantime::parse_rfc3339(at).map_or_else(|_| at.to_owned(), |at| ago(now, at))
}

pub(super) fn until(now: SystemTime, at: SystemTime) -> String {
    match at.duration_since(now) {
        Ok(left) if left.as_secs() > 0 => format!("in {}", span(left)),
        _ => "due now".to_owned(),
    }
}

/// `12:00:05 UTC`
pub(super) fn clock_time(at: SystemTime) -> String {
    let whole = rfc3339(at);
    let time = whole.split_once('T').map_or(whole.as_str(), |(_, time)| time);
    time.strip_suffix('Z').map_or_else(|| time.to_owned(), |time| format!("{time} UTC"))
}

/// `12,345`
pub(super) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 day`, `2 days`
pub(super) fn counted(n: u64, one: &str, more: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { more })
}

pub(super) fn counted_len(n: usize, one: &str, more: &str) -> String {
    counted(u64::try_from(n).unwrap_or(u64::MAX), one, more)
}

/// `310 µs`, `1.2 ms`, `2.1 s`
pub(super) fn microseconds(n: u64) -> String {
    match n {
        ..1_000 => format!("{n} µs"),
        1_000..1_000_000 => format!("{}.{} ms", n / 1_000, n % 1_000 / 100),
        _ => format!("{}.{} s", n / 1_000_000, n % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_length_of_time_has_two_places_at_most() {
        let said = [0, 59, 60, 3599, 3600, 11_100, 86_399, 86_400, 1_036_800].map(|n| span(seconds(n)));
        assert_eq!(
            said,
            ["0 s", "59 s", "1 min", "59 min", "1 h", "3 h 5 min", "23 h 59 min", "1 day", "12 days"]
                .map(str::to_owned)
        );
    }

    #[test]
    fn what_happened_is_never_in_the_future() {
        let now = UNIX_EPOCH + seconds(1_000);
        assert_eq!(ago(now, now - seconds(90)), "1 min ago");
        assert_eq!(ago(now, now + seconds(90)), "now");
        assert_eq!(until(now, now + seconds(90)), "in 1 min");
        assert_eq!(until(now, now - seconds(90)), "due now");
    }

    #[test]
    fn a_moment_outside_of_the_calendar_is_unknown_and_no_panic() {
        let late = UNIX_EPOCH + seconds(300_000_000_000);
        for odd in [UNIX_EPOCH - seconds(1), late] {
            assert_eq!(clock_time(odd), "unknown");
        }
        assert_eq!(clock_time(UNIX_EPOCH + seconds(5)), "00:00:05 UTC");
    }

    #[test]
    fn what_turns_text_around_or_is_not_seen_is_spelled_out() {
        let text = "a\u{202e}b\u{200b}<c>\u{0}\u{7f}\u{feff}";
        let rendered = html! { (Untrusted(text)) }.into_string();
        assert_eq!(rendered, "a\\u{202e}b\\u{200b}&lt;c&gt;\\u{0}\\u{7f}\\u{feff}");
        assert_eq!(html! { (Untrusted("grüße, 世界\n")) }.into_string(), "grüße, 世界\n");
    }

    #[test]
    fn a_path_may_be_broken_behind_a_slash_and_says_the_same() {
        assert_eq!(html! { (Path("a/b<c")) }.into_string(), "<code>a/<wbr>b&lt;c</code>");
        assert_eq!(html! { (Sentence("see `metagate doctor`.")) }.into_string(), "see <code>metagate doctor</code>.");
    }

    #[test]
    fn numbers_are_grouped_and_counted() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"].map(str::to_owned));
        assert_eq!(number(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!((counted(1, "pod", "pods"), counted(2, "pod", "pods")), ("1 pod".into(), "2 pods".into()));
        assert_eq!([310, 1_250, 2_100_000].map(microseconds), ["310 µs", "1.2 ms", "2.1 s"].map(str::to_owned));
    }
}
