//! Instructions of the hit path, counted by callgrind: the count is the same on a busy machine as on a quiet one.
//!
//! `make instructions` runs it, and fails if a count is more than 3 % above the one committed here, beyond what alignment
//! explains. Counts are those of the build that `instructions.toml` describes, on x86-64. callgrind has no SHA instructions,
//! so a seal takes ten times as many here as on a processor that has them.

#![expect(clippy::unwrap_used, reason = "a stage that fails is not to be counted")]

use std::{
    hint::black_box,
    net::{Ipv4Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use http::{Response, request::Parts};
use http_body_util::Full;
use metagate::{
    caller::identify,
    catalogue::CanonicalPath,
    config::Config,
    credential::{Credential, Form},
    dialect::{Answer, imds},
    handle::handle,
    policy::Granted,
    request_id::RequestId,
    roster::Entry,
    session::Session,
};
use metagate_bench::{
    Node,
    node::{CREDENTIAL, POD_ADDRESS, config},
};
use metagate_load::{
    bare::{self, Script},
    client::{Caller, Open},
};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
};
use tokio_util::sync::CancellationToken;

/// The latest count of each stage. A lower count is written here too, so that the gain cannot be lost again.
mod baseline {
    pub(super) const PATH: u64 = 1_410;
    pub(super) const TOKEN: u64 = 8_168;
    pub(super) const CALLER: u64 = 607;
    pub(super) const DECISION: u64 = 986;
    pub(super) const CREDENTIAL: u64 = 892;
    pub(super) const ANSWER: u64 = 1_561;
    pub(super) const REQUEST: u64 = 17_560;
    /// Client and server, for a hundred requests.
    pub(super) const GATEWAY: u64 = 9_500_000;
    pub(super) const BARE: u64 = 7_290_000;
}

/// Instructions that one source may differ by between two builds and two paths of a checkout: `memcpy` and `memchr` take
/// other steps at other alignments. Seen: 26 in `path` between two builds, 12 in `decision` between two machines.
const ALIGNMENT: u64 = 30;

fn at_most(baseline: u64) -> LibraryBenchmarkConfig {
    let mut callgrind = Callgrind::default();
    if cfg!(target_arch = "x86_64") {
        callgrind.hard_limits([(EventKind::Ir, baseline * 103 / 100 + ALIGNMENT)]);
    }
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

/// On one connection, so that what is counted once per connection weighs little.
const REQUESTS: usize = 100;

/// A node with a session token and a parsed request. The runtime is kept because the keeper runs on it.
///
/// It is boxed, as a benchmark takes and returns it: copying it would cost a fifth of the shortest counts, and `memcpy`
/// takes other instructions at another alignment of the stack.
struct Stage {
    _runtime: Runtime,
    node: Node,
    token: String,
    request: Parts,
}

/// Plugins have longer timeouts here: under callgrind a decision takes many times as long, and longer beside other
/// work. Its time is not what is counted.
fn with_long_timeouts() -> Config {
    let mut config = config().unwrap();
    for plugin in &mut config.plugins {
        plugin.timeout = Duration::from_secs(2);
    }
    config
}

impl Stage {
    fn set() -> Box<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let node = runtime.block_on(Node::of(&with_long_timeouts(), Vec::new())).unwrap();
        let (token, request) = (node.token().unwrap(), node.credential_request().unwrap());
        let stage = Box::new(Self { _runtime: runtime, node, token, request });
        // This call makes now what is made once per credential, workload or thread.
        let first = at_once(handle(stage.node.gateway(), &stage.node.origin, &stage.request, false));
        assert_eq!(first.unwrap().status(), 200);
        stage
    }

    /// After one answer, whose memory the next one takes. Where malloc finds memory for the first depends on all that was
    /// allocated before it, and costs 140 instructions more or less.
    fn answered() -> Box<Self> {
        let stage = Self::set();
        drop(stage.answer());
        stage
    }

    fn answer(&self) -> Response<Full<bytes::Bytes>> {
        let cached = self.node.gateway().credentials.peek(&self.node.grant).unwrap();
        let role = self.node.grant.role().arn.clone();
        imds::render(Ok(Answer::Credential(cached, role, Form::Plain)), RequestId::default())
    }
}

fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// A server and its caller on one thread.
struct Pair {
    runtime: Runtime,
    caller: Caller,
    open: Open,
}

impl Pair {
    fn gateway() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let node = runtime.block_on(Node::of(&with_long_timeouts(), Vec::new())).unwrap();
        let address = node.origin.connected_to;
        runtime.spawn(node.into_app().run(CancellationToken::new()));
        Self::connected(runtime, address)
    }

    /// Sends what the gateway sends.
    fn bare() -> Self {
        let Self { runtime, caller, mut open } = Self::gateway();
        let document = runtime.block_on(caller.credential(&mut open)).unwrap().into_body();
        let document = String::from_utf8(document.to_vec()).unwrap();
        let script = Script { token: caller.token.unwrap(), role: caller.role, document };
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(bare::serve(listener, script));
        Self::connected(runtime, address)
    }

    fn connected(runtime: Runtime, address: SocketAddr) -> Self {
        let caller = runtime.block_on(Caller::introduced(POD_ADDRESS, address)).unwrap();
        let open = runtime.block_on(caller.connect()).unwrap();
        let mut pair = Self { runtime, caller, open };
        pair.ask(2);
        pair
    }

    fn ask(&mut self, requests: usize) {
        let Self { runtime, caller, open } = self;
        runtime.block_on(async {
            for _ in 0..requests {
                caller.credential(open).await.unwrap();
            }
        });
    }
}

#[library_benchmark(setup = Stage::set, config = at_most(baseline::TOKEN))]
#[bench::hit()]
fn token(stage: Box<Stage>) -> Box<Stage> {
    let keys = &stage.node.gateway().keys;
    black_box(Session::open(keys, stage.token.as_bytes(), stage.node.origin.address(), SystemTime::now())).unwrap();
    stage
}

#[library_benchmark(setup = Stage::set, config = at_most(baseline::CALLER))]
#[bench::hit()]
fn caller(stage: Box<Stage>) -> (Box<Stage>, Arc<Entry>) {
    let feed = &stage.node.gateway().feed;
    let known = at_once(identify(feed, &stage.node.origin, Duration::ZERO)).unwrap().caller.unwrap();
    (stage, known)
}

#[library_benchmark(setup = Stage::set, config = at_most(baseline::DECISION))]
#[bench::hit()]
fn decision(stage: Box<Stage>) -> (Box<Stage>, Granted) {
    let granted = at_once(stage.node.gateway().policy.grant(stage.node.entry.principal())).unwrap().unwrap();
    (stage, granted)
}

#[library_benchmark(setup = Stage::set, config = at_most(baseline::CREDENTIAL))]
#[bench::hit()]
fn credential(stage: Box<Stage>) -> (Box<Stage>, Arc<Credential>) {
    let cached = at_once(stage.node.gateway().credentials.for_grant(&stage.node.grant)).unwrap().unwrap();
    (stage, cached)
}

#[library_benchmark(config = at_most(baseline::PATH))]
#[bench::hit(CREDENTIAL)]
fn path(path: &'static str) -> CanonicalPath<'static> {
    CanonicalPath::parse(black_box(path)).unwrap()
}

#[library_benchmark(setup = Stage::answered, config = at_most(baseline::ANSWER))]
#[bench::hit()]
fn answer(stage: Box<Stage>) -> (Box<Stage>, Response<Full<bytes::Bytes>>) {
    let rendered = stage.answer();
    (stage, rendered)
}

#[library_benchmark(setup = Stage::set, config = at_most(baseline::REQUEST))]
#[bench::hit()]
fn request(stage: Box<Stage>) -> (Box<Stage>, Response<Full<bytes::Bytes>>) {
    let answer = at_once(handle(stage.node.gateway(), &stage.node.origin, &stage.request, false)).unwrap();
    (stage, answer)
}

#[library_benchmark]
#[bench::gateway(args = (Pair::gateway()), config = at_most(baseline::GATEWAY))]
#[bench::bare(args = (Pair::bare()), config = at_most(baseline::BARE))]
fn connection(mut pair: Pair) -> Pair {
    pair.ask(REQUESTS);
    pair
}

library_benchmark_group!(
    name = hit,
    benchmarks = [path, token, caller, decision, credential, answer, request, connection]
);
main!(library_benchmark_groups = hit);
