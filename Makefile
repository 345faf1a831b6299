# make demo    two annotation rounds on example cases, in demo/
# make test    all checks
# make coverage  the same, and which lines ran (Python 3.11 traces them: a quarter longer)
# make test-slow  the long end-to-end checks as well
# make docs    the pages of docs/ and of the API as a site, in site/

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: demo test coverage test-slow check docs clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

demo: .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/voxledger demo demo

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow"

coverage: check
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow" --cov=src/voxledger

test-slow: check
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest

docs: .venv/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf .venv demo site .memo .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
