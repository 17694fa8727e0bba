//! The remaining life of a credential, as a bar and in words.

use std::time::{Duration, SystemTime};

use maud::{Markup, html};

use super::{
    icon::{Tone, icon},
    words::{ago, span},
};

/// With less life left, an SDK signs nothing before it has a new credential (botocore's mandatory refresh).
const MANDATORY: Duration = Duration::from_secs(10 * 60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Runs {
        left: Duration,
        /// From issue to expiry. None: the issue is not known, or is after the expiry.
        whole: Option<Duration>,
    },
    Expired {
        at: SystemTime,
    },
}

impl Life {
    pub(super) fn of(issued: Option<SystemTime>, expires: SystemTime, now: SystemTime) -> Self {
        let whole = issued.and_then(|issued| expires.duration_since(issued).ok()).filter(|whole| !whole.is_zero());
        match expires.duration_since(now) {
            // Issued in the future by our clock: no more is left than the whole.
            Ok(left) if !left.is_zero() => Self::Runs { left: whole.map_or(left, |whole| left.min(whole)), whole },
            _ => Self::Expired { at: expires },
        }
    }

    /// Percent. None: the whole life is not known.
    pub(super) fn share(self) -> Option<u8> {
        match self {
            Self::Expired { .. } => Some(0),
            Self::Runs { left, whole } => {
                let percent = left.as_secs_f64() / whole?.as_secs_f64() * 100.0;
                // The cast saturates. A credential that is still valid shows at least 1%.
                Some((percent.round() as u8).clamp(1, 100))
            }
        }
    }

    /// Whether it should have been renewed long ago: renewal starts at half of its life.
    pub(super) fn is_near_its_end(self) -> bool {
        match self {
            Self::Expired { .. } => true,
            Self::Runs { left, whole } => left < whole.map_or(MANDATORY, |whole| MANDATORY.min(whole / 4)),
        }
    }

    pub(super) fn words(self, now: SystemTime) -> String {
        match self {
            Self::Expired { at } => format!("expired {}", ago(now, at)),
            Self::Runs { left, whole: Some(whole) } => format!("{} of {}", span(left), span(whole)),
            Self::Runs { left, whole: None } => format!("{} left", span(left)),
        }
    }
}

/// The bar repeats the words.
pub(super) fn bar(life: Life, now: SystemTime) -> Markup {
    let tone = match life {
        Life::Expired { .. } => Tone::No,
        near if near.is_near_its_end() => Tone::Fault,
        _ => Tone::Good,
    };
    html! {
        div.life.(tone.name()) {
            @if let Some(share) = life.share() {
                svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
                    rect.track width="100" height="6" {}
                    rect.left width=(share) height="6" {}
                }
            }
            span { @if tone != Tone::Good { (icon(tone)) } (life.words(now)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(minutes: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(minutes * 60)
    }

    #[test]
    fn what_is_left_is_a_share_of_the_whole() {
        let life = Life::of(Some(at(100)), at(160), at(119));
        assert_eq!((life.share(), life.words(at(119)).as_str()), (Some(68), "41 min of 1 h"));
        assert!(!life.is_near_its_end());
    }

    #[test]
    fn an_expired_credential_has_an_empty_bar_and_says_since_when() {
        for now in [at(160), at(172)] {
            assert_eq!(Life::of(Some(at(100)), at(160), now).share(), Some(0));
        }
        let life = Life::of(Some(at(100)), at(160), at(172));
        assert_eq!(life.words(at(172)), "expired 12 min ago");
        assert!(life.is_near_its_end());
    }

    #[test]
    fn a_clock_that_is_behind_has_a_full_bar_and_not_more() {
        let life = Life::of(Some(at(100)), at(160), at(10));
        assert_eq!((life.share(), life.words(at(10)).as_str()), (Some(100), "1 h of 1 h"));
    }

    #[test]
    fn a_life_without_a_beginning_has_words_and_no_bar() {
        for issued in [None, Some(at(161)), Some(at(160))] {
            let life = Life::of(issued, at(160), at(119));
            assert_eq!((life.share(), life.words(at(119)).as_str()), (None, "41 min left"));
        }
        assert!(!bar(Life::of(None, at(160), at(119)), at(119)).into_string().contains("<rect"));
    }

    #[test]
    fn the_last_second_is_seen_and_is_near_the_end() {
        let life = Life::of(Some(at(0)), at(60 * 12), at(60 * 12) - Duration::from_secs(1));
        assert_eq!(life.share(), Some(1));
        assert!(life.is_near_its_end());
    }

    #[test]
    fn a_short_session_is_near_its_end_in_its_last_quarter() {
        let life = |now| Life::of(Some(at(0)), at(15), at(now));
        assert!(!life(11).is_near_its_end());
        assert!(life(12).is_near_its_end());
    }
}
