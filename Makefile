# Every target sets up .venv first (tools/setup.sh; nothing to do the second time).
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-real check format docs bench clean distclean

PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest -q
SOURCES := conftest.py src tests tools examples benchmarks

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make .venv with offload and its tools
	@sh tools/setup.sh

demo: setup ## the main job on real input, computed and then recalled
	@$(PYTHON) examples/demo.py

test: setup ## all tests: the fast ones, then those with real parts
	@$(PYTEST) -m "not real"
	@$(PYTEST) -m real

test-fast: setup ## the fast tests only (a minute)
	@$(PYTEST) -m "not real"

test-real: setup ## the tests with real parts only
	@$(PYTEST) -m real

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
