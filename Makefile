PYTHON ?= python3
BIN := .venv/bin
export COVERAGE_FILE := $(CURDIR)/build/coverage/data

.PHONY: gan test test-all coverage labs wheels dist zoo check bench docs oldest postgres slurm setup

gan: .venv/ready  ## train the GAN on handwritten digits and say where its picture is
	$(BIN)/dlplug fit --model gan

test: .venv/ready  ## run the tests
	$(BIN)/python -m pytest

test-all: .venv/ready  ## run all tests, those that CI runs at night too
	$(BIN)/python -m pytest -m ""

coverage: .venv/ready  ## run all tests, and fail where they run less of the code than the floor in pyproject.toml
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m ""
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

labs: .venv/ready  ## execute every lab with its solutions; what came out is in build/labs
	OMP_NUM_THREADS=1 $(BIN)/python labs/run.py

wheels: .venv/ready  ## every distribution from its wheel in a fresh environment; takes minutes, so no part of `test`
	$(BIN)/python tests/wheels.py

dist: .venv/ready  ## sdist and wheel of every distribution into build/dist, checked; what a release uploads
	$(BIN)/python -m pip install --quiet --disable-pip-version-check build twine
	$(BIN)/python .ci/dist.py build/dist

zoo: .venv/ready  ## trained weights as a wheel a lecture into dist, of the runs in RUNS
	$(BIN)/python .ci/zoo.py dist $(RUNS)

postgres: .venv/ready  ## a study in a real PostgreSQL, by four workers of which one is killed; starts and stops it
	$(BIN)/python -m pytest -m "" plugins/dlplug-tune/tests/test_postgresql.py

slurm: .venv/ready  ## a preempted job on two nodes of a Slurm on loopback; installs slurm-wlm, as root
	.ci/slurm

check: .venv/ready  ## lint, formatting, types and which room imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: .venv/ready  ## time what has a target
	$(BIN)/python benchmarks/startup.py

docs: .venv/docs  ## build the site into build/site; a dead link fails
	$(BIN)/python docs/pages.py build/docs
	$(BIN)/zensical build --strict --clean

oldest: build/oldest/ready  ## run the tests on the oldest of everything that is allowed
	OMP_NUM_THREADS=1 build/oldest/venv/bin/python -m pytest -m ""

setup: .venv/ready  ## make .venv with the core, all plugins (editable) and the test tools

.venv/ready: requirements-dev.txt pyproject.toml $(wildcard plugins/*/pyproject.toml)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

.venv/docs: .venv/ready requirements-docs.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	touch $@

build/oldest/ready: .ci/oldest.py requirements-dev.txt pyproject.toml $(wildcard plugins/*/pyproject.toml)
	test -x build/oldest/venv/bin/python || $(PYTHON) -m venv build/oldest/venv
	$(PYTHON) .ci/oldest.py > build/oldest/constraints.txt
	build/oldest/venv/bin/python -m pip install --quiet --disable-pip-version-check -c build/oldest/constraints.txt -r requirements-dev.txt
	touch $@
