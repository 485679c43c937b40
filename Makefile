# Two commands matter: `make quickstart` and `make test`. Both set up what they need and reuse what is there.

# The first Python of at least 3.11 that really starts; PYTHON=... overrides.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' >/dev/null 2>&1 && echo $$p && break; done)
BIN := $(if $(filter Windows_NT,$(OS)),.venv/Scripts,.venv/bin)
RECIPE ?= recipes/quickstart.yaml

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install models quickstart test check docs lock bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  PYTHON=python3.12 and SUPERALIGN_DEVICE=cpu|cuda override what is chosen."

install: ## .venv from the lock file, for the CPU or the GPU that is there
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 to 3.14 found; install one, or say make PYTHON=/path/to/it" >&2; exit 1; }
	@$(PYTHON) tools/install.py

models: install ## the two embedded models, into the user's cache
	@$(BIN)/superalign models pull smollm2-135m
	@$(BIN)/superalign models pull minilm

quickstart: models ## install, fetch the embedded models, run recipes/quickstart.yaml
	@$(BIN)/superalign run $(RECIPE)
	@echo "Every command by hand: $(BIN)/superalign --help"

test: models ## install, and the whole suite (real engine, trainer and model included)
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest $(ARGS)

check: install ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	$(BIN)/lint-imports

docs: install ## the documents as a site in site/; anything that is not as it should be is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

lock: install ## resolve pyproject.toml into requirements/*.lock (ARGS=--upgrade moves versions)
	$(BIN)/python tools/lock.py $(ARGS)

bench: models ## tokens/s of the pool and of the training, against their baselines
	$(BIN)/superalign bench pool
	$(BIN)/superalign bench train

clean: ## remove .venv and caches; runs and pulled models stay
	rm -rf .venv build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
