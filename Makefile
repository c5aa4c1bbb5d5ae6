# make help      lists the targets.
# make VENV=DIR  puts the virtual environment elsewhere; PYTHON=FILE names the interpreter it is made from.
# make JOBS=4    runs the tests in four processes (two unless told otherwise).

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SITE := $(VENV)/wheel
FREE_GB ?= 8
PYTEST_ARGS ?=
JOBS ?= 2

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The environment is remade when what it is made from changes; otherwise these stamps make the second run quick.
KEY := $(shell { echo "$(CURDIR)"; cat pyproject.toml constraints.txt; } | cksum | cut -d' ' -f1)
DEMO_STAMP := $(VENV)/.outcrop-capture-$(KEY)
TEST_STAMP := $(VENV)/.outcrop-dev-$(KEY)

DEV_EXTRAS := attribute,dev

define preflight
command -v "$(PYTHON)" >/dev/null || { \
  echo "outcrop needs Python 3.11 or newer and found no '$(PYTHON)' on the PATH." >&2; \
  echo "Install Python, or name one:  make demo PYTHON=python3.11" >&2; exit 1; }; \
"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
  echo "outcrop needs Python 3.11 or newer; '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1)." >&2; \
  echo "Install a newer one, or name it:  make demo PYTHON=python3.11" >&2; exit 1; }; \
"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
  echo "'$(PYTHON)' cannot make virtual environments: its modules venv and ensurepip are missing." >&2; \
  echo "On Debian and Ubuntu:  apt install python3-venv" >&2; exit 1; }; \
free=$$(df -Pk "$$(dirname "$(VENV)")" | awk 'NR == 2 { print int($$4 / 1048576) }'); \
[ "$$free" -ge "$(FREE_GB)" ] || { \
  echo "outcrop needs $(FREE_GB) GB of free disk for its environment; the disk of $(VENV) has $$free GB." >&2; \
  echo "Free some, use VENV=/a/larger/disk/venv, or lower the bar with FREE_GB=4 (enough for CPU-only PyTorch)." >&2; \
  exit 1; }
endef

# $(call install,EXTRAS): the virtual environment with this checkout and its extras, at the locked versions.
define install
@$(preflight)
@[ -x "$(BIN)/python" ] || "$(PYTHON)" -m venv "$(VENV)"
@echo "Installing outcrop and its requirements into $(VENV): minutes the first time, seconds after that"
@"$(BIN)/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(1)]'
endef

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(DEMO_STAMP):
	$(call install,capture)
	@rm -f "$(VENV)"/.outcrop-*; touch "$@"

$(TEST_STAMP):
	$(call install,$(DEV_EXTRAS))
	@rm -f "$(VENV)"/.outcrop-*; touch "$(DEMO_STAMP)" "$@"

.PHONY: demo
demo: $(DEMO_STAMP) ## make the environment, then generate, record, probe and report on the shipped model
	@"$(BIN)/outcrop" demo

define pytest
OUTCROP_TEST_WHEEL=1 "$(SITE)/bin/python" -P -m pytest -n $(JOBS) --dist worksteal $(PYTEST_ARGS)
endef

# mypy and sphinx take a core each; what a target says is shown when it is done, not line by line among the others'.
TOGETHER := --no-print-directory --jobs=2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.PHONY: test
test: $(TEST_STAMP) ## everything that CI runs: linters, types, import order, documentation, tests of the built wheel
	@$(MAKE) $(TOGETHER) lint types layers docs
	$(pytest)

.PHONY: lint
lint: $(TEST_STAMP)
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .

.PHONY: types
types: $(TEST_STAMP)
	"$(BIN)/mypy" -p outcrop

# A second environment sees the requirements of the first through a .pth file, but not its editable outcrop: what the
# tests import is the wheel, with the files that the wheel really holds.
.PHONY: wheel
wheel: $(TEST_STAMP)
	rm -rf build/lib build/bdist.* build/wheel "$(SITE)"
	mkdir -p build
	"$(BIN)/python" -P -m build --wheel --no-isolation --outdir build/wheel . >build/wheel.log 2>&1 || { cat build/wheel.log; exit 1; }
	"$(BIN)/python" -m venv --without-pip "$(SITE)"
	"$(BIN)/python" -m pip --python "$(SITE)/bin/python" install --quiet --no-deps --no-index build/wheel/*.whl
	purelib='import sysconfig; print(sysconfig.get_path("purelib"))'; \
	"$(BIN)/python" -c "$$purelib" >"$$("$(SITE)/bin/python" -c "$$purelib")/requirements.pth"

.PHONY: layers
layers: wheel
	"$(SITE)/bin/python" -P -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

.PHONY: docs
docs: $(TEST_STAMP) ## build the documentation into build/docs; every warning is an error
	"$(BIN)/python" -m sphinx --quiet --fail-on-warning --keep-going docs build/docs

.PHONY: unit
unit: wheel
	$(pytest)

.PHONY: test-faults
test-faults: wheel ## kill, starve and interrupt captures at every place (OUTCROP_KILLS=200), and compare what they resume to
	OUTCROP_KILLS="$${OUTCROP_KILLS:-200}" "$(SITE)/bin/python" -P -m pytest tests/data/test_faults.py tests/data/test_object_store.py tests/capture/test_faults.py $(PYTEST_ARGS)

.PHONY: test-cluster
test-cluster: wheel ## kill workers at random, cut the wire between two hosts, and start jobs as a batch system does
	OUTCROP_CLUSTER=1 "$(SITE)/bin/python" -P -m pytest tests/cluster $(PYTEST_ARGS)

.PHONY: test-hostile
test-hostile: wheel ## open 10,000 mutated shards, and find 1,000 flipped bits and 200 truncations in a data set
	OUTCROP_MUTATIONS=10000 OUTCROP_FLIPS=1000 OUTCROP_CUTS=200 "$(SITE)/bin/python" -P -m pytest tests/data/hostile $(PYTEST_ARGS)

.PHONY: test-statistics
test-statistics: wheel ## probe 200 data sets in which nothing stands, 200 with one cell, 1,000 intervals, and print how often each is right
	OUTCROP_DATASETS=200 "$(SITE)/bin/python" -P -m pytest -s tests/probes/test_planted_truth.py $(PYTEST_ARGS)

.PHONY: test-out-of-core
test-out-of-core: wheel ## probe, align and map 10 GB (OUTCROP_SCRATCH=DIR, OUTCROP_GB=10) within 1 GiB of memory
	"$(SITE)/bin/python" -P benchmarks/out_of_core.py --scratch "$${OUTCROP_SCRATCH:-$${TMPDIR:-/tmp}}" --gb "$${OUTCROP_GB:-10}"

.PHONY: test-one-column
test-one-column: wheel ## probe a column of 1.6 GB (OUTCROP_SCRATCH=DIR) within 1 GiB of memory, by rows
	"$(SITE)/bin/python" -P benchmarks/one_column.py --scratch "$${OUTCROP_SCRATCH:-$${TMPDIR:-/tmp}}"

.PHONY: figures
figures: demo ## make the README's pictures again, from runs/demo
	for name in architecture heatmap profiles; do cp "runs/demo/probes/figures/$$name.png" "docs/figures/demo-$$name.png"; done

.PHONY: claims
claims: $(DEMO_STAMP) ## put the published claims to the shipped models again, and write docs/studies/claims.md (half an hour)
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[attribute]'
	"$(BIN)/python" benchmarks/claims.py

.PHONY: train-zoo
train-zoo: $(DEMO_STAMP) ## train the shipped models again (about three hours on two cores; goes on after a kill)
	"$(BIN)/python" -m outcrop.zoo.training --out build/zoo
	for family in dit gan vae; do "$(BIN)/python" -m "outcrop.zoo.training.$$family" --out "build/zoo/$$family"; done
	mkdir -p zoo/models
	cp -R build/zoo/models/. build/zoo/{dit,gan,vae}/models/. zoo/models/

.PHONY: clean
clean: ## remove the environment, caches and build products; runs/ and the training in build/zoo stay
	[ ! -d build ] || find build -mindepth 1 -maxdepth 1 ! -name zoo -exec rm -rf {} +
	rm -rf dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -not -path "./$(VENV)/*" -prune -exec rm -rf {} +
	[ ! -f "$(VENV)/pyvenv.cfg" ] || rm -rf "$(VENV)"
