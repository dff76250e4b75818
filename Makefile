# coachsync: `make help` lists what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNS := $(VENV)/.runs
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
BENCH := .venv-bench
BENCH_READY := $(BENCH)/.ready
SITE := .venv-site
SITE_READY := $(SITE)/.ready
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup demo test quick check format docs site screenshots bench results chaos lock clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(READY) ## make the environment in .venv from the locked dependencies

# What runs, and nothing that only tests it: a third of the time. Without bytecode, which the first run writes, of what it uses.
# --no-deps: the lock is the whole resolution. An older pip would resolve `coverage[toml]` anew, and refuse what it finds.
$(RUNS): requirements.lock requirements-build.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "coachsync needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) --no-compile --require-hashes -r requirements.lock -r requirements-build.lock
	$(PIP) --no-build-isolation --editable .
	@touch $@

$(READY): $(RUNS) requirements-dev.lock
	$(PIP) --no-compile --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true  # on all cores; some packages carry templates that are no Python
	@touch $@

demo: $(RUNS) ## the main job on a realistic sample, with faults, in under a minute; leaves nothing running
	@$(BIN)/coachsync demo

# In the order of the folders, as the longest files are in the first; what one process has compiled the others need not.
test: $(READY) ## all tests, on as many cores as there are up to four; starts the servers it needs
	PYTHONDONTWRITEBYTECODE= $(PYTEST) --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

quick: $(READY) ## the tests that take no real worker
	$(PYTEST) tests/unit tests/property

check: $(READY) ## what a reviewer runs: format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY) ## write the references of commands, metrics, the roster's events and webhooks anew
	$(BIN)/python -m worker.cli.reference docs/reference/cli.md
	$(BIN)/python -m worker.telemetry.reference docs/reference/metrics.md
	$(BIN)/python -m worker.cli.event_schema docs/reference/roster-events.schema.json
	$(BIN)/python -m worker.cli.webhook_reference docs/reference/webhooks
	$(BIN)/python -m worker.gateway.openapi docs/reference/gateway.openapi.json

# An environment of its own: no test needs it.
$(SITE_READY): requirements-site.lock
	$(PYTHON) -m venv $(SITE)
	$(SITE)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-site.lock
	@touch $@

site: $(SITE_READY) ## the documentation as a site, in build/site; a warning is an error
	$(SITE)/bin/python -m sphinx -b dirhtml -W --keep-going -q -j auto -c docs/site . build/site
	@echo "build/site/index.html"

screenshots: $(READY) ## take the documentation's pictures of the console anew; needs Chromium
	$(BIN)/python -m tests.browser.screenshots docs/images

chaos: $(READY) ## the whole storm, on SQLite and PostgreSQL: prints its seed, and a ledger of the promises (minutes)
	COACHSYNC_TEST_ROWS=10000 $(PYTEST) tests/acceptance -m slow -s

# An environment of its own: what coachsync is measured beside is nothing that it needs.
$(BENCH_READY): requirements-dev.lock requirements-bench.lock pyproject.toml
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-bench.lock
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

bench: $(BENCH_READY) ## measure beside what one would take instead; BENCH_ARGS=--quick for the short form
	$(BENCH)/bin/python -m benchmarks $(BENCH_ARGS)

results: $(BENCH_READY) ## write benchmarks/RESULTS.md from the newest run of `make bench`
	$(BENCH)/bin/python -m benchmarks.report

lock: ## lock the dependencies anew, with hashes and without URLs
	uv pip compile -q pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-annotate \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -o requirements-dev.lock
	uv pip compile -q pyproject.toml --extra otel --universal --python-version 3.11 --generate-hashes --no-annotate \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -c requirements-dev.lock -o requirements.lock
	uv pip compile -q --group bench --universal --python-version 3.11 --generate-hashes --no-annotate \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -c requirements-dev.lock -o requirements-bench.lock
	uv pip compile -q --group site --universal --python-version 3.11 --generate-hashes --no-annotate \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -o requirements-site.lock
	echo hatchling | uv pip compile -q - --universal --python-version 3.11 --generate-hashes --no-annotate \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -c requirements-dev.lock -o requirements-build.lock

clean: ## remove the environment and what tools have left
	rm -rf $(VENV) $(BENCH) $(SITE) build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
