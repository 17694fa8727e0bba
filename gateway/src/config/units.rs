//! Durations and sizes as people write them, with their bounds.

use std::{ops::RangeInclusive, time::Duration};

use bytesize::ByteSize;

use super::quote::quote;

/// What is wrong with a value, and how to mend it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnitError {
    pub(crate) problem: String,
    pub(crate) help: String,
}

/// The range of values that a key accepts, with the reason.
pub(crate) struct Bounds<T> {
    pub(crate) within: RangeInclusive<T>,
    pub(crate) because: &'static str,
}

pub(crate) const fn bounds<T>(within: RangeInclusive<T>, because: &'static str) -> Bounds<T> {
    Bounds { within, because }
}

pub(crate) fn duration(written: &str, bounds: &Bounds<Duration>) -> Result<Duration, UnitError> {
    let Ok(read) = humantime::parse_duration(written) else {
        return Err(UnitError {
            problem: format!("expected a duration, found {}", quote(written)),
            help: r#"write it with its unit: "800ms", "60s", "1h 30m""#.to_owned(),
        });
    };
    bounds.check(read, |d| humantime::format_duration(*d).to_string())
}

/// In bytes.
pub(crate) fn size(written: &str, bounds: &Bounds<u64>) -> Result<u64, UnitError> {
    let Ok(read) = written.parse::<ByteSize>() else {
        return Err(UnitError {
            problem: format!("expected a size, found {}", quote(written)),
            help: r#"write it with its unit: "512KiB", "16MiB""#.to_owned(),
        });
    };
    bounds.check(read.as_u64(), |bytes| shown_size(*bytes))
}

pub(crate) fn number(written: usize, bounds: &Bounds<usize>) -> Result<usize, UnitError> {
    bounds.check(written, ToString::to_string)
}

/// As a whole number of the largest unit possible.
fn shown_size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")];
    let unit = units.into_iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| "0B".to_owned(), |(unit, name)| format!("{}{name}", bytes / unit))
}

impl<T: PartialOrd> Bounds<T> {
    fn check(&self, read: T, show: impl Fn(&T) -> String) -> Result<T, UnitError> {
        if self.within.contains(&read) {
            return Ok(read);
        }
        let (least, most) = (show(self.within.start()), show(self.within.end()));
        Err(UnitError {
            problem: format!("expected {least} to {most}, found {}", show(&read)),
            help: self.because.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Bounds<Duration> = bounds(Duration::from_secs(1)..=Duration::from_secs(60), "why");

    #[test]
    fn a_duration_needs_its_unit_and_stays_in_its_bounds() {
        assert_eq!(duration("1s 500ms", &MINUTE), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("5", &MINUTE).unwrap_err().problem, r#"expected a duration, found "5""#);
        let far = UnitError { problem: "expected 1s to 1m, found 1h".into(), help: "why".into() };
        assert_eq!(duration("1h", &MINUTE), Err(far));
    }

    #[test]
    fn a_size_is_read_in_bytes() {
        let any = bounds(0..=u64::MAX, "");
        assert_eq!(size("16MiB", &any), Ok(16 << 20));
        assert_eq!(size("1.5 KiB", &any), Ok(1536));
        assert!(size("much", &any).is_err());
        let far = size("1000", &bounds(64 << 10..=256 << 20, "")).unwrap_err();
        assert_eq!(far.problem, "expected 64KiB to 256MiB, found 1000B");
    }

    proptest! {
        #[test]
        fn no_text_panics(written in any::<String>()) {
            let _ = duration(&written, &MINUTE);
            let _ = size(&written, &bounds(0..=9, ""));
        }

        #[test]
        fn what_is_taken_is_within_its_bounds(seconds in 0u64..200) {
            let taken = duration(&format!("{seconds}s"), &MINUTE).is_ok();
            prop_assert_eq!(taken, (1..=60).contains(&seconds));
        }
    }
}
