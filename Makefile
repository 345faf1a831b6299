# make demo    two annotation rounds on example cases, in demo/
# make test    style, types and every fast test, and which lines they ran
# make test-slow  the long end-to-end tests as well
# make web     the review page again, from web/, and its tests; needs Node 20 or newer
# make docs    the pages of docs/ and of the API as a site, in site/

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# What numba compiles has no bytecode whose lines could be counted.
COMPILED := */imaging/component_tree.py,*/filter/statistics.py,*/score/kernels.py,*/score/cell_kernels.py

.PHONY: demo test test-slow check docs web clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt roc-validator
	touch $@

demo: .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/voxledger demo demo

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m slipcover --source src/voxledger --omit '$(COMPILED)' --skip-covered \
	  -m pytest -n 2 --dist loadgroup -m "not slow"

test-slow: check
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest

docs: .venv/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

web:
	cd web && npm ci --no-audit --no-fund && npm test && npm run build

clean:
	rm -rf .venv web/node_modules web/build demo site .memo .pytest_cache .mypy_cache .ruff_cache .hypothesis
