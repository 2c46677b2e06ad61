# Picante's commands; `make` alone lists them. CI calls the same ones.

VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/done
STEP := scripts/step
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --no-input
# Wheels alone, each with its hash: nothing is compiled here, on a PC or on a Pi.
PIP_LOCKED := $(PIP) install --require-hashes --only-binary :all:
# uv is done before pip has begun, but knows nothing of pip's settings: where it gets nothing, pip is asked.
QUICKLY = sh -c '$(BIN)/uv pip install --python $(BIN)/python --quiet --require-hashes --only-binary :all: "$$@" || $(PIP_LOCKED) "$$@"' --
# ARGS are handed to the command behind a target: make demo ARGS=--help, make test ARGS="-k uplink".
ARGS :=
# How many processes share the tests. Four keep two cores busy, since a test waits for half of its time: make test
# ARGS="-n0 -s" has one, in the terminal.
WORKERS := 4

# Some images set it: each of the hundreds of daemons that tests start would compile our code anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help install demo dev fmt lint test faults fuzz mutants soak bench lock vendor api-types messages screenshots clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(DONE)/demo $(DONE)/picante ## Install Picante and what its demo needs into .venv
	@:

demo: install ## Install, then play a store on this machine (ARGS="..." are the demo's)
	@$(BIN)/picante demo $(ARGS)

dev: $(DONE)/dev $(DONE)/uv $(DONE)/zcbor $(DONE)/s3 $(DONE)/picante ## Install what developing needs on top: linters, test tools, training
	@:

fmt: dev ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

lint: dev ## Check style, types and the layers of imports
	@$(STEP) "ruff check" $(BIN)/ruff check .
	@$(STEP) "ruff format" $(BIN)/ruff format --check .
	@$(STEP) "mypy" $(BIN)/mypy
	@$(STEP) "import-linter" $(BIN)/lint-imports

test: ## Get what tests need, lint, run every test (ARGS="..." are pytest's)
	@scripts/test-setup
	@scripts/warm-up & $(MAKE) --no-print-directory lint; status=$$?; wait; exit $$status
	@PYTEST_XDIST_AUTO_NUM_WORKERS=$(WORKERS) $(BIN)/pytest --numprocesses=auto $(ARGS)

faults: ## Bad lines, noise, kills of all parts, again and again (ARGS="cloud --runs 3 --seed 7")
	@scripts/test-setup
	@$(BIN)/python -m tests.faults $(ARGS)

fuzz: dev $(DONE)/fuzz ## Look for bytes that break a decoder, for ten minutes (ARGS="line --seconds 60")
	@$(BIN)/python -m tests.fuzz $(ARGS)

mutants: ## Break each promise in a copy of the tree: which test notices?
	@scripts/test-setup
	@$(BIN)/python -m tests.mutants.mutate

soak: dev ## Pages that stand open and must not grow, for 10 minutes each (MINUTES=60, HOURS=24)
	@scripts/test-setup
	@MINUTES=$(or $(MINUTES),10) HOURS=$(HOURS) $(BIN)/python -m pytest --timeout=0 -s tests/soak

bench: dev ## Run the benchmarks (ARGS=--million drains and folds a million events, too)
	@scripts/test-setup
	@for bench in $(sort $(wildcard benchmarks/*.py)); do echo "$$bench"; $(BIN)/python "$$bench" $(ARGS) || exit 1; done

lock: $(DONE)/uv ## Resolve requirements/*.lock anew from pyproject.toml (ARGS=--upgrade takes newer versions)
	@scripts/lock $(BIN)/uv $(ARGS)

vendor: ## Copy htmx and uPlot anew from npm, in the versions of tests/web_tools/package.json
	@$(STEP) "vendor" scripts/vendor

api-types: dev ## Make gateway/web/api.d.ts anew, after a change of the API
	@$(STEP) "api.d.ts" scripts/api-types

messages: dev ## Bring gateway/web/locale/*.po up to what code and templates say (ARGS=--check: say what is missing)
	@$(BIN)/python -m tests.web_tools.messages $(ARGS)

screenshots: ## Draw each page of the web UI into docs/img/
	@scripts/test-setup
	@$(STEP) "screenshots" $(BIN)/python -m tests.web_tools.screenshots

clean: ## Remove .venv, caches and build products
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .fuzz *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What has been installed leaves a file in $(DONE), so that a second run has nothing to do.

$(DONE)/venv:
	@$(STEP) "make $(VENV)" scripts/make-venv $(VENV)
	@mkdir -p $(DONE) && touch $@

$(DONE)/demo: requirements/demo.lock | $(DONE)/venv
	@$(STEP) "install requirements/demo.lock" $(PIP_LOCKED) -r $<
	@touch $@

$(DONE)/dev: requirements/dev.lock | $(DONE)/uv
	@$(STEP) "install requirements/dev.lock" $(QUICKLY) -r $<
	@touch $@ $(DONE)/demo

$(DONE)/uv: requirements/uv.lock | $(DONE)/venv
	@$(STEP) "install requirements/uv.lock" $(PIP_LOCKED) -r $<
	@touch $@

$(DONE)/fuzz: requirements/fuzz.lock | $(DONE)/venv
	@$(STEP) "install requirements/fuzz.lock" $(PIP_LOCKED) -r $<
	@touch $@

$(DONE)/zcbor: requirements/zcbor.lock | $(DONE)/uv
	@rm -rf $(VENV)/zcbor
	@$(STEP) "install requirements/zcbor.lock" $(QUICKLY) --target $(VENV)/zcbor -r $<
	@touch $@

$(DONE)/s3: requirements/s3.lock | $(DONE)/uv
	@rm -rf $(VENV)/s3
	@$(STEP) "install requirements/s3.lock" $(QUICKLY) --target $(VENV)/s3 -r $<
	@touch $@

# Editable, from the build tools that both locks hold; again when the metadata or the `picante` command may have changed.
$(DONE)/picante: pyproject.toml
	@$(STEP) "install picante itself" $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
