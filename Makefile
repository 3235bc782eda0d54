# The verbs of this repository. `make run` and `make test` do all of their own set-up.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
DEV    := $(VENV)/.installed-dev
NODE   := $(VENV)/.installed-node
ZENSICAL := $(VENV)/.installed-docs
SITE   := src/llm_metrics_proxy/dashboard/site/index.html
HELP   := src/llm_metrics_proxy/handbook/site/index.html.gz
HELP_SOURCES := $(wildcard *.md) $(shell find docs tools/docs_site -name images -prune -o -type f -print)
SITE_SOURCES := $(shell find dashboard -path dashboard/node_modules -prune -o -type f -print)
ARGS   ?=
DOCS   ?= build/docs
STEP   := @sh tools/step.sh
# What a program imports is compiled when it first does; the rest of the packages never is.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps
CORES  := $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
# One process more than there are cores: many tests wait for each other's threads, for processes and for the browser.
JOBS   ?= $(shell expr $(CORES) + 1)
# Test files are shared out among JOBS processes, one file after the other: tests/sharing.py.
PYTEST := TMPDIR=$$(sh tools/scratch.sh) $(BIN)/pytest -q --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder
BENCH_RECORDS ?= 10000000
RELEASE := .venv-release

# Tests start Python many hundred times: what it compiles is kept, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run ready test test-servers browser docs dashboard dashboard-types quick check check-types check-rules release try-packages format bench bench-migrate bench-analytics real-llm golden freeze lock clean help
.DELETE_ON_ERROR:

help: ## list the verbs
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 12

run: ready ## start everything; ARGS="--backend http://host:port" names an LLM server
	@$(BIN)/llm-metrics-proxy serve $(ARGS)

# Packages, the dashboard and the pages of /help, two at a time: none waits for another.
ready: $(VENV)/bin/python
	@+$(MAKE) -s --no-print-directory -j2 $(STAMP) $(SITE) $(HELP)

# Debian splits venv out of python3; root may add it, everybody else is told the package's name.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name one with make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || sh tools/install-venv.sh "$(PYTHON)"
	$(STEP) "Python environment" $(PYTHON) -m venv $(VENV)

# Locks are whole: nothing is left to resolve (--no-deps), so a release of today cannot change what is installed.
$(STAMP): $(VENV)/bin/python requirements.lock pyproject.toml
	$(STEP) "Python packages" $(INSTALL) --require-hashes -r requirements.lock
	@# The dashboard and the documentation have rules of their own below.
	$(STEP) "the program" env BUILD_WITHOUT_DASHBOARD=1 $(INSTALL) --no-build-isolation --editable .
	@touch $@

$(DEV): $(STAMP) requirements-dev.lock
	$(STEP) "Python packages for development" $(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

# The dashboard is built with Node from a wheel, in the same virtual environment.
$(NODE): $(VENV)/bin/python requirements-node.lock
	$(STEP) "Node" $(INSTALL) --require-hashes -r requirements-node.lock
	@touch $@

$(SITE): $(NODE) $(SITE_SOURCES)
	$(STEP) "the dashboard" sh tools/build-dashboard.sh $(CURDIR)/$(BIN)/python
	@touch $@

$(ZENSICAL): $(VENV)/bin/python requirements-docs.lock
	$(STEP) "Zensical" $(INSTALL) --require-hashes -r requirements-docs.lock
	@touch $@

# The same pages twice: as the program serves them at /help, and as a site for the web.
$(HELP): $(ZENSICAL) $(HELP_SOURCES)
	$(STEP) "the pages of /help" $(BIN)/python -m tools.docs_site help
	@touch $@

docs: $(HELP) ## the documentation: for /help, and as a site in DOCS=build/docs, checked
	@$(BIN)/python -m tools.docs_site site $(DOCS)

browser: $(DEV) $(SITE) $(HELP) ## the dashboard in Chromium
	sh tools/install-chromium.sh
	sh tools/install-nginx.sh
	$(BIN)/pytest -q tests/browser $(ARGS)

dashboard: $(SITE) ## build the dashboard into the package

check: $(DEV) $(SITE) $(HELP) ## ruff, mypy --strict, import rules, docs and version checks
	@$(MAKE) --no-print-directory -j2 check-types check-rules

check-types:
	$(BIN)/mypy

check-rules:
	$(BIN)/ruff format --check src tests bench tools
	$(BIN)/ruff check src tests bench tools
	sh tools/build-dashboard.sh $(CURDIR)/$(BIN)/python check
	$(BIN)/pytest -q tests/architecture

dashboard-types: $(DEV) $(NODE) ## the API's types and columns for the dashboard, from the program
	$(BIN)/python -m tools.openapi dashboard/openapi.json
	$(BIN)/python -m tools.dashboard_columns dashboard/src/api/columns.ts
	$(BIN)/python -m tools.dashboard_words dashboard/src/i18n
	sh tools/build-dashboard.sh $(CURDIR)/$(BIN)/python types

quick: $(DEV) ## the inner loop, about a minute: no whole processes, no large grids, fewer examples
	HYPOTHESIS_PROFILE=quick $(PYTEST) -x -m "not system and not real_server and not grid" \
	  --ignore=tests/browser --ignore=tests/real_server --ignore=tests/system $(ARGS)

test: $(DEV) $(SITE) $(HELP) ## all set-up, the checks, then every test that is not among them
	@$(MAKE) --no-print-directory -j3 check-types check-rules test-servers
	$(PYTEST) --ignore=tests/architecture $(ARGS)

test-servers:
	sh tools/install-litellm.sh
	sh tools/install-chromium.sh
	sh tools/install-nginx.sh
	sh tools/install-shells.sh
	sh tools/install-prometheus.sh

bench: $(DEV) ## ratios against nginx, HAProxy, Envoy, LiteLLM and others; ARGS="--peers nginx,envoy --quick"
	sh tools/install-bench.sh
	$(BIN)/python -m bench $(ARGS)

bench-migrate: $(DEV) ## a migration of BENCH_RECORDS=10000000 records against one bare UPDATE of them
	$(BIN)/python -m bench.migration --records $(BENCH_RECORDS) $(ARGS)

bench-analytics: $(DEV) ## everyday questions about BENCH_RECORDS=10000000 records, beside DuckDB and plain SQL
	$(BIN)/python -m bench.analytics --records $(BENCH_RECORDS) $(ARGS)

real-llm: $(DEV) ## llama.cpp with a tiny random model behind the proxy (compiles for minutes)
	sh tools/install-llama-cpp.sh
	$(BIN)/pytest -q -rA tests/real_llm $(ARGS)

# What makes and checks packages has an environment of its own, with what the build of a wheel needs besides: Node for the
# dashboard, and Zensical for the pages of /help.
RELEASE_LOCKS := requirements-release.lock requirements-node.lock requirements-docs.lock
$(RELEASE)/.installed: $(VENV)/bin/python $(RELEASE_LOCKS)
	$(PYTHON) -m venv $(RELEASE)
	$(RELEASE)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	  $(addprefix -r ,$(RELEASE_LOCKS))
	@touch $@

release: $(RELEASE)/.installed ## dist/VERSION: wheel, sdist, Debian packages, SBOM, provenance; built twice, byte for byte the same
	$(RELEASE)/bin/python -m tools.release $(ARGS)

try-packages: $(DEV) $(SITE) $(RELEASE)/.installed ## as root: install and run the newest release's packages and the container's image on bare Debians
	sh tools/try-packages.sh $(ARGS)

format: $(DEV) ## rewrite the sources as ruff likes them
	$(BIN)/ruff format src tests bench tools
	$(BIN)/ruff check --fix src tests bench

golden: $(DEV) ## run this version, and keep the database it leaves for the tests of later ones
	$(BIN)/python -m tools.make_golden_database

freeze: $(DEV) ## the last act before a version ships: keep fingerprints of all that must stay as it is
	$(BIN)/python -m tools.fingerprint

lock: ## renew the hashed locks (versions and hashes only)
	sh tools/lock.sh

clean: ## remove what was made here; data/ stays
	rm -rf $(VENV) $(RELEASE) .venv-litellm .venv-llama-cpp .venv-peers .mypy_cache .pytest_cache .ruff_cache .hypothesis build dashboard/node_modules src/llm_metrics_proxy/dashboard/site src/llm_metrics_proxy/handbook/site
