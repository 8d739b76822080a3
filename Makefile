# Two commands do all the set-up on a fresh machine that has Python and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= corpus-report

.PHONY: demo test test-all check docs clean

$(VENV)/.demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(BIN)/pip install --quiet --disable-pip-version-check "coverage[toml]>=7.6" "hypothesis>=6.100" "import-linter>=2.1" \
		"mypy>=1.13" "pyright>=1.1.390" "pytest>=8" "ruff>=0.8" "build>=1.2"
	touch $@

demo: $(VENV)/.demo  ## run a real workflow on real data: index the standard library
	$(BIN)/python examples/corpus/main.py --report $(OUT) $(DEMO)

test: $(VENV)/.dev  ## the default tests
	$(BIN)/python -m pytest -m "not exhaustive" $(TESTS)

test-all: $(VENV)/.dev  ## all tests
	$(BIN)/python -m pytest $(TESTS)

check: $(VENV)/.dev  ## types, lint, contracts
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/ruff check .
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
