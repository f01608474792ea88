# Everything happens in .venv, which is made when it is missing. Needs Python 3.11 or newer, git and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: all install demo test lint types layers pytest picture screenshots format clean
all: install

install: .venv/installed

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fierce-tools needs Python 3.11 or newer; say make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: install
	$(BIN)/fierce train --loss fierce --lam 0.1 --runs-dir runs --name demo-$$(date +%Y%m%d-%H%M%S)
	$(BIN)/fierce analyze entropy $$(ls -td runs/demo-* | head -n 1)/model.safetensors

test: lint types layers pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

layers: install
	$(BIN)/lint-imports

pytest: install
	$(BIN)/python -m pytest -n auto

# The README's picture, from a real run.
picture: install
	$(BIN)/python tests/make_picture.py

# The README's pictures of the dashboard, from real runs it asks itself, about three minutes.
screenshots: install
	$(BIN)/python tests/make_screenshots.py

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build *.egg-info

# Speed of analyses and training as ratios within one run, about twenty minutes; leave the machine alone meanwhile.
.PHONY: bench
bench: install
	$(BIN)/python tests/bench_analysis.py
	$(BIN)/python tests/bench_training.py
	$(BIN)/python tests/bench_ensemble.py
