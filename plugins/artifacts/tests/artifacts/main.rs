//! What is embedded and what is sealed, in engines like the gateway's.

mod builtins;
mod guests;
mod sealed;
