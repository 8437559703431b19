# Set-up and daily work. `make help` lists the targets; `make up` and `make test` set up what they need.

STACK ?= dev
PYTHON ?= python3
# More options for one run, as for `python -m sandbox`: make up ARGS='-c network.zones=3'
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
SANDBOX := $(BIN)/python -m sandbox

# What the user has set for other programs would be taken for packages of ours, pip's and the tests' included.
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help up preview refresh destroy status stop doctor tools test check format bench lock settings clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  STACK=dev|prod chooses the stack (now: $(STACK)); ARGS='…' passes options on"

up: $(VENV)/sandbox  ## bring STACK up in the sandbox
	@$(SANDBOX) up $(STACK) --yes $(ARGS)

preview: $(VENV)/sandbox  ## show what `make up` would change
	@$(SANDBOX) preview $(STACK) $(ARGS)

refresh: $(VENV)/sandbox  ## read the account's truth into STACK's state
	@$(SANDBOX) refresh $(STACK) --yes $(ARGS)

destroy: $(VENV)/sandbox  ## remove everything that STACK holds
	@$(SANDBOX) destroy $(STACK) --yes $(ARGS)

status: $(VENV)/sandbox  ## what runs, and which stacks are up
	@$(SANDBOX) status $(ARGS)

stop: $(VENV)/sandbox  ## end the sandbox's background process; its contents stay
	@$(SANDBOX) stop $(ARGS)

doctor: $(VENV)/sandbox  ## what this machine has, lacks, and the commands that mend it
	@$(SANDBOX) doctor $(ARGS)

tools: $(VENV)/sandbox  ## install what `make doctor` names (Debian, as root)
	@$(SANDBOX) doctor --fix $(ARGS)

test: $(VENV)/dev  ## run all tests
	@$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

check: $(VENV)/dev  ## format, lint, strict types
	@$(BIN)/ruff format --check --quiet . || { echo "make format mends this"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy

format: $(VENV)/dev  ## format the code and mend what lint can mend
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: $(VENV)/dev  ## measure against the bars in docs/benchmarks.md
	@$(BIN)/python -m bench $(ARGS)

UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
lock: $(VENV)/uv  ## update the lock files (UPGRADE=--upgrade for newer versions)
	$(UV_COMPILE) $(UPGRADE) pyproject.toml --group sandbox --group app --group dev -o requirements-dev.txt
	$(UV_COMPILE) $(UPGRADE) pyproject.toml --group sandbox -c requirements-dev.txt -o requirements.txt
	$(UV_COMPILE) $(UPGRADE) --no-annotate --group app -c requirements-dev.txt -o app/requirements.txt

settings: $(VENV)/sandbox  ## write docs/settings.md anew
	@$(BIN)/python -m settings.docs_table

clean: stop  ## forget the sandbox's contents, the environment and every cache
	rm -rf .sandbox $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# One virtual environment; the development lock is a superset of the other. Stamps name the installed lock.
$(VENV)/uv: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is required; $(PYTHON) is $$($(PYTHON) --version). Use another: make PYTHON=python3.12 …"; exit 1; }
	@echo "Creating $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed; on Debian: apt-get install -y python3-venv"; exit 1; }
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.txt | $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r /dev/stdin
	@touch $@

INSTALL_SELF = @$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
$(VENV)/sandbox: $(VENV)/uv requirements.txt pyproject.toml
	@[ -e $(VENV)/dev ] && [ $(VENV)/dev -nt requirements-dev.txt ] || { echo "Installing the sandbox's packages into $(VENV)" >&2; $(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.txt; }
	$(INSTALL_SELF)
	@touch $@

$(VENV)/dev: $(VENV)/uv requirements-dev.txt pyproject.toml
	@echo "Installing the development packages into $(VENV)" >&2
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements-dev.txt
	$(INSTALL_SELF)
	@touch $@
