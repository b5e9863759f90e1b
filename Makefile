PYTHON ?= python3
BIN := .venv/bin

.PHONY: gan test wheels check bench setup

gan: .venv/ready  ## train the GAN on handwritten digits and say where its picture is
	$(BIN)/dlplug fit --model gan

test: .venv/ready  ## run all tests
	$(BIN)/python -m pytest

wheels: .venv/ready  ## every distribution from its wheel in a fresh environment; takes minutes, so no part of `test`
	$(BIN)/python tests/wheels.py

check: .venv/ready  ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/ready  ## time what has a target
	$(BIN)/python benchmarks/startup.py

setup: .venv/ready  ## make .venv with the core, all plugins (editable) and the test tools

.venv/ready: requirements-dev.txt pyproject.toml $(wildcard plugins/*/pyproject.toml)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@
