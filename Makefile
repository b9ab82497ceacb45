PYTHON ?= python3
BIN := .venv/bin
# What the environment was last installed for; a change of pyproject.toml installs again.
USER_READY := .venv/.ready-user
DEV_READY := .venv/.ready-dev
# The folder of the reference data for tests (CONTRIBUTING.md, Reference data).
export NITIDO_SHARED ?= $(abspath ../shared)

.PHONY: demo test faults check clean

demo: $(USER_READY)
	$(BIN)/nitido study run srcnn --profile demo --out runs/srcnn

# The long tests, which `make faults` runs: killed and damaged jobs, damaged inputs, every key and option.
HARNESSES := tests/faults tests/fuzz tests/matrix

# One thread for each of the test processes: threads that fight for the cores are many times slower.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal

test: $(DEV_READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST) $(addprefix --ignore=,$(HARNESSES))

faults: $(DEV_READY)
	$(PYTEST) $(HARNESSES)

check: $(DEV_READY)
	$(BIN)/pre-commit run --all-files

clean:
	rm -rf .venv

$(USER_READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .
	touch $@

$(DEV_READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@ $(USER_READY)
