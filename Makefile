# Tasks of the project. `make demo` and `make test` are all a newcomer needs; both work on a clean clone.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
DEVSTAMP := $(VENV)/.installed-dev
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test lint stats quality compare clean

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("reparam needs Python 3.11 or newer; got %d.%d. Set PYTHON=python3.12 (or newer)." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# torch first and by its exact version, so that no other package's range picks another build
$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -q -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

$(DEVSTAMP): $(STAMP)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/python examples/demo.py

lint: $(DEVSTAMP)
	$(BIN)/ruff format --check src tests benchmarks examples scripts
	$(BIN)/ruff check src tests benchmarks examples scripts
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n 2 -m "not stats"

stats: $(DEVSTAMP)
	$(BIN)/python -m pytest -n 2 -m stats

# dieharder comes from the system: apt-get install dieharder
quality: $(DEVSTAMP)
	PYTHONPATH=src:tests $(BIN)/python benchmarks/quality.py --out benchmarks/results/quality.md

compare: $(DEVSTAMP)
	PYTHONPATH=src:tests $(BIN)/python -P benchmarks/compare_torch.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
