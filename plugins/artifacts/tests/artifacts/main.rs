//! Embedded components and sealed native code, in engines like the gateway's.

mod builtins;
mod guests;
mod sealed;
