# Everything from a clone: needs make, Python 3.11 or newer and the package index.
# `make PYTHON=python3.13 test` takes another interpreter; the environment is made anew when its version changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
INSTALLED := $(VENV)/installed-$(PYTHON_VERSION)
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help install test coverage lint stubs demo soak bench clean

help: ## say what can be made
	@grep -E '^[a-z]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z]+):.*## /  make \1	/' | expand -t 16

install: $(INSTALLED) ## build .venv; done again only when pyproject.toml or constraints.txt change

test: lint ## style, types, import rules, all tests but soaks
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

coverage: $(INSTALLED) ## the same tests, counting the lines they reach; takes more than twice as long
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal --cov --cov-report=term

lint: $(INSTALLED) ## style, types and import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

stubs: $(INSTALLED) ## what a type checker sees of holdfast.sync, generated anew from the async classes
	$(BIN)/python -m tests.typing.blocking_stub

demo: $(INSTALLED) ## work through the files of this folder, be killed twice, and prove the figures
	$(BIN)/holdfast demo

soak: $(INSTALLED) ## the tests that take minutes
	$(BIN)/python -m pytest -m soak -o faulthandler_timeout=0

bench: $(INSTALLED) ## measure beside hand-written loops; a report, never pass or fail
	$(BIN)/python -m benchmarks

clean: ## remove the environment, caches and what the demo and the tests left
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.import_linter_cache holdfast-demo.db holdfast-demo.db-*
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The stamp carries the interpreter's version: the same one is brought up to date in place, another one starts afresh.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Holdfast needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -e $@ || rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,test]'
	@touch $@
