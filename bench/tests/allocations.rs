//! The hit path allocates next to nothing (invariant 5).
//!
//! Each future is polled once, outside its runtime: only its own allocations are counted, and it must not wait.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here fails a test")]

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use allocation_counter::measure;
use http::StatusCode;
use metagate::{
    caller::identify,
    handle::handle,
    session::{Session, Token, Ttl},
};
use metagate_bench::Node;
use tokio::runtime::{Builder, Runtime};

/// The runtime is kept because the keeper runs on it.
fn node() -> (Runtime, Node) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let node = runtime.block_on(Node::start()).unwrap();
    (runtime, node)
}

fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the hit path waits"),
    }
}

/// Allocations of one call, after a first call that fills what is filled once.
fn allocations<T>(mut call: impl FnMut() -> T) -> u64 {
    drop(call());
    let mut output = None;
    let counted = measure(|| output = Some(call()));
    assert!(output.is_some());
    counted.count_total
}

#[test]
fn the_counter_counts() {
    let (_runtime, node) = node();
    let mint = || {
        let (keys, uid) = (&node.gateway().keys, &node.entry.workload.uid);
        Token::mint(keys, Ttl::parse("60").unwrap(), node.origin.address(), Some(uid), SystemTime::now()).unwrap()
    };
    assert_eq!(allocations(mint), 1, "a token is one string");
}

#[test]
fn a_token_is_verified_without_an_allocation() {
    let (_runtime, node) = node();
    let (token, keys) = (node.token().unwrap(), &node.gateway().keys);
    let verify = || Session::open(keys, token.as_bytes(), node.origin.address(), SystemTime::now()).unwrap();
    assert_eq!(allocations(verify), 0);
}

#[test]
fn a_known_caller_is_found_without_an_allocation() {
    let (_runtime, node) = node();
    let find = || at_once(identify(&node.gateway().feed, &node.origin, Duration::ZERO)).caller.unwrap();
    assert_eq!(find().workload.title(), node.entry.workload.title());
    assert_eq!(allocations(find), 0);
}

#[test]
fn a_cached_decision_is_found_without_an_allocation() {
    let (_runtime, node) = node();
    assert_eq!(allocations(|| at_once(node.gateway().policy.grant(node.entry.principal())).unwrap()), 0);
}

#[test]
fn a_cached_credential_is_returned_without_an_allocation() {
    let (_runtime, node) = node();
    assert_eq!(allocations(|| at_once(node.gateway().credentials.for_grant(&node.grant)).unwrap()), 0);
}

/// What a whole answer allocates today, without an access log: a change that needs more must say so here.
const WHOLE_ANSWER: u64 = 3;

#[test]
#[expect(clippy::print_stdout, reason = "shown with --nocapture")]
fn a_whole_answer_allocates_no_more_than_it_did() {
    let (_runtime, node) = node();
    let parts = node.credential_request().unwrap();
    let answer = || at_once(handle(node.gateway(), &node.origin, &parts, false));
    assert_eq!(answer().status(), StatusCode::OK);
    let counted = allocations(answer);
    println!("IMDSv2 GET of a credential document: {counted} allocations between hyper's parser and its writer");
    assert!(counted <= WHOLE_ANSWER, "{counted} allocations");
}
