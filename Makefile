# Needs Python 3.11 or newer and make; everything else goes into .venv.

PYTHON ?= python3
# Most tests wait rather than compute, so that three at a time suit two cores.
WORKERS ?= 3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
BASE := $(STAMPS)/base
DEV := $(STAMPS)/dev
BENCH := $(STAMPS)/bench

# Airflow 3.2.2 comes with pinned dependencies, so it is always the same. The newest 3.3 is what a user gets today, so
# it is looked for once a day.
MATRIX := .matrix
OLDEST := $(MATRIX)/3.2.2/.installed
NEWEST := $(MATRIX)/3.3/.installed-$(shell date +%F)

# Not Python, so not in .venv.
NODE := .node
AZURITE_VERSION := 3.35.0
AZURITE := $(NODE)/.azurite-$(AZURITE_VERSION)

# A bytecode cache is half of an Airflow's first boot; scripts started from here should leave one.
unexport PYTHONDONTWRITEBYTECODE
# A path of the caller's shell would import somebody else's packages.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | \
		awk -F '|' '{ printf "%-20s %s\n", $$1, $$2 }'

.PHONY: demo
demo: $(BASE) ## One video from a prompt, by a real Airflow and a local Segmind
	@$(BIN)/python scripts/demo.py $(ARGS)

.PHONY: up
up: $(BASE) ## The same Airflow left running, with its UI; Ctrl-C ends it
	@$(BIN)/python scripts/up.py $(ARGS)

.PHONY: test
test: $(DEV) ## Every test (ARGS= goes to pytest)
	@$(call pytest,$(BIN),not system,-n $(WORKERS) --dist worksteal)
	@$(call pytest,$(BIN),system,)

.PHONY: test-unit
test-unit: $(DEV) ## Tests that start no Airflow
	@$(call pytest,$(BIN),not system,-n $(WORKERS) --dist worksteal)

.PHONY: test-system
test-system: $(DEV) ## Tests that start a real Airflow, one after the other
	@$(call pytest,$(BIN),system,)

.PHONY: matrix matrix-oldest matrix-newest
matrix: matrix-oldest matrix-newest ## The tests that start no Airflow, on 3.2.2 and on the newest 3.3

matrix-oldest: $(OLDEST)
	@$(call matrix,$(<D)/bin)

matrix-newest: $(NEWEST)
	@$(call matrix,$(<D)/bin)

.PHONY: azurite
azurite: $(AZURITE) ## Azurite, by npm, for the tests that store in Azure; without it they are skipped

.PHONY: soak
soak: $(DEV) ## 100 000 examples of the state machine of purchases, 30 kills of each kind of writer, to storage and disk; some hours
	@LTX_EXAMPLES=100000 LTX_KILLS=30 $(BIN)/python -m pytest tests/stateful/test_paid_once_machine.py \
		tests/storage/test_writers_that_end.py tests/storage/test_disk.py -n $(WORKERS) --timeout=0 $(ARGS)

.PHONY: bench
bench: $(BENCH) ## Waiting: CPU, loop lag, memory, polls and their lag beside others; ten minutes
	@$(call bench,schedule.py); schedule=$$?; \
	$(call bench,polling.py); polling=$$?; \
	$(call bench,plots.py) && exit $$((schedule + polling))

.PHONY: bench-airflow
bench-airflow: $(BENCH) ## Worker slots that a video holds in a real Airflow, beside others; ten minutes
	@$(call bench,airflow_slots.py $(ARGS)); slots=$$?; $(call bench,plots.py) && exit $$slots

.PHONY: bench-landing
bench-landing: $(DEV) ## Landing 100 MB beside a copy by hand with each storage's own SDK; quarter of an hour
	@AIRFLOW__LOGGING__LOGGING_LEVEL=ERROR PYTHONPATH=.:scripts:tests/storage:benchmarks $(BIN)/python benchmarks/landing.py $(ARGS)

.PHONY: lint
lint: $(DEV) ## ruff, ruff format, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p airflow_ltx -p local_airflow -p local_compose -p showcase -m local_emulator -m demo -m up

.PHONY: docs
docs: $(DEV) ## The documentation as a site in docs/_build/html; warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -n -b html docs docs/_build/html

.PHONY: install
install: $(DEV) ## Only what the targets above install by themselves

.PHONY: clean
clean: ## Remove .venv, .matrix, .node and every cache; demo-output/ stays
	rm -rf $(VENV) $(MATRIX) $(NODE) build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

define bench
PYTHONPATH=.:scripts:benchmarks $(BIN)/python benchmarks/$(1)
endef

# Code 5 is "no test chosen": ARGS may name tests of one kind only.
define pytest
$(1)/python -m pytest -m "$(2)" $(3) $(ARGS) || { code=$$?; [ $$code -eq 5 ] && [ -n "$(ARGS)" ] || exit $$code; }
endef

# What starts processes has tools of its own, which are imported before a marker can leave it out.
define matrix
$(1)/python -c 'from importlib.metadata import version; print("Airflow", version("apache-airflow"))' && \
LTX_EXAMPLES=200 $(call pytest,$(1),not system and not checkout,-n $(WORKERS) --ignore=tests/system --ignore=tests/storage)
endef

# A stamp is written last, so an interrupted installation is not taken for a finished one. uv does in seconds what
# takes pip a minute; pip does it where there is no uv for the platform, or where only pip knows the way to an index.
define install
rm -f $@ && mkdir -p $(@D) && \
{ $(BIN)/python -m uv --version >/dev/null 2>&1 && \
	$(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(1)/python $(2); } || \
{ echo "Not with uv; trying pip, which takes longer." && \
	$(1)/python -m pip install --quiet --upgrade "pip>=25.1" && \
	$(1)/python -m pip install --quiet $(2); } && touch $@
endef

# An environment that works is used and one that make left half-made is made anew; any other is its owner's to delete.
$(VENV)/.created:
	@if $(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		&& [ ! -e $(VENV)/.unfinished ]; then touch $@; exit 0; fi; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "This needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
			"Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }; \
	if [ -e $(VENV) ] && [ ! -e $(VENV)/.unfinished ]; then \
		echo "$(VENV) exists but is no working environment of Python 3.11 or newer with pip." \
			"If it can go: make clean" >&2; exit 1; fi; \
	echo "Creating $(VENV) with $$($(PYTHON) --version)"; \
	rm -rf $(VENV) && mkdir $(VENV) && touch $(VENV)/.unfinished && $(PYTHON) -m venv $(VENV) && \
	rm $(VENV)/.unfinished && touch $@

$(STAMPS)/uv: $(VENV)/.created
	@mkdir -p $(STAMPS)
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv || \
		echo "There is no uv for this platform."
	@touch $@

$(BASE): $(STAMPS)/uv pyproject.toml constraints.txt
	@echo "Installing Airflow, the provider and the emulator into $(VENV) (once; a minute or two)"
	@$(call install,$(BIN),-c constraints.txt -e ".[emulator]")

$(DEV): $(BASE)
	@echo "Installing the tools for tests and lint into $(VENV)"
	@$(call install,$(BIN),-c constraints.txt -e ".[emulator]" --group dev)

$(BENCH): $(DEV)
	@echo "Installing what the benchmarks compare with, and matplotlib, into $(VENV)"
	@$(call install,$(BIN),-c constraints.txt -e ".[emulator]" --group bench)

$(AZURITE):
	@echo "Installing Azurite $(AZURITE_VERSION) into $(NODE)"
	@rm -rf $(NODE) && mkdir $(NODE)
	@npm install --prefix $(NODE) --no-save --no-audit --no-fund --loglevel=error azurite@$(AZURITE_VERSION)
	@touch $@

$(OLDEST): constraints-3.2.2.txt
$(OLDEST): VERSIONS := -c constraints-3.2.2.txt --group oldest
$(NEWEST): VERSIONS := --group newest
$(OLDEST) $(NEWEST): $(STAMPS)/uv pyproject.toml
	@echo "Installing Airflow and what its tests need into $(@D)"
	@rm -rf $(@D) && $(BIN)/python -m venv $(@D)
	@$(call install,$(@D)/bin,-e ".[emulator]" $(VERSIONS))
