# Everything lands in .venv and .local; `make clean` removes both.
SHELL := /bin/bash
.DEFAULT_GOAL := help

UV_VERSION := 0.13.8
# The first interpreter that runs and is 3.10 to 3.13; pyenv leaves shims that only print an error.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.10 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: venv
venv: $(INSTALLED)  ## install everything into .venv (done by the other targets)

$(BIN)/uv:
	@test -n "$(PYTHON)" || { echo "No Python 3.10 to 3.13 found. Install one, or say which: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "==> creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(INSTALLED): requirements-dev.lock | $(BIN)/uv
	@echo "==> installing Airflow and the demo's packages into $(VENV) (pinned, hashes checked)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r requirements-dev.lock
	@touch $@

.PHONY: lock
lock: | $(BIN)/uv  ## resolve requirements*.txt into the lock files anew
	$(BIN)/uv pip compile -q --universal --python-version 3.10 --generate-hashes --custom-compile-command "make lock" \
		requirements.txt -o requirements.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.10 --generate-hashes --custom-compile-command "make lock" \
		requirements.txt requirements-dev.txt -c requirements.lock --override requirements-overrides.txt -o requirements-dev.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" \
		benchmarks/peer/requirements.txt -o benchmarks/peer/requirements.lock

.PHONY: demo demo-rotate demo-fleet demo-domain up down status
demo: $(INSTALLED)  ## from nothing to a blueprint that answers, through Airflow, on a real OpenSearch
	@$(BIN)/python -m local demo $(if $(OPENSEARCH),--opensearch $(OPENSEARCH))

demo-rotate: $(INSTALLED)  ## give the demo's model another key while it is asked all the time
	@$(BIN)/python -m local demo-rotate

demo-fleet: $(INSTALLED)  ## several models at once: planned, made, broken, planned again and mended
	@$(BIN)/python -m local demo-fleet

demo-domain: $(INSTALLED)  ## the same as Amazon OpenSearch Service: IAM role, signed requests, SageMaker, no AWS account
	@$(BIN)/python -m local demo --domain $(if $(OPENSEARCH),--opensearch $(OPENSEARCH))

up: $(INSTALLED)  ## start the embedded stack (OPENSEARCH=2.19.1 for the older line)
	@$(BIN)/python -m local up $(if $(OPENSEARCH),--opensearch $(OPENSEARCH))

status: $(INSTALLED)  ## what runs, where, and with which login
	@$(BIN)/python -m local status

down:  ## stop everything that the targets above started
	@test ! -e $(INSTALLED) || { $(BIN)/python -m local down && $(BIN)/python -m local down --domain; }

.PHONY: test test-slow test-rotation test-fleets lint format bench
test: $(INSTALLED)  ## lint, then every test, on servers that the tests start and stop themselves
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m tests

test-slow: $(INSTALLED)  ## every blueprint, every rule and generated blueprints on real servers; sessions that end (20 minutes)
	@$(BIN)/python -m pytest tests/unit tests/integration tests/e2e/test_commands.py -m slow \
		--ignore tests/integration/rotation --ignore tests/integration/sources --ignore tests/integration/fleet
	@$(BIN)/python -m pytest tests/e2e/domain -m "slow or not slow" --ignore tests/e2e/domain/test_clusters_that_differ.py

test-rotation: $(INSTALLED)  ## credential rotation under load, and killed at every step (more than an hour)
	@$(BIN)/python -m pytest tests/integration/rotation tests/integration/sources \
		tests/e2e/test_rotation_through_the_scheduler.py -m "slow or not slow"

test-fleets: $(INSTALLED)  ## fleets planned and applied: drift, lost answers, kills, two runs at once (more than an hour)
	@$(BIN)/python -m pytest tests/integration/fleet -m "slow or not slow"
	@$(BIN)/python -m pytest tests/e2e/test_fleet_through_the_scheduler.py -m "slow or not slow"
	@$(BIN)/python -m pytest tests/e2e/test_fleet_killed.py -m "slow or not slow"
	@$(BIN)/python -m pytest tests/e2e/domain/test_clusters_that_differ.py -m "slow or not slow"

lint: $(INSTALLED)  ## ruff, mypy strict, and the direction of imports
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@PYTHONPATH=plugins:. $(BIN)/lint-imports --no-logo

format: $(INSTALLED)  ## let ruff write the format
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

bench: $(INSTALLED)  ## one chain, a fleet of 100 and of 1,000, 100 rotations, beside bare API calls; parsing (50 minutes)
	@$(BIN)/python -m benchmarks.provision
	@$(BIN)/python -m benchmarks.fleet
	@$(BIN)/python -m benchmarks.rotation
	@$(BIN)/python -m benchmarks.parsing

.PHONY: peer
peer: $(INSTALLED)  ## install opensearch-py-ml's command line beside us, for the comparison (250 MB)
	@$(BIN)/python -m benchmarks.peer

.PHONY: clean
clean: down  ## stop everything and remove .venv and .local (the download cache stays)
	@test ! -e $(INSTALLED) || { $(BIN)/python -m local reset --domain && $(BIN)/python -m local reset; }
	@rm -rf $(VENV) .local
