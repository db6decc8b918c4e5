# Everything runs in environments of its own below this folder; each target does all of its set-up.

PYTHON ?= python3
PYTHON312 ?= python3.12
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test bench lint types peers clean

demo: $(VENV)/.demo  ## run the main job, offline
	$(BIN)/asyncinvoke demo

test: $(VENV)/.dev peers  ## run the whole test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

bench: $(VENV)/.dev  ## measure everything; tables and plots go to benchmarks/results
	$(INSTALL) --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m benchmarks.peers --python $(PYTHON312)
	$(BIN)/python -m benchmarks

peers: $(VENV)/.dev  ## independent clients, servers and tests, in environments of their own
	$(BIN)/python tests/independent/peers.py

clean:
	rm -rf .venv .venv-* .env-* build dist

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) --constraint constraints.txt --editable '.[cli,local,uvloop]'
	touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/.demo
