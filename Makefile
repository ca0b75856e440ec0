# Every target sets up .venv first (tools/setup.sh; nothing to do the second time).
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-real check format docs bench clean distclean

PYTHON := .venv/bin/python
# Tests run side by side. Those with real parts mostly wait, so two for each core; more than eight are no faster.
CORES := $(shell getconf _NPROCESSORS_ONLN)
FAST := $(PYTHON) -m pytest -q -m "not real" --dist worksteal -n $(shell echo $$(($(CORES) < 8 ? $(CORES) : 8)))
REAL := $(PYTHON) -m pytest -q -m real --dist worksteal -n $(shell echo $$(($(CORES) < 4 ? 2 * $(CORES) : 8)))
SOURCES := conftest.py src tests tools examples benchmarks

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make .venv with offload and its tools
	@sh tools/setup.sh

demo: setup ## the main job on real input, computed and then recalled
	@$(PYTHON) examples/demo.py

test: setup ## all tests: the fast ones, then those with real parts
	@$(FAST)
	@$(REAL)

test-fast: setup ## the fast tests only (two minutes)
	@$(FAST)

test-real: setup ## the tests with real parts only
	@$(REAL)

check: setup ## lint, format, types and documentation
	@echo "ruff check"; $(PYTHON) -m ruff check --quiet $(SOURCES)
	@echo "ruff format"; $(PYTHON) -m ruff format --check --quiet $(SOURCES)
	@echo "mypy --strict"; $(PYTHON) -m mypy --strict --no-error-summary $(SOURCES)
	@echo "references"; $(PYTHON) tools/command_reference.py --check && $(PYTHON) tools/python_reference.py --check
	@echo "documentation"; $(PYTHON) tools/check_docs.py

format: setup ## let ruff fix what it can
	@$(PYTHON) -m ruff check --quiet --fix $(SOURCES)
	@$(PYTHON) -m ruff format --quiet $(SOURCES)

docs: setup ## write the generated pages again
	@$(PYTHON) tools/command_reference.py && $(PYTHON) tools/python_reference.py

bench: setup ## measure the budgets beside other tools and write docs/performance.md
	@$(PYTHON) benchmarks/run.py

clean: ## remove what was built, but not .venv
	@rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find conftest.py src tests tools examples benchmarks -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## remove .venv too
	@rm -rf .venv
