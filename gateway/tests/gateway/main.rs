//! Tests that need nothing but cargo: the library and the program, against fakes on loopback.

#![allow(clippy::disallowed_methods, reason = "tests state facts of system time, which a clock then follows")]

mod authoring;
mod churn;
mod cli;
mod config;
mod doctor;
mod log_capture;
mod migrate;
mod order;
mod plugins;
mod relay;
mod roster;
mod telemetry;
mod wire;
