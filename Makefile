# Two commands on a fresh machine (Python >= 3.11, make): `make demo` and `make test`. Each builds .venv when it is missing or stale.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Files go to as many processes as there are cores; PYTEST_ARGS= runs one after the other.
PYTEST_ARGS ?= -n auto --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help install demo serve test check format coverage real-table benchmark clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(STAMP)  ## the virtual environment in .venv

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Osteon needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.11.") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip -c constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)  ## simulated patients, a node and a PACS on loopback: the main job end to end
	$(BIN)/osteon demo --keep demo-out

serve: $(STAMP)  ## the node, with config.yaml
	$(BIN)/osteon serve --config config.yaml

test: $(STAMP)  ## every test; peers and real images that are absent are skipped with their reason
	$(BIN)/python -m pytest $(PYTEST_ARGS)

coverage: $(STAMP)  ## the tests, with line coverage of node and inference (at least 90 %)
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest $(PYTEST_ARGS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --fail-under=90

check: $(STAMP)  ## ruff, mypy (strict), import-linter
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)  ## ruff, in place
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

real-table: $(STAMP)  ## what the CT workflow says of the real images in ../shared/data
	$(BIN)/python -m tests.real.table

benchmark: $(STAMP)  ## what a CT costs, in seconds and bytes
	$(BIN)/python -m benchmarks.ct

clean:  ## remove what was built
	rm -rf $(VENV) build dist *.egg-info .coverage* .mypy_cache .ruff_cache .pytest_cache demo-out
