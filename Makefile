# Two commands do all the set-up on a fresh machine that has Python and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= corpus-report

.PHONY: demo test test-all test-cluster cluster-up cluster-down check coverage wheel clean

$(VENV)/.demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(BIN)/pip install --quiet --disable-pip-version-check "coverage[toml]>=7.6" "hypothesis>=6.100" "import-linter>=2.1" \
		"mypy>=1.13" "pyright[nodejs]>=1.1.390" "pytest>=8" "pytest-xdist>=3.6" "ruff>=0.8" "build>=1.2"
	touch $@

demo: $(VENV)/.demo  ## run a real workflow on real data: index the standard library
	$(BIN)/python examples/corpus/main.py --report $(OUT) $(DEMO)

test: $(VENV)/.dev  ## the default tests
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not exhaustive and not cluster" $(TESTS)

test-all: $(VENV)/.dev  ## all tests that need nothing but this machine
	$(BIN)/python -m pytest -m "not cluster" $(TESTS)

test-cluster: $(VENV)/.dev  ## what needs a real cluster: Slurm in containers (root; it installs Docker if need be)
	$(BIN)/python -m pytest -m cluster $(or $(TESTS),tests/cluster)

cluster-up: $(VENV)/.dev  ## a Slurm cluster that stays up, to look at
	$(BIN)/python -m tests.cluster up

cluster-down:  ## remove all clusters
	$(BIN)/python -m tests.cluster down

check: $(VENV)/.dev  ## types, lint, contracts
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/ruff check .
	$(BIN)/lint-imports

coverage: $(VENV)/.dev  ## how much of the code the tests reach: all of the core, nine tenths of the rest
	rm -f .coverage.* .coverage
	$(BIN)/coverage run -m pytest -q -n 2 --dist loadfile -m "not exhaustive and not cluster" tests/core tests/authoring tests/simulation \
		tests/adapters tests/cli tests/runtime tests/deployment tests/acceptance/test_runs.py tests/acceptance/test_law_for_real.py tests/test_*.py --ignore tests/test_docs.py
	$(BIN)/coverage combine -q >/dev/null 2>&1 || true  # what processes that were killed have written is torn
	$(BIN)/coverage report --include 'src/moil/core/*' --fail-under 100 --skip-covered --precision 1
	$(BIN)/coverage report --omit 'src/moil/core/*' --fail-under 90 --skip-covered

wheel: $(VENV)/.dev  ## build it, install it into an empty environment, and run something there
	rm -rf build dist
	$(BIN)/python -m build --quiet --outdir dist .
	$(PYTHON) -m venv --clear build/empty
	build/empty/bin/pip install --quiet --disable-pip-version-check dist/*.whl
	cd build && empty/bin/python ../tests/smoke.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
