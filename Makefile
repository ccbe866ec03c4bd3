# make run    sets everything up and serves http://127.0.0.1:8080
# make test   sets everything up and runs every check
# make help   lists the rest
.DEFAULT_GOAL := help
.PHONY: help run test setup doctor unit format lint types imports coverage bench sample lock wheel clean distclean

VENV := .venv/bin
ARGS ?=

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

run: ## set up and serve http://127.0.0.1:8080 (ARGS="--port 8081")
	@scripts/setup.sh run
	@exec $(VENV)/python -m softswitch serve $(ARGS)

test: ## set up and run all checks: format, lint, types, floors, unit, conformance, real clients
	@scripts/setup.sh test
	@scripts/check.sh

setup: ## set up for development, without running anything
	@scripts/setup.sh test

doctor: ## tell what works on this machine and what does not
	@scripts/setup.sh run
	@$(VENV)/python -m softswitch doctor $(ARGS)

unit: setup ## the quick tests only (ARGS="tests/settings")
	@$(VENV)/python -m pytest -q -m "not client and not slow" $(ARGS)

format: setup ## put the sources into shape
	@$(VENV)/ruff format .
	@$(VENV)/ruff check --fix .

lint: setup ## look for mistakes
	@$(VENV)/ruff format --check .
	@$(VENV)/ruff check .

types: setup ## check the types
	@$(VENV)/mypy

imports: setup ## check the import contracts
	@$(VENV)/lint-imports --no-cache --no-logo

coverage: setup ## the quick tests with branch coverage
	@$(VENV)/coverage run -m pytest -q -m "not client and not slow"
	@$(VENV)/coverage report

bench: setup ## measure, and write docs/performance.md
	@$(VENV)/python -m bench $(ARGS)

sample: setup ## write softswitch.toml from the settings
	@$(VENV)/python scripts/sample_settings.py --write

lock: ## write requirements.lock from pyproject.toml (needs uv: pip install uv)
	@{ sed -n '/^#/p;/^#$$/q' requirements.lock; uv pip compile pyproject.toml --extra all --universal --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url --quiet; } >requirements.lock.new && mv requirements.lock.new requirements.lock

wheel: setup ## build the wheel into dist/
	@$(VENV)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## remove what tests and builds leave behind
	@rm -rf build dist .coverage .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find softswitch tests scripts examples -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## also remove the virtual environment
	@rm -rf .venv
