# make run     get ready, make ./run with a certificate, a user and a configuration, and serve it (CONF=FILE: serve that)
# make test    get ready, and run every test
# The other targets are for work on the code. All set-up is done once; `make clean` begins anew.

PYTHON_ := .venv/bin/python
BUILT_FROM := pyproject.toml setup.py tools/setup $(wildcard plugins/*/pyproject.toml) \
              $(wildcard ocserv_core/bridge/native/*.c ocserv_core/bridge/native/*.h ocserv_core/bridge/native/*.py)
# Tests that are handed out at once: the last ones are the slow ones, and none shall wait behind others.
CHUNK ?= 4
JOBS ?= auto
MAKEFLAGS += --no-print-directory

.PHONY: help setup setup-tests run test lint types fuzz soak bench bench-data clean

help:
	@sed -n '1,3s/^# //p' Makefile

setup: .venv/ready
setup-tests: .venv/ready-for-tests

.venv/ready: $(BUILT_FROM)
	@tools/setup
	@touch $@

.venv/ready-for-tests: $(BUILT_FROM)
	@tools/setup --tests
	@touch .venv/ready $@

# exec: signals go to the server itself, and its exit code is make's.
run: setup
ifdef CONF
	@exec .venv/bin/ocserv --foreground --log-stderr --config '$(CONF)'
else
	@exec .venv/bin/ocserv --quickstart run
endif

test: setup-tests
	@$(PYTHON_) -m pytest -n $(JOBS) --maxschedchunk=$(CHUNK) $(ARGS)

lint: setup-tests
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: setup-tests
	.venv/bin/mypy

# Longer runs of what is in the tests and benchmarks.
# fuzz: SECONDS=… for each fuzzer.
fuzz: setup-tests
	@FUZZ_SECONDS=$(or $(SECONDS),30) $(PYTHON_) -m pytest tests/fuzz -q $(ARGS)

soak: setup-tests
	@$(PYTHON_) -m benchmarks.soak $(ARGS)

bench: setup-tests
	@$(PYTHON_) -m benchmarks $(ARGS)

bench-data: setup-tests
	@$(PYTHON_) -m benchmarks.dataplane run $(ARGS)

# ./run is left: it holds a key and a configuration that may have been gone on from.
clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info plugins/*/*.egg-info
	find ocserv_core tests plugins benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f ocserv_core/bridge/*.so ocserv_core/bridge/_native.c
