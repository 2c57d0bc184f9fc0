# Steplane. `make` alone lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES := conformance controlplane sdk_py tests examples benchmarks proto docs

# Do what needs a tool where that is, and else say what is left out; nothing may be where NOTHING_LEFT_OUT is set.
where = @if command -v $(1) >/dev/null; then set -x; $(2); \
  else echo "$@: LEFT OUT what needs $(1), which is not installed"; test -z "$$NOTHING_LEFT_OUT"; fi
TYPESCRIPT := make --no-print-directory sdk_ts/node_modules/.package-lock.json

# LANG is the locale's variable as well: one of the environment is that, one on make's command line is the demo's language, and
# then no command may take it for its locale.
DEMO_LANGUAGE :=
ifeq ($(origin LANG),command line)
DEMO_LANGUAGE := $(LANG)
unexport LANG
endif
EMAIL := examples/weekly_email
RUST := examples/rust_worker

.DEFAULT_GOAL := help
# tsc writes its output even where it finds mistakes: that must not count as built.
.DELETE_ON_ERROR:
.PHONY: help setup proto docs fmt check test test-python test-typescript test-go test-rust conformance demo bench crash clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with everything that the other commands need

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[server,dev]'
	@touch $@

sdk_ts/node_modules/.package-lock.json: sdk_ts/package-lock.json
	@echo "Installing the packages of the TypeScript SDK (once) ..."
	@cd sdk_ts && npm ci --loglevel=error --no-audit --no-fund
	@touch $@

sdk_ts/dist/src/index.js: sdk_ts/node_modules/.package-lock.json $(shell find sdk_ts/src -name '*.ts')
	@echo "Building the TypeScript SDK ..."
	@cd sdk_ts && npm run --silent build
	@touch $@

proto: $(STAMP) ## generate the Python code of proto/ anew
	cd proto && ../$(BIN)/buf format --write
	$(BIN)/python proto/generate.py

docs: $(STAMP) ## make the generated pages of docs/reference anew
	$(BIN)/python docs/generate.py

fmt: $(STAMP) ## format the code
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

check: $(STAMP) ## format, lint, types, layers, contract: what a change must pass
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	cd proto && ../$(BIN)/buf lint && ../$(BIN)/buf format --diff --exit-code
	$(BIN)/python proto/breaking.py
	$(BIN)/python proto/generate.py --check
	$(BIN)/python docs/generate.py --check
	$(BIN)/python -m conformance.vectors --check
	$(call where,node,$(TYPESCRIPT) && cd sdk_ts && npm run --silent check && \
	  npx prettier --config .prettierrc.json --check ../$(EMAIL)/typescript/*.* ../tests/acceptance/*/*.mts)
	$(call where,go,cd sdk_go && ./check.sh)
	$(call where,cargo,cd $(RUST) && cargo fmt --check && cargo clippy --quiet --locked --all-targets -- --deny warnings)

test: test-python test-typescript test-go test-rust conformance ## all tests; what needs node, go or cargo only where these are

test-python: $(STAMP) ## the tests in Python, those across languages among them
	$(BIN)/python -m pytest -n 2

test-typescript: $(STAMP) ## the tests of the TypeScript SDK
	$(call where,node,$(TYPESCRIPT) && cd sdk_ts && npm test --silent)

test-go: $(STAMP) ## the tests of the Go SDK, under the race detector
	$(call where,go,cd sdk_go && go test -race ./...)

test-rust: ## the tests of the worker in Rust that follows docs/write-an-sdk.md
	$(call where,cargo,cd $(RUST) && cargo test --quiet --locked --release)

conformance: $(STAMP) ## the conformance kit against each SDK, and the worker in Rust
	$(BIN)/steplane conformance --no-json --worker '$(BIN)/python sdk_py/conformance/worker.py'
	$(call where,node,$(TYPESCRIPT) && (cd sdk_ts && npm run --silent build) && \
	  $(BIN)/steplane conformance --no-json --worker 'node sdk_ts/dist/conformance/worker.js')
	$(call where,go,(cd sdk_go && go build -o bin/conformance ./conformance) && \
	  $(BIN)/steplane conformance --no-json --worker sdk_go/bin/conformance)
	$(call where,cargo,(cd $(RUST) && cargo build --quiet --locked --release) && \
	  $(BIN)/steplane conformance --no-json --worker $(RUST)/target/release/rust_worker)

demo: $(STAMP) ## the first look: fan-out, a killed worker, and the lineage of it all (LANG=ts|go|all)
	@$(BIN)/python -m examples.weekly_email.demo $(DEMO_LANGUAGE)

$(EMAIL)/typescript/dist/app.js: sdk_ts/dist/src/index.js $(wildcard $(EMAIL)/typescript/*.*)
	@echo "Building the program in TypeScript ..."
	@cd $(EMAIL)/typescript && npm install --loglevel=error --no-audit --no-fund --no-package-lock >/dev/null && \
	  npm run --silent build

$(EMAIL)/go/bin/weekly_email: $(wildcard $(EMAIL)/go/*.*) $(shell find sdk_go -name '*.go')
	@echo "Building the program in Go, and the Go SDK ..."
	@cd $(EMAIL)/go && go build -o bin/weekly_email .

bench: $(STAMP) ## measure, and write benchmarks/RESULTS.md (YARDSTICK=folder: that too; BENCH=--help)
	$(BIN)/python -m benchmarks.bench $(if $(YARDSTICK),--yardstick $(YARDSTICK)) $(BENCH)

crash: $(STAMP) ## the long crash tests: more than 100 random kills under load
	CRASH_ROUNDS=$${CRASH_ROUNDS:-30} $(BIN)/python -m pytest tests/crash --timeout=3600

clean: ## delete what the commands made
	rm -rf $(VENV) $(RUST)/target sdk_ts/node_modules sdk_ts/dist sdk_go/bin $(EMAIL)/typescript/node_modules $(EMAIL)/typescript/dist $(EMAIL)/go/bin build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
