# Each target sets up .venv when it is missing. PYTHON names the interpreter (3.11 or newer).
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help quickstart test check bench mutants clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/'

.venv/run.stamp: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps --editable .
	touch $@

.venv/dev.stamp: requirements-dev.lock .venv/run.stamp
	$(INSTALL) --require-hashes -r requirements-dev.lock
	touch $@

quickstart: .venv/run.stamp ## from nothing to a result: sweep, walk-forward, paper trading, report
	$(BIN)/mts quickstart $(ARGS)

test: .venv/dev.stamp ## every test, with the real servers
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

check: .venv/dev.stamp ## lint, types, tidy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_tidy.py

bench: .venv/dev.stamp ## every benchmark
	$(BIN)/mts bench all

mutants: .venv/dev.stamp ## do the tests notice a change of the order path? ARGS="--sample 200"
	$(BIN)/python -m tests.mutants $(ARGS)

clean: ## remove the environment and caches
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info build
