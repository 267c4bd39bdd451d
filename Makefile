# One line says what a target is for (`make help` prints it), one does it. `make run` and `make test` need a Debian 12 with
# Rust, Go, a JDK and Maven; what else they need they install themselves as root, or name.

export CARGO_TARGET_DIR ?= $(HOME)/.cache/millrace/target
export MILLRACE_BIN_DIR ?= $(CARGO_TARGET_DIR)/debug
EXAMPLE := examples/01-filter-map
# Names of the integration tests in folders. cargo gets them one by one, always of the whole workspace: `-p` and `--exclude`
# change the features of dependencies, and build them anew.
tests = $(notdir $(basename $(wildcard $(1:=/*.rs))) $(patsubst %/main.rs,%,$(wildcard $(1:=/*/main.rs))))
UNIT := $(call tests,crates/*/tests crds/tests operator/tests runner/tests)
E2E := $(call tests,e2e/tests)
$(if $(filter $(UNIT),$(E2E)),$(error two crates have a test called $(filter $(UNIT),$(E2E))))

.DEFAULT_GOAL := help
.PHONY: help build run demo test unit e2e sim lint crds broker cluster bench tools clean

help: ## shows this list
	@grep -E '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

build: tools ## builds all programs for development; `kubectl-millrace` is `millrace` as kubectl finds it
	cargo build --workspace --bins && ln -sf millrace $(MILLRACE_BIN_DIR)/kubectl-millrace

run: build ## runs the first example on the embedded engine: results on the screen
	@$(MILLRACE_BIN_DIR)/millrace run $(EXAMPLE)/pipeline.yaml --input $(EXAMPLE)/input.jsonl && .ci/next-steps $(MILLRACE_BIN_DIR)/millrace

demo: build ## Kubernetes and Kafka up, Millrace installed, an example at work, watched live, until Ctrl-C
	@.ci/tools cluster && $(MILLRACE_BIN_DIR)/millrace-demo $(DEMO)

test: lint unit e2e ## everything: lints, tests of all crates, whole-system tests on a real broker and a real cluster

unit: tools ## tests of all crates, without a broker
	cargo test --workspace --lib --bins $(addprefix --test ,$(UNIT))

e2e: build ## whole-system tests on a real Kafka broker (fetched with Maven) and a real Kubernetes (built with Go)
	@.ci/tools cluster
	$(MILLRACE_BIN_DIR)/millrace-broker -- cargo test --workspace --test kafka && cargo test --workspace --no-fail-fast $(addprefix --test ,$(E2E))

sim: tools ## simulated crashes: SEED=n tells one run step by step, SEEDS=from..to plays many (1,000 are part of `make unit`)
	cargo run -q -p millrace-sim -- $(or $(SEED),$(SEEDS),0..1000)

lint: tools ## formatting, clippy, source files that nothing declares, features on which building and testing differ
	cargo fmt --all --check && cargo clippy --workspace --all-targets -- -D warnings && python3 .ci/undeclared.py && .ci/features

crds: build ## writes the CustomResourceDefinitions in crds/ and in the chart anew from the Rust types
	$(MILLRACE_BIN_DIR)/crdgen crds && $(MILLRACE_BIN_DIR)/crdgen charts/millrace/files

broker: build ## starts a Kafka broker on localhost:9092, until Ctrl-C
	@$(MILLRACE_BIN_DIR)/millrace-broker --port 9092

cluster: build ## starts a Kubernetes of one node with a broker and our images, until the end of stdin (Ctrl-D)
	@.ci/tools cluster && $(MILLRACE_BIN_DIR)/millrace-cluster --broker --images

bench: tools ## CPU and memory beside Kafka Streams on the same topics (EVENTS=2000000 ROUNDS=3)
	cargo build --release --workspace --bins && MILLRACE_BIN_DIR=$(CARGO_TARGET_DIR)/release $(CARGO_TARGET_DIR)/release/millrace-bench

tools: ## installs what building and testing need and what is missing (as root; else says what)
	@.ci/tools

clean: ## removes what was built, not what was fetched
	cargo clean
