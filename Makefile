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
lock: $(VENV)/uv  ## lock the dependencies anew (UPGRADE=--upgrade for newer versions)
	echo uv | $(UV_COMPILE) $(UPGRADE) - -o requirements-uv.txt
	$(UV_COMPILE) $(UPGRADE) pyproject.toml --group sandbox --group app --group dev -o requirements-dev.txt
	$(UV_COMPILE) $(UPGRADE) pyproject.toml -c requirements-dev.txt -o requirements.txt
	$(UV_COMPILE) $(UPGRADE) pyproject.toml --group sandbox -c requirements-dev.txt -o requirements-sandbox.txt
	$(UV_COMPILE) $(UPGRADE) --no-annotate --group app -c requirements-dev.txt -o app/requirements.txt

settings: $(VENV)/sandbox  ## write docs/settings.md anew
	@$(BIN)/python -m settings.reference

clean: stop  ## forget the sandbox's contents, the environment and every cache
	rm -rf .sandbox $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# One environment; what the tests need is a superset of what the sandbox needs. A stamp says which lock is installed.
$(VENV)/uv: requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version). Name another: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed; on Debian: apt-get install -y python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	@touch $@

$(VENV)/sandbox: $(VENV)/uv requirements-sandbox.txt
	@[ -e $(VENV)/dev ] && [ $(VENV)/dev -nt requirements-dev.txt ] || { echo "installing the sandbox's packages into $(VENV)" >&2; $(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements-sandbox.txt; }
	@touch $@

$(VENV)/dev: $(VENV)/uv requirements-dev.txt
	@echo "installing the test packages into $(VENV)" >&2
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements-dev.txt
	@touch $@
