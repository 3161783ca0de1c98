# Everything from a clean checkout with Python 3.10+ and make: `make demo`, `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Goldens of the project itself are portable across x86-64 CPUs; other machines run without them.
PROFILE := $(if $(filter x86_64 amd64,$(shell uname -m)),,--seedpin-cpu-profile native)

.PHONY: demo test dev coverage browser lint types clean

demo: $(STAMPS)/demo
	$(BIN)/seedpin demo

test: $(STAMPS)/test
	$(BIN)/python -m pytest -n 2 $(PROFILE)

# All that a contributor needs: CONTRIBUTING.md.
dev: $(STAMPS)/dev

# All tests, with the lines and branches that they and the processes they start went through. `coverage run` begins
# before pytest loads the plugin, whose own lines would else be missing.
coverage: $(STAMPS)/coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2 $(PROFILE)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage html --quiet --fail-under=0  # the report below is what fails
	$(BIN)/coverage report

# What the browser tests need besides: a chromium and axe-core. Without them these tests are skipped.
browser:
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	  { apt-get update -q && apt-get install -q -y --no-install-recommends chromium; }
	npm --prefix tests/browser ci --no-audit --no-fund

lint: $(STAMPS)/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMPS)/lint $(STAMPS)/test
	$(BIN)/mypy

$(STAMPS)/venv:
	$(PYTHON) -m venv $(VENV)
	mkdir -p $(STAMPS)
	touch $@

$(STAMPS)/demo: $(STAMPS)/venv pyproject.toml constraints.txt
	$(PIP) --editable .
	touch $@

$(STAMPS)/test: $(STAMPS)/venv pyproject.toml constraints.txt
	$(PIP) --editable '.[test]'
	touch $@ $(STAMPS)/demo

$(STAMPS)/lint: $(STAMPS)/venv pyproject.toml constraints.txt
	$(PIP) --editable '.[test,lint]'
	touch $@ $(STAMPS)/test $(STAMPS)/demo

$(STAMPS)/coverage: $(STAMPS)/venv pyproject.toml constraints.txt
	$(PIP) --editable '.[test,coverage]'
	touch $@ $(STAMPS)/test $(STAMPS)/demo

$(STAMPS)/dev: $(STAMPS)/venv pyproject.toml constraints.txt
	$(PIP) --editable '.[dev]'
	touch $@ $(STAMPS)/lint $(STAMPS)/coverage $(STAMPS)/test $(STAMPS)/demo

clean:
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .seedpin
