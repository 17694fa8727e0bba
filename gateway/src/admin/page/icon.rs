//! Icons that repeat the words beside them, so that one state is found among a hundred. Each has its own outline: none
//! depends on its colour.

use maud::{Markup, html};

/// Good or bad news. The style sheet has a colour for each, this file a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    /// Refused by policy, as intended.
    No,
    /// Broken.
    Fault,
    /// Not yet.
    Wait,
    /// Neither good nor bad.
    Plain,
}

impl Tone {
    /// Of a policy decision's outcome, or of what `explain` says of a request; None before the first.
    pub(super) fn of_outcome(outcome: Option<&str>) -> Self {
        match outcome {
            None => Self::Wait,
            Some("granted" | "admitted") => Self::Good,
            Some("denied" | "other-role" | "no-such-path") => Self::No,
            Some("failed" | "plugin-failed" | "base-unknown" | "relisting" | "overtaken") => Self::Fault,
            Some(_) => Self::Plain,
        }
    }

    /// The CSS class, and the name of the shape.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::No => "no",
            Self::Fault => "fault",
            Self::Wait => "wait",
            Self::Plain => "plain",
        }
    }

    fn outline(self) -> &'static str {
        match self {
            Self::Good => "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1zM7 11.6 3.6 8.2l1.3-1.3L7 9l4.1-4.1 1.3 1.3z",
            Self::No => {
                "M5 1h6l4 4v6l-4 4H5l-4-4V5zM5.6 4.3 4.3 5.6 6.7 8l-2.4 2.4 1.3 1.3L8 9.3\
                 l2.4 2.4 1.3-1.3L9.3 8l2.4-2.4-1.3-1.3L8 6.7z"
            }
            Self::Fault => "M8 .8 15.8 15H.2zM7.1 5.8v4.4h1.8V5.8zm0 5.6v1.8h1.8v-1.8z",
            Self::Wait => {
                "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1zm0 1.7a5.3 5.3 0 1 1 0 10.6A5.3 5.3 0 0 1 8 2.7z\
                 M7.2 4.5v4.2h4V7.1H8.8V4.5z"
            }
            Self::Plain => "M2 2h12v12H2zm1.7 1.7v8.6h8.6V3.7zM5 7.1h6v1.8H5z",
        }
    }
}

/// Words with their icon.
pub(super) fn badge(tone: Tone, words: &str) -> Markup {
    html! { span.tone.(tone.name()) { (icon(tone)) (words) } }
}

pub(super) fn icon(tone: Tone) -> Markup {
    html! { svg.icon aria-hidden="true" { use href={ "#i-" (tone.name()) } {} } }
}

/// All shapes, once per page.
pub(super) fn sprite() -> Markup {
    let tones = [Tone::Good, Tone::No, Tone::Fault, Tone::Wait, Tone::Plain];
    html! {
        svg.sprite width="0" height="0" aria-hidden="true" focusable="false" {
            @for tone in tones {
                symbol id={ "i-" (tone.name()) } viewBox="0 0 16 16" {
                    path fill="currentColor" fill-rule="evenodd" d=(tone.outline()) {}
                }
            }
        }
    }
}
