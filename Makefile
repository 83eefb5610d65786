# Every target installs what it needs into .venv; PYTHON chooses the interpreter that makes it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help setup demo slurm-demo toolchains test test-fast test-gpu mutants lint audit format bench bench-gpu bench-baselines docs \
	serve-docs browser clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo "SpikeFormer needs Python 3.11 to 3.13; choose one with: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Stamps remember what is installed, so that a second call starts at once.
$(VENV)/.core: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@# Reads our NIR files in the tests. It asks for torchvision, does not need it there, and would
	@# bring another build of torch with it.
	$(BIN)/python -m pip install --quiet --no-deps norse==1.1.0
	@touch $@ $(VENV)/.core

$(VENV)/.docs: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	@touch $@

setup: $(VENV)/.dev  ## Make .venv and .toolchains with everything for development
	@$(MAKE) --no-print-directory toolchains || echo "without it, its tests are skipped"
	@$(MAKE) --no-print-directory .toolchains/slurm/.installed || echo "without it, its tests are skipped"

demo: $(VENV)/.core  ## Train a spiking vision transformer on digits and write its report
	$(BIN)/python train.py

# The vendors' packages stay out of .venv: each toolchain is an environment of its own.
toolchains:  ## Install Lava (Loihi 2), sPyNNaker and NEST (SpiNNaker) and SANA-FE into .toolchains
	@$(MAKE) --no-print-directory --jobs=2 $(foreach name,loihi2 spinnaker sanafe,.toolchains/$(name)/.installed)

.toolchains/loihi2/.installed: toolchains/loihi2.txt
	@python=$$(toolchains/find-python.sh) && $$python -m venv --clear $(@D) \
		&& $(@D)/bin/python -m pip install --quiet --no-deps --ignore-requires-python --requirement $< && touch $@ \
		|| { rm -rf $(@D); echo "$(@D) did not install"; exit 1; }

.toolchains/spinnaker/.installed .toolchains/sanafe/.installed: .toolchains/%/.installed: toolchains/%.txt
	@$(PYTHON) -m venv --clear $(@D) \
		&& $(@D)/bin/python -m pip install --quiet --requirement $< && touch $@ \
		|| { rm -rf $(@D); echo "$(@D) did not install"; exit 1; }

# Unpacked into .toolchains; a system with a Slurm of its own needs none of this.
.toolchains/slurm/.installed: toolchains/slurm.sh
	@$< $(@D) && touch $@ || { rm -rf $(@D); echo "$(@D) did not install"; exit 1; }

slurm-demo: $(VENV)/.dev .toolchains/slurm/.installed  ## Run a sweep on a Slurm of one node, unpacked into .toolchains
	$(BIN)/python scripts/slurm/demo.py

test: setup browser  ## Run the test suite
	@# One process more than cores: some tests wait for processes of theirs.
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --dist loadfile \
		--no-loadscope-reorder

test-fast: $(VENV)/.dev  ## Run the tests that need no training and no processes
	$(BIN)/python -m pytest -m "not slow"

test-gpu: $(VENV)/.dev  ## Run the tests of the ops, with Triton's kernels on a GPU
	$(BIN)/python -c 'import sys, torch; sys.exit(0 if torch.cuda.is_available() else "no GPU that torch can use")'
	$(BIN)/python -m pytest tests/ops

# Cosmic Ray stays out of .venv; the tests run in it.
mutants: $(VENV)/.dev  ## List faults in PACKAGE=spikeformer/... that its tests do not notice
	@$(PYTHON) -m venv .mutants && .mutants/bin/python -m pip install --quiet "cosmic-ray>=8.7,<9"
	$(BIN)/python scripts/mutants.py $(PACKAGE)

lint: $(VENV)/.dev  ## Check style, types and the layers of the package
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: $(VENV)/.dev  ## Look up the installed packages' security advisories on PyPI
	@$(PYTHON) -m venv .audit && .audit/bin/python -m pip install --quiet pip-audit
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+.*//' > .audit/installed.txt
	.audit/bin/pip-audit --strict --no-deps --disable-pip --requirement .audit/installed.txt

format: $(VENV)/.dev  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# One command for a machine with a GPU: kernels first, then every op and Spikformer in float32 and bfloat16.
bench-gpu: test-gpu bench-baselines  ## Test and measure the ops and a model on a GPU; write outputs/benchmarks
	$(BIN)/python scripts/bench/run.py --device cuda

bench: $(VENV)/.core bench-baselines  ## Measure the demo, the ops and a model; write docs/benchmarks
	$(BIN)/python scripts/bench/digits.py
	$(BIN)/python scripts/bench/run.py

BASELINES := $(basename $(notdir $(wildcard scripts/bench/baselines/*.txt)))
bench-baselines: $(BASELINES:%=.bench/%/.installed)  ## Install the libraries compared with, each by itself

# What does not install on this machine is reported as not measured, and the rest is measured.
.bench/%/.installed: scripts/bench/baselines/%.txt
	@$(PYTHON) -m venv --clear .bench/$* \
		&& .bench/$*/bin/python -m pip install --quiet --requirement $< && touch $@ \
		|| { rm -rf .bench/$*; echo "$* did not install: it will not be measured"; }

docs: $(VENV)/.docs  ## Build the documentation into site/, failing on any warning
	$(BIN)/mkdocs build --strict

serve-docs: $(VENV)/.docs  ## Show the documentation while you write it
	$(BIN)/mkdocs serve

# The report's tests open it in a browser; without one, and without the right to install one,
# they are skipped and say so.
browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null \
		|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
			&& apt-get update -qq && apt-get install -y -qq chromium chromium-driver >/dev/null; } \
		|| echo "no Chromium: tests of the report in a browser will be skipped"

clean:  ## Remove the environment and everything built; runs in outputs/ stay
	rm -rf $(VENV) .audit .mutants .bench .toolchains site build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
