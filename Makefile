# SPDX-License-Identifier: Apache-2.0
#
#   make demo    installs all that is needed and brings the demo network onto an emulated microcontroller
#   make test    installs all that is needed, then the checks and the tests
#   make lint    the checks alone: Python style, types, and the C runtime under every supported compiler
#   make bench   measures the tables of the README again
#   make prove   compares all executors on 20 real inputs of every network, the largest one too, in an hour
#   make fuzz    feeds the serial protocol with all that may arrive, for ten minutes; needs clang
#   make clean   deletes the virtual environment and the caches
#
# Another interpreter: make test PYTHON=python3.12. More tests at once: make test JOBS=8.

PYTHON ?= python3
JOBS ?= 2
FUZZ_SECONDS ?= 600
VENV := .venv
BIN := $(VENV)/bin
# Python compiles the modules that it loads; of all that is installed, that is a small part.
PIP_OPTIONS := --disable-pip-version-check --quiet --no-compile

# Hundreds of processes load the same modules: where nothing keeps what Python compiles, that takes minutes.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench prove fuzz clean system-packages test-packages

help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)/.demo-installed
	$(BIN)/mcukit demo
	@echo "mcukit is $(BIN)/mcukit here; to call it by its name: . $(BIN)/activate"

# As many test processes as processors: threads within them would only wait for each other.
test prove: export OPENBLAS_NUM_THREADS := 1

test: $(VENV)/.dev-installed test-packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/pytest -n $(JOBS) --dist worksteal

lint: $(VENV)/.dev-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/pytest -n $(JOBS) tests/firmware/test_portability.py

bench: $(VENV)/.dev-installed
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

prove: $(VENV)/.dev-installed
	$(BIN)/pytest -n $(JOBS) --dist worksteal tests/networks --every-input

fuzz: $(VENV)/.dev-installed
	@PYTHON=$(PYTHON) .ci/system-packages fuzz
	$(BIN)/python -m tests.firmware.fuzz --seconds $(FUZZ_SECONDS)

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis

# Looks each time, in a fraction of a second: a stamp would not notice a package that was removed.
system-packages:
	@PYTHON=$(PYTHON) .ci/system-packages

test-packages:
	@PYTHON=$(PYTHON) .ci/system-packages test

# The pip that comes with the interpreter is asked for nothing new, so that no time goes into renewing it.
$(BIN)/python: | system-packages
	$(PYTHON) -m venv $(VENV)

# mcukit/__init__.py holds the version.
$(VENV)/.dev-installed: pyproject.toml | system-packages $(BIN)/python
	$(BIN)/python -m pip install $(PIP_OPTIONS) --editable '.[dev]'
	@touch $@ $(VENV)/.demo-installed

$(VENV)/.demo-installed: pyproject.toml | system-packages $(BIN)/python
	$(BIN)/python -m pip install $(PIP_OPTIONS) --editable '.[demo,litert,tflm]'
	@touch $@
