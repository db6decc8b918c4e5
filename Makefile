# Everything runs in environments below this folder; each target does all of its set-up.
# ARGS is passed to pytest: make test ARGS='-k arn', make unit ARGS='-x -n 0'.

PYTHON ?= python3
PYTHON312 ?= python3.12
VENV := .venv
BIN := $(VENV)/bin
INSTALL := -m pip install --quiet --disable-pip-version-check
# The versions to install for the tests; with CONSTRAINTS= the newest of everything.
CONSTRAINTS := --constraint constraints.txt
# A file of tests stays in one process, so that the servers it shares are started once; tests/conftest.py
# lists the files that run first.
PYTEST := $(BIN)/python -m pytest
SUITE := -n 3 --dist loadfile --no-loadscope-reorder
# The fast tests name their plugins: of each package that brings one, ours and hypothesis too, pytest would
# parse every module in every process again, to rewrite its assertions. With that, tests of our plugin fail.
PLUGINS := --disable-plugin-autoload $(patsubst %,-p %,xdist.plugin pytest_timeout anyio.pytest_plugin \
  _hypothesis_pytestplugin asyncinvoke.testing.pytest_plugin)
# Tests of decisions, values and public names, to be run after each edit, without those that need sockets or take long.
UNIT := tests/model tests/request tests/retries tests/engine tests/limits tests/test_public_api.py tests/test_recent.py \
  --ignore tests/engine/test_maps_in_use.py --ignore tests/limits/test_over_http.py \
  --ignore tests/limits/test_costs.py \
  --deselect tests/limits/test_concurrency.py::test_clients_that_come_one_after_the_other_end_up_with_equal_parts \
  --deselect tests/limits/test_concurrency.py::test_not_knowing_the_limit_costs_two_percent_of_the_time_and_one_throttle_in_a_hundred
# Tests that need sockets; with the lowest versions they run too.
SOCKETS := tests/engine/test_regressions.py tests/engine/test_trace.py tests/model/test_error_body.py \
  tests/retries/test_refusals_that_pass.py tests/request/test_over_http.py
CORE := asyncinvoke/*.py,asyncinvoke/_*/*.py,asyncinvoke/_*/*/*.py

.DEFAULT_GOAL := help
.PHONY: help demo test unit coverage measured again covered lint fmt types core oldest peers peers-all live bench docs dist extras sbom lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo  ## run the main job, offline
	$(BIN)/asyncinvoke demo

test: $(VENV)/.dev peers  ## run the whole test suite
	@# For processes started by tests, if the environment disables writing bytecode.
	$(BIN)/python -m compileall -q asyncinvoke
	$(PYTEST) $(SUITE) $(ARGS)

unit: $(VENV)/.dev  ## run the fast tests: decisions and values, no sockets
	@# For environments that disable writing bytecode.
	$(BIN)/python -m compileall -q asyncinvoke
	@# These tests never wait, so there is one process for each core.
	$(PYTEST) $(PLUGINS) $(SUITE) -n auto $(UNIT) $(SOCKETS:%=--ignore %) $(ARGS)

coverage: measured covered  ## run the whole test suite under coverage; fail if it drops

measured: $(VENV)/.dev  ## run the whole test suite under coverage, for `covered`
	$(BIN)/coverage erase
	$(MAKE) test PYTEST='$(BIN)/coverage run -m pytest'

again: $(VENV)/.dev  ## run the tests that failed last again, alone
	$(BIN)/coverage run -m pytest --last-failed --last-failed-no-failures none

covered:  ## report the coverage of `measured`; fail if it dropped
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --include='$(CORE)' --fail-under=98
	$(BIN)/coverage report --format=total

lint: $(VENV)/.dev  ## check with ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

fmt: $(VENV)/.dev  ## fix what ruff can fix, and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev  ## check with mypy; what users see, with pyright too
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" pyright
	PATH="$(CURDIR)/$(BIN):$$PATH" pyright --verifytypes asyncinvoke --ignoreexternal

core:  ## install without extras, newest versions, and run a smoke test
	$(PYTHON) -m venv --clear .env-core
	.env-core/bin/python $(INSTALL) .
	.env-core/bin/python tests/smoke/core.py

oldest:  ## install the lowest declared versions; run a smoke test and the fast tests
	$(PYTHON) -m venv --clear .env-oldest
	.env-oldest/bin/python tests/smoke/lowest.py > .env-oldest/lowest.txt
	.env-oldest/bin/python $(INSTALL) --constraint .env-oldest/lowest.txt '.[cli,otel,streams,trio]'
	.env-oldest/bin/python tests/smoke/core.py
	.env-oldest/bin/python $(INSTALL) --constraint .env-oldest/lowest.txt pytest pytest-timeout hypothesis
	.env-oldest/bin/python -m pytest -q $(UNIT)

peers-all: $(VENV)/.dev  ## try the endpoint with Chalice, Zappa, Ansible and Lithops
	$(BIN)/python -m tests.independent.tools.try_all $(ARGS)

live: $(VENV)/.dev  ## compare a real account with the recorded answers: make live ARGS='--role ARN'
	$(BIN)/python -m tests.vectors.live $(ARGS)

peers: $(VENV)/.dev  ## install the independent clients and servers that the tests use
	$(BIN)/python -m tests.independent.peers

bench: $(VENV)/.dev  ## measure every figure of the pages, for half an hour (ARGS=--list names them)
	$(BIN)/python $(INSTALL) --constraint constraints.txt --editable '.[dask]' --group bench
	$(BIN)/python -m benchmarks.peers --python $(PYTHON312)
	$(BIN)/python -m benchmarks $(ARGS)

docs: .env-docs/.done  ## build the documentation as a site, into build/site
	.env-docs/bin/python docs/site.py

dist: .env-dist/.done  ## build wheel and sdist into dist, and check what is in them
	rm -rf dist
	.env-dist/bin/python -m hatchling build
	.env-dist/bin/twine check --strict dist/*

extras: dist  ## install the wheel with each extra alone, and use it
	.env-dist/bin/python tests/smoke/extras.py dist/*.whl

sbom: .env-dist/.done  ## write the SBOM to dist/sbom.cdx.json (CycloneDX)
	mkdir -p dist
	.env-dist/bin/uv export --quiet --frozen --no-dev --all-extras --format cyclonedx1.5 --output-file dist/sbom.cdx.json

lock: .env-dist/.done  ## resolve again: uv.lock, and constraints.txt from it
	.env-dist/bin/uv lock --upgrade
	.env-dist/bin/python .ci/constraints.py

clean:  ## remove environments and build results
	rm -rf .venv .venv-* .env-* build dist .coverage .coverage.*

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python $(INSTALL) --constraint constraints.txt --editable '.[cli,local,uvloop]'
	touch $@

.env-docs/.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .env-docs
	.env-docs/bin/python $(INSTALL) --constraint constraints.txt --upgrade pip
	.env-docs/bin/python $(INSTALL) --constraint constraints.txt --editable '.[cli]' --group docs
	touch $@

.env-dist/.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .env-dist
	.env-dist/bin/python $(INSTALL) --constraint constraints.txt --upgrade pip
	.env-dist/bin/python $(INSTALL) --constraint constraints.txt --group dist
	touch $@

# The pip that comes with Python 3.11 knows no dependency groups.
$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python $(INSTALL) $(CONSTRAINTS) --upgrade pip
	$(BIN)/python $(INSTALL) $(CONSTRAINTS) --editable '.[cli,inputs,local,otel,parquet,report,s3,streams,trio,uvloop]' --group dev
	touch $@ $(VENV)/.demo
