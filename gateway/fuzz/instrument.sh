#!/bin/sh
# Runs instead of rustc for the workspace's own crates: the fuzzed crates are built with libFuzzer's counters. The
# crates below them are not: wasmtime has its own fuzzers.
set -e
case " $* " in
*' --crate-name metagate '* | *' --crate-name metagate_fuzz '*)
	exec "$@" -C passes=sancov-module \
		-C llvm-args=-sanitizer-coverage-level=4 \
		-C llvm-args=-sanitizer-coverage-inline-8bit-counters \
		-C llvm-args=-sanitizer-coverage-pc-table \
		-C llvm-args=-sanitizer-coverage-trace-compares
	;;
*) exec "$@" ;;
esac
