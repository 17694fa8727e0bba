#!/bin/sh
# Stands before rustc for the workspace's own crates: those that are fuzzed are built with libFuzzer's counters. What is
# below them is not: wasmtime has its own fuzzers.
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
