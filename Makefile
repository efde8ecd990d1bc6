# make demo    the main job on made-up brains: train, evaluate, report
# make test    the default tests
# make check   format, lint, types, import direction, and the default tests with the
#              shapes of all arrays checked: what a change must pass
# make coverage  bad inputs and the default tests again, counting the lines they reach
# make slow    the tests that take minutes
# make torture bad pictures, folders and tables, each refused or read as it should be
# make guards  take out, in a copy, each line of tests/guards.toml that must not be lost,
#              and see that its tests fail (DRAW=10: ten of them, drawn by the commit)
# make fuzz    throw random and damaged files at every reader, the same ones each time
# make docs    the documentation as a site in site/
# make table NAME   make one table of docs/tables anew (also: make table NAME=name);
#              ARGS="..." gives the data it is made of, where it needs any
# make bench   time ours beside them: docs/tables/bench.tsv and bench.md (12 minutes on
#              a quiet machine; ARGS="--models Ti/16 --minutes 3" for less)
# make peers   .venv-peers, with the libraries that we compare ourselves with (5 GB)
# make clean   remove what the tests and the documentation left (not .venv, not runs/)
#
# Every target first makes .venv and installs what it needs, by constraints.txt, and
# does it again only when pyproject.toml or constraints.txt has changed.
#
# TORCH=cpu    take the CPU build of PyTorch where the ordinary one brings CUDA
# PYTHON=...   the Python to build .venv from (3.11, 3.12 or 3.13)
# UV=          do not use uv even where it is installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

VENV := .venv
BIN := $(VENV)/bin
UV ?= $(shell command -v uv 2>/dev/null)
TORCH ?=
ifndef PYTHON
PYTHON := $(shell for python in python3.11 python3.12 python3.13 python3; do \
	if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	2>/dev/null; then echo $$python; break; fi; done)
endif

# Two workers, each with one thread, finish sooner than one with two; who is done first
# takes over from the other, so that what a room shares is mostly made once.
PYTEST_WORKERS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal
# Check what every function is given and returns. It takes a fifth of the time, so that
# make test and make torture, which are to be quick, leave it to make check, slow, fuzz
# and coverage, which runs both again.
SHAPES := --jaxtyping-packages=vit_dementia,beartype.beartype

.PHONY: help
help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

$(BIN)/python:
ifneq ($(UV),)
	@echo "==> Making $(VENV) with uv"
	@$(UV) venv --quiet --allow-existing \
		--python "$(or $(PYTHON),>=3.11,<3.14)" $(VENV)
else
	@if [ -z "$(PYTHON)" ]; then echo "make: no Python 3.11, 3.12 or 3.13 was found;" \
		"install one, or name it: make PYTHON=/path/to/python" >&2; exit 2; fi
	@echo "==> Making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV) || { echo "make: $(PYTHON) cannot make a virtual" \
		"environment; install its venv module (Debian, Ubuntu: python3-venv) or uv" \
		>&2; rm -rf $(VENV); exit 2; }
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
endif

# $(call install,WHAT) installs the package with WHAT (extras and dependency groups).
ifneq ($(UV),)
install = $(UV) pip install --quiet --python $(BIN)/python \
	$(if $(filter cpu,$(TORCH)),--torch-backend cpu) -c constraints.txt $(1)
else
install = $(BIN)/python -m pip install --quiet -c constraints.txt $(1)
endif

# pip takes whatever build of PyTorch its index gives; on Linux the ordinary one brings
# CUDA, so what pip would take is looked at before it is taken.
$(VENV)/package: $(BIN)/python pyproject.toml constraints.txt
ifeq ($(TORCH)$(UV),cpu)
	@$(BIN)/python -m pip install --quiet --dry-run --ignore-installed --no-deps \
		-c constraints.txt --report - torch | $(BIN)/python -c 'import json, sys; \
		torch = json.load(sys.stdin)["install"][0]["metadata"]["version"]; \
		sys.exit(sys.platform == "linux" and "+cpu" not in torch)' || { echo \
		"make: TORCH=cpu without uv: set PIP_EXTRA_INDEX_URL to the CPU index that" \
		"PyTorch's install page names, or install uv; then run make again" >&2; exit 2; }
endif
	@echo "==> Installing vit-dementia and what it needs (minutes on a new machine)"
	@$(call install,-e .)
	@touch $@

# An older .venv may have a pip that does not know dependency groups.
$(VENV)/development: $(VENV)/package pyproject.toml constraints.txt
	@echo "==> Installing what tests and checks need"
ifeq ($(UV),)
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
endif
	@$(call install,-e ".[all]" --group dev)
	@touch $@

$(VENV)/documentation: $(VENV)/package pyproject.toml constraints.txt
	@echo "==> Installing what the documentation needs"
ifeq ($(UV),)
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
endif
	@$(call install,--group docs)
	@touch $@

, := ,

.PHONY: demo
demo: $(VENV)/package
	@echo "==> Running vit-dementia demo"
	@$(BIN)/vit-dementia demo

.PHONY: test
test: $(VENV)/development
	@echo "==> Running the default tests"
	$(PYTEST)

.PHONY: coverage
coverage: $(VENV)/development
	@echo "==> Counting the lines that bad inputs and the default tests reach"
	$(PYTEST) $(SHAPES) -m "" tests/torture --cov --cov-report= --cov-fail-under=0
	$(PYTEST) $(SHAPES) --cov --cov-append --cov-report=term:skip-covered

.PHONY: slow
slow: $(VENV)/development
	@echo "==> Running the slow tests"
	$(PYTEST) $(SHAPES) -m slow --durations=10

.PHONY: torture
torture: $(VENV)/development
	@echo "==> Throwing bad inputs at the program"
	$(PYTEST) -m "" tests/torture

DRAW ?= 0
.PHONY: guards
guards: $(VENV)/development
	@echo "==> Taking out guards, to see that their tests notice"
	@$(BIN)/python tests/guards.py --draw $(DRAW) --jobs $(PYTEST_WORKERS) $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/development
	@echo "==> Throwing random bytes at every reader"
	$(PYTEST) $(SHAPES) -m fuzz

.PHONY: format
format: $(VENV)/development
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: lint
lint: $(VENV)/development
	@echo "==> Checking format, lint, types and import direction"
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: check
check: lint
	@echo "==> Running the default tests, shapes checked"
	$(PYTEST) $(SHAPES)

.PHONY: docs
docs: $(VENV)/documentation
	@echo "==> Building the documentation in site/"
	@$(BIN)/mkdocs build --strict --quiet
	@echo "The documentation is at site/index.html"

# `make table floors` names the table as a second goal; that goal then does nothing.
ifeq ($(firstword $(MAKECMDGOALS)),table)
NAME ?= $(word 2,$(MAKECMDGOALS))
ifneq ($(word 2,$(MAKECMDGOALS)),)
.PHONY: $(word 2,$(MAKECMDGOALS))
$(word 2,$(MAKECMDGOALS)):
	@:
endif
endif

.PHONY: table
table: $(VENV)/development
	@if [ ! -f "docs/tables/$(NAME).py" ]; then echo "make: no docs/tables/$(NAME).py;" \
		"there are:" $(basename $(notdir $(wildcard docs/tables/*.py))) >&2; exit 2; fi
	@echo "==> Making the table $(NAME)"
	@$(BIN)/python docs/tables/$(NAME).py $(ARGS)

# torch===2.13.0, with three signs, refuses the CPU build, beside which the ordinary
# torchvision does not load.
.PHONY: peers
peers: .venv-peers/ready
.venv-peers/ready: pyproject.toml constraints.txt
	@echo "==> Making .venv-peers with torchvision, timm, vit-pytorch and transformers"
ifneq ($(UV),)
	@$(UV) venv --quiet --allow-existing \
		--python "$(or $(PYTHON),>=3.11,<3.14)" .venv-peers
	@$(UV) pip install --quiet --python .venv-peers/bin/python \
		torch===2.13.0 torchvision==0.28.0 timm vit-pytorch transformers==5.23.0 -e .
else
	@$(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/python -m pip install --quiet \
		torch===2.13.0 torchvision==0.28.0 timm vit-pytorch transformers==5.23.0 -e .
endif
	@touch $@

.PHONY: bench
bench: peers
	@echo "==> Timing ours beside every peer"
	@.venv-peers/bin/vit-dementia bench --out docs/tables $(ARGS)

.PHONY: clean
clean:
	rm -rf site build dist .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache \
		.hypothesis .import_linter_cache
