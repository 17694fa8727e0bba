//! Attacks of a plugin on the gateway, apart from its answers.

use std::hint::{black_box, spin_loop};

use metagate_plugin_sdk::{Level, log};

pub(crate) fn spin() -> ! {
    loop {
        spin_loop();
    }
}

/// Allocates this much memory, page by page, and touches it; the allocator panics if there is no more.
pub(crate) fn grow(bytes: usize) {
    const PAGE: usize = 64 << 10;
    let mut held = Vec::new();
    for _ in 0..bytes.div_ceil(PAGE) {
        held.push(vec![1_u8; PAGE]);
        black_box(&held);
    }
}

#[expect(unconditional_recursion, reason = "it is to run out of stack")]
pub(crate) fn recurse(depth: u64) -> u64 {
    // The addition after the call keeps the compiler from making a loop of it.
    black_box(recurse(black_box(depth + 1))) + 1
}

#[expect(clippy::panic, reason = "the host is to see one")]
pub(crate) fn panic() -> ! {
    panic!("hostile: asked to panic")
}

pub(crate) fn flood(lines: usize) {
    for line in 0..lines {
        log(Level::Info, &format!("hostile line {line}"));
    }
}

/// An invalid string: its bytes are not UTF-8.
pub(crate) fn bad_utf8() -> String {
    #[expect(unsafe_code, reason = "nothing reads the string before the host does, whose check this is to meet")]
    unsafe {
        String::from_utf8_unchecked(vec![b'n', b'o', 0xff, 0xfe])
    }
}
