# Two commands matter: `make demo` and `make test`. Each makes its own environment in .venv.
# Relative paths only, and `python -m` instead of scripts: both survive a path with spaces.

PYTHON ?= python3
WORKERS ?= 3
PY := .venv/bin/python
ARGS ?=

# What the caller has lying about must not leak into the environment that we made. Bytecode is kept
# beside the sources: the tests start some hundred programs, and each would compile them anew.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX

.DEFAULT_GOAL := help
.PHONY: help demo scenario test test-fast lint types layers commands unit mutations soak bench fuzz lock \
	clean env-demo env-dev

help: ## show these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

demo: env-demo ## the whole way: registers, three vaults, homeland lost, rebuilt with proof
	@$(PY) -c 'import sys; from exclave.cli import main; sys.exit(main())' demo $(ARGS)

scenario: env-demo ## one of examples/: NAME=estonia-luxembourg, monaco-luxembourg, singapore-india-uae
	@test -x "examples/$(NAME)/run" || { echo "make: NAME: expected one of" \
	$$(cd examples && dirname */run) "got '$(NAME)'" >&2; exit 2; }
	@examples/$(NAME)/run

test: env-dev ## everything that must pass before a change is taken
	@$(PY) -m tools.check $(ARGS)

test-fast: env-dev ## the tests alone, without those that start databases
	@$(PY) -m pytest -q -n $(WORKERS) -m "not soak and not postgres" $(ARGS)

lint: env-dev ## ruff: rules and format
	@$(PY) -m tools.check lint format

types: env-dev ## mypy --strict
	@$(PY) -m tools.check types

layers: env-dev ## import-linter: layers and pure folders
	@$(PY) -m tools.check layers

commands: env-dev ## the documented commands against the program
	@$(PY) -m tools.check commands

mutations: env-dev ## take each defence out; its attack test must fail
	@$(PY) -m tools.mutations $(ARGS)

soak: env-dev ## all tests, the exhaustive ones too, with many more examples (long)
	@HYPOTHESIS_PROFILE=soak $(PY) -m pytest -n $(WORKERS) --timeout 7200 $(ARGS)

bench: env-dev ## measure speed on this machine
	@$(PY) -m bench $(ARGS)

fuzz: env-dev ## fuzz every decoder (needs atheris, installed here)
	@$(PY) -m tools.fuzz $(ARGS)

lock: ## resolve requirements/*.txt again (needs uv); ARGS=--upgrade takes newer versions
	@tools/lock.sh $(ARGS)

clean: ## remove what the targets above made
	@rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

env-demo:
	@command -v "$(PYTHON)" >/dev/null || { echo "make: $(PYTHON): expected Python 3.11 or newer, \
	got no such program" >&2; echo "hint: apt install python3 python3-venv" >&2; exit 1; }
	@"$(PYTHON)" tools/set_up.py demo

env-dev:
	@command -v "$(PYTHON)" >/dev/null || { echo "make: $(PYTHON): expected Python 3.11 or newer, \
	got no such program" >&2; echo "hint: apt install python3 python3-venv" >&2; exit 1; }
	@"$(PYTHON)" tools/set_up.py dev
