# `make help` lists the targets. Settings are environment variables, explained in .env.example;
# they may also follow the target: make up DETACH=1 PENSTOCK_PORT=8001
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help up down test test-full faults soak check fmt openapi clean
.PHONY: bench bench-autoscale bench-drift bench-observability bench-routing

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile

up: $(RUNTIME) ## Start everything, moderate a text, show the logs; DETACH=1 returns once ready
	@$(BIN)/python -m deploy.local up

# Stopping must not first install what a newer requirements.txt asks for.
down: $(if $(wildcard $(RUNTIME)),,$(RUNTIME)) ## Stop everything that `make up` started
	@$(BIN)/python -m deploy.local down

# Each process has a Redis of its own. Three on two cores, because many tests wait for something; a
# module's tests stay together, and so do the modules that share a stack (tests/conftest.py).
# Bytecode is kept, even where the environment says otherwise: hundreds of processes are started.
test test-full: export PYTHONDONTWRITEBYTECODE =
test: $(DEV) ## Run the tests before a commit: minutes, in parallel, at least 85 % of the lines
	$(BIN)/python -m pytest -m "not full" -n 3 --dist loadscope --no-loadscope-reorder \
	    --cov --cov-report= --cov-fail-under=85

# One after the other: many of them measure times, or take all of the machine.
test-full: $(DEV) ## Run all other tests: exhaustive ones, faults, browsers, schemathesis
	$(BIN)/python -m pytest -m full

faults: $(DEV) ## Break everything on purpose and print what it cost
	$(BIN)/python -m pytest tests/faults

soak: $(DEV) ## Random faults for SOAK_S seconds (600), at least 100,000 jobs
	$(BIN)/python -m tests.soak --seconds $(or $(SOAK_S),600)

check: $(DEV) ## Check format, lint, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(DEV) ## Format the code and fix what lint can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

openapi: $(RUNTIME) ## Write docs/openapi.json anew, from the routes and schemas
	$(BIN)/python -m app.commands.openapi > docs/openapi.json

bench-autoscale: $(DEV) ## Simulate autoscaling beside Celery's rule and KEDA's; writes docs/img/autoscale-*.png
	$(BIN)/python -m bench.autoscale --plots docs/img

bench-drift: $(DEV) ## Measure false alarms of drift and what shifts it finds; DATA=folder of the splits
	$(BIN)/python -m bench.drift $(if $(DATA),--data $(DATA))
	$(BIN)/python -m bench.drift_cost $(if $(DATA),--data $(DATA))

bench: $(DEV) ## Measure Penstock and the usual alternative on this machine
	$(BIN)/python -m bench
	$(BIN)/python -m bench.webhooks

bench-observability: $(DEV) ## Measure what being observed costs: all of it on beside all of it off
	$(BIN)/python -m bench.observability

bench-routing: $(DEV) ## Measure what routing loses and saves, mode by mode; DATA=folder of the splits
	$(BIN)/python -m bench.routing $(if $(DATA),--data $(DATA))

clean: ## Remove caches; keeps .venv, and the keys, data and logs in var/
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.*
	find . -name $(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Penstock needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1 | head -n 1)." \
	        "Choose another one: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(RUNTIME): requirements.txt $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(DEV): requirements-dev.txt $(RUNTIME)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
