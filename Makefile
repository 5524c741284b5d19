# `make demo` and `make test` need only Python 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# One compilation cache for all test workers, runs and working trees of a user: half of the time of the suite is compiling. `make clean`
# deletes it.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/jaxlatent-tests
VERSIONS := compat layers results session store plots streams pickling em_peers nuts_kernel platforms diagnostics_convergence
DEVICES = $(shell grep -l 'mark\.devices' tests/test_*.py)
TESTS := JAX_COMPILATION_CACHE_DIR=$(CACHE) JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 $(BIN)/python -m pytest

.PHONY: demo test test-64 test-slow test-versions test-peers lint types docs bench clean

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "jaxlatent needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

demo: $(VENV)/.installed  ## census income, from raw counts to a finished analysis in runs/census/
	$(BIN)/jaxlatent demo census

test: $(VENV)/.installed  ## the test suite on two workers: all of it on one device, the laws about devices on two and eight
	$(TESTS) -n 2 --dist loadfile --no-loadscope-reorder -m 'not slow'
	$(TESTS) --devices 2 -m 'not slow' $(DEVICES) & two=$$!; $(TESTS) --devices 8 -m 'not slow' $(DEVICES) && wait $$two

test-64: $(VENV)/.installed  ## the test suite in 64 bits, on one device
	$(TESTS) --bits 64 -n 2 --dist loadfile --no-loadscope-reorder -m 'not slow'

test-slow: $(VENV)/.installed  ## long statistical runs
	$(TESTS) -m slow

test-versions: $(VENV)/.installed  ## what depends on the versions of JAX, NumPyro and ArviZ, for a second interpreter: PYTHON=, VENV=
	$(TESTS) -n 2 --dist loadfile --no-loadscope-reorder -m 'not slow' -k 'not killed' $(addprefix tests/test_,$(addsuffix .py,$(VERSIONS)))

test-peers: $(VENV)/.installed  ## models of PyMC, which is installed for it, against PyMC itself
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,pymc]'
	$(TESTS) -m 'not slow' tests/test_pymc.py tests/test_benchmarks.py

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@

docs: $(VENV)/.docs  ## every snippet of docs/ is run and compared with what its page prints; the site is built in build/site, warnings are errors
	JAX_COMPILATION_CACHE_DIR=$(CACHE) JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 $(BIN)/python tests/run_docs.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/.installed  ## every suite beside the peers that are installed, and the page of what they found
	$(BIN)/python -m benchmarks run
	$(BIN)/python -m benchmarks report

clean:
	rm -rf $(VENV) $(CACHE) .jax_cache .pytest_cache .ruff_cache .mypy_cache runs
