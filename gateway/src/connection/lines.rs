//! Line endings.
//!
//! hyper's parser also accepts a line feed without a carriage return as a line ending. A proxy in front of the gateway
//! may not, and two parsers that disagree on where a header ends allow request smuggling (RFC 9112, 11.2). No request
//! here has a body, so a client may send only lines.

use memchr::memchr_iter;

#[derive(Default)]
pub(super) struct Lines {
    after_return: bool,
}

impl Lines {
    /// The position in `bytes`, which continue those of the last call, of the first line feed without a carriage
    /// return.
    pub(super) fn bare_feed(&mut self, bytes: &[u8]) -> Option<usize> {
        let after_return = |at: usize| match at.checked_sub(1) {
            None => self.after_return,
            Some(before) => bytes.get(before) == Some(&b'\r'),
        };
        let bare = memchr_iter(b'\n', bytes).find(|at| !after_return(*at));
        if let Some(last) = bytes.last() {
            self.after_return = *last == b'\r';
        }
        bare
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However the bytes are cut into reads, the first bare line feed of the whole is found.
        #[test]
        fn agrees_with_looking_at_everything_at_once(text in "[a\r\n]{0,24}", cut in 0usize..25) {
            let bytes = text.as_bytes();
            let bare = |at: &usize| bytes[*at] == b'\n' && (*at == 0 || bytes[at - 1] != b'\r');
            let model = (0..bytes.len()).find(bare);
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            let mut lines = Lines::default();
            let found = lines.bare_feed(head).or_else(|| Some(head.len() + lines.bare_feed(tail)?));
            prop_assert_eq!(found, model);
        }
    }
}
