# Needs Python 3.11 or newer and make; everything else goes into .venv.

PYTHON ?= python3
WORKERS ?= 2
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
BASE := $(STAMPS)/base
DEV := $(STAMPS)/dev

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
	@$(call pytest,not system,-n $(WORKERS))
	@$(call pytest,system,)

.PHONY: test-unit
test-unit: $(DEV) ## Tests that start no Airflow
	@$(call pytest,not system,-n $(WORKERS))

.PHONY: test-system
test-system: $(DEV) ## Tests that start a real Airflow, one after the other
	@$(call pytest,system,)

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
clean: ## Remove .venv and every cache; demo-output/ stays
	rm -rf $(VENV) build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Code 5 is "no test chosen": ARGS may name tests of one kind only.
define pytest
$(BIN)/python -m pytest -m "$(1)" $(2) $(ARGS) || { code=$$?; [ $$code -eq 5 ] && [ -n "$(ARGS)" ] || exit $$code; }
endef

# A stamp is written last, so an interrupted installation is not taken for a finished one. uv does in seconds what
# takes pip a minute; pip does it where there is no uv for the platform, or where only pip knows the way to an index.
define install
rm -f $@ && mkdir -p $(STAMPS) && \
{ $(BIN)/python -m uv --version >/dev/null 2>&1 && \
	$(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt $(1); } || \
{ echo "Not with uv; trying pip, which takes longer." && \
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1" && \
	$(BIN)/python -m pip install --quiet -c constraints.txt $(1); } && touch $@
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
	@$(call install,-e ".[emulator]")

$(DEV): $(BASE)
	@echo "Installing the tools for tests and lint into $(VENV)"
	@$(call install,-e ".[emulator]" --group dev)
