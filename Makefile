# Every command of the project. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help demo test ready fmt lint drift spec conformance bench bench-check fuzz soak guests bless

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## a fresh sandbox per request: 200 000 requests from each language, 1 000 000 from Rust
	@scripts/demo.sh

test: ## every test of every language whose toolchain is there
	@scripts/test.sh

ready: fmt lint test ## formatting, lints, drift checks and all tests: what CI runs

fmt: ## check the formatting
	cargo fmt --all --check

lint: ## clippy, with warnings as errors
	cargo clippy --workspace --all-targets --quiet -- -D warnings

drift: ## check that generated copies, import directions, versions and documents agree with the code
	cargo test --quiet -p instar-drift

bless: ## rewrite the generated copies
	BLESS=1 cargo test --quiet -p instar-drift kinds

spec: ## the official WebAssembly test suite, as far as it is in scope
	cargo run --quiet -p instar-spec

conformance: ## the same cases through every language, and one matrix
	@scripts/conformance.sh

bench: ## side by side with peers; writes target/bench/report.json (docs/benchmarks.md says how)
	@tests/bench/run.sh

bench-check: ## fail if a figure in the report misses its target
	@python3 tests/bench/check.py

fuzz: ## fuzz; FUZZ=module, diff, tenants, artifact or all, SECONDS=60 for each, START=seed
	cargo run --release -p instar-fuzz -- $(or $(FUZZ),all) --seconds $(or $(SECONDS),60) --start $(or $(START),0)

soak: ## ten million operations in every way of tracking writes, and thousands of modules and engines: nothing is left behind
	cargo test -p instar --test suite soak -- --ignored --nocapture

guests: ## build the guest programs
	tests/guests/build.sh "" all
