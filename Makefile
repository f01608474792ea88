# Everything happens in .venv, which is made when it is missing. Needs Python 3.11 or newer, git and make.
PYTHON ?= python3
BIN := .venv/bin

# Modules are compiled once, even where the environment says otherwise: tests start many processes.
export PYTHONDONTWRITEBYTECODE :=
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal

.PHONY: all install dev demo test test-fast test-slow lint types layers pytest picture screenshots format clean
all: install

# Says what is installed and how long it took; pip's own bars only where somebody watches.
define pip_install
	@echo "installing $(2) into .venv: $(3)"
	@begun=$$(date +%s); quiet=--quiet; [ -t 1 ] && quiet=; \
	$(BIN)/python -m pip install $$quiet --disable-pip-version-check --editable '$(1)' \
	&& echo "installed in $$(( $$(date +%s) - begun )) s"
endef

# What running needs.
install: .venv/installed

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fierce-tools needs Python 3.11 or newer; say make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(call pip_install,.,fierce-tools and what it runs on,torch is large; one to five minutes)
	@touch $@

# What working on it needs too.
dev: .venv/installed-dev

.venv/installed-dev: .venv/installed
	$(call pip_install,.[dev],what the tests need,about a minute)
	@touch $@

demo: install
	@echo "training a small CNN with FIERCE on handwritten digits, then its entropy: about half a minute"
	$(BIN)/fierce train --loss fierce --lam 0.1 --runs-dir runs --name demo-$$(date +%Y%m%d-%H%M%S)
	$(BIN)/fierce analyze entropy $$(ls -td runs/demo-* | head -n 1)/model.safetensors

# All that a change must pass, without the slow tests: about four minutes on two cores.
test: lint
	@echo "types, layers and tests side by side: about four minutes on two cores"
	@$(MAKE) --no-print-directory --jobs=2 types layers pytest

# While working: lint, and the tests of formulas, files and data; under a minute.
test-fast: lint
	@echo "formulas, files, data and options: under a minute"
	$(PYTEST) -m "not slow" $(FAST)

# The rest: every study's quick form, every model trained, the README's tour, simulations.
test-slow: dev
	@echo "the slow tests: about four minutes on two cores"
	$(PYTEST) -m slow

FAST := tests/analysis tests/data tests/drawn tests/losses tests/study tests/test_binding.py tests/test_contracts.py \
	tests/test_files.py tests/test_menu.py tests/test_outputs.py tests/test_query.py tests/test_ranges.py \
	tests/test_recipe.py tests/test_report.py tests/test_runs.py tests/test_skipping.py

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: dev
	$(BIN)/mypy

layers: dev
	$(BIN)/lint-imports

pytest: dev
	$(PYTEST) -m "not slow"

# The README's picture, from a real run.
picture: dev
	$(BIN)/python tests/make_picture.py

# The README's pictures of the dashboard, from real runs it asks itself, about three minutes.
screenshots: dev
	$(BIN)/python tests/make_screenshots.py

format: dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build *.egg-info

# Speed of analyses, training and the dashboard as ratios within one run, about twenty minutes; leave the machine alone meanwhile.
.PHONY: bench
bench: dev
	$(BIN)/python tests/bench_analysis.py
	$(BIN)/python tests/bench_training.py
	$(BIN)/python tests/bench_ensemble.py
	$(BIN)/python tests/bench_dashboard.py
