# Steplane. `make` alone lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES := conformance controlplane sdk_py tests examples benchmarks proto docs

.DEFAULT_GOAL := help
.PHONY: help setup proto docs fmt check test demo bench crash clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with everything that the other commands need

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[server,dev]'
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

test: $(STAMP) ## the whole suite
	$(BIN)/python -m pytest

demo: $(STAMP) ## the first look: fan-out, a killed worker, and the lineage of it all
	$(BIN)/python examples/weekly_email/demo.py

bench: $(STAMP) ## measure, and write benchmarks/RESULTS.md (YARDSTICK=folder: that too; BENCH=--help)
	$(BIN)/python -m benchmarks.bench $(if $(YARDSTICK),--yardstick $(YARDSTICK)) $(BENCH)

crash: $(STAMP) ## the long crash tests: more than 100 random kills under load
	CRASH_ROUNDS=$${CRASH_ROUNDS:-30} $(BIN)/python -m pytest tests/crash --timeout=3600

clean: ## delete what the commands made
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
