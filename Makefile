# Everything a developer needs. The first command that needs it makes .venv from constraints.txt.

PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo demo-msp test check bench fuzz constraints clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.stamp ## a tour with sample data, in a temporary folder
	$(BIN)/python -m syncd.demo

demo-msp: .venv/.stamp ## a tour with 25 customers of Microsoft in miniature, on this computer
	$(BIN)/python -m tests.tours.msp

test: .venv/.stamp ## all tests, on SQLite and on a PostgreSQL that they start themselves
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: .venv/.stamp ## what CI runs: lint, format, types, a minute of fuzzing, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.fuzz.readers 60 --seed 1
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

fuzz: .venv/.stamp ## an hour of mutated files for what reads spreadsheets
	$(BIN)/python -m tests.fuzz.readers 3600

bench: .venv/.stamp ## how fast it is on this computer
	$(BIN)/python -m tests.benchmarks.core
	$(BIN)/python -m tests.benchmarks.drops
	$(BIN)/python -m tests.benchmarks.microsoft

constraints: ## renew constraints.txt from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
		--quiet --output-file constraints.txt

clean: ## remove .venv and everything that was generated
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find syncd tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is older than what it was made from exactly when the environment is out of date.
.venv/.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'syncd needs Python 3.11 or newer; name one with: make PYTHON=python3.12 …' >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
