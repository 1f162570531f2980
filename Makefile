# Everything a developer types; `make` alone lists it.
#
# `make serve` and `make test` set up what they need: a virtual environment in .venv from pyproject.toml, with the
# versions that constraints.txt holds. A stamp file makes the second run instant.

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet --constraint constraints.txt
docker := docker

# When the system's Python was upgraded, what is in .venv belongs to the one before: it is made anew.
BROKEN := $(if $(wildcard $(BIN)/pip),$(shell ($(BIN)/python -c 'import pip' >/dev/null 2>&1) || echo $(BIN)/pip))
.PHONY: $(BROKEN)

.DEFAULT_GOAL := help
.PHONY: help serve test lint fix translate migration bench train faults audit sbom image

help:  ## what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { split($$2, text, " — "); \
	  printf "  make %-30s %s\n", (text[2] ? $$1 " " text[1] : $$1), (text[2] ? text[2] : text[1]) }' Makefile

serve: $(VENV)/.serve  ## [args="--port 9000"] — the service, at http://127.0.0.1:8000
	@exec $(BIN)/legible serve $(args)

test: $(VENV)/.test  ## [t=path] — everything that CI runs, with real PostgreSQL, Redis and Chromium
	@sh setup/system.sh
	@$(BIN)/pytest $(t)

lint: $(VENV)/.test  ## ruff, mypy, import contracts, docs up to date
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/pytest --quiet tests/test_settings.py

CATALOG := src/legible/console/locale
translate: $(VENV)/.test  ## collect the console's sentences; then fill console/locale/zh_Hans
	@$(BIN)/pybabel --quiet extract --mapping src/legible/console/babel.cfg --keyword mark --keyword translate \
	  --no-location --sort-output --omit-header --output $(CATALOG)/messages.pot src/legible/console
	@$(BIN)/pybabel --quiet update --ignore-obsolete --no-fuzzy-matching --omit-header --ignore-pot-creation-date \
	  --input-file $(CATALOG)/messages.pot --output-dir $(CATALOG)
	@rm $(CATALOG)/messages.pot

fix: $(VENV)/.test  ## ruff's fixes and format
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

migration: $(if $(m),$(VENV)/.test)  ## m="why" — a new migration, from what changed in db/tables.py
	$(if $(m),,$(error Say why, for example: make migration m="keys have an owner"))
	@$(BIN)/python -c 'import sys, tempfile; from pathlib import Path; from legible.db.session import new_migration; \
	  new_migration(sys.argv[1], Path(tempfile.mkdtemp()))' "$(m)"
	@$(BIN)/ruff format src/legible/db/migrations

# -P: else benchmarks/click.py would be taken for the library of that name.
bench: $(if $(wildcard benchmarks/$(k).py),$(VENV)/.test)  ## k=KIND [args="..."] — a measurement, with the row for docs/benchmarks.md
	$(if $(wildcard benchmarks/$(k).py),,$(error Say which: make bench k=load))
	@$(BIN)/python -P benchmarks/$(k).py $(args)

# Half an hour and more: CI runs the same tests with 2 rounds and 2,000 connections.
faults: $(VENV)/.test  ## [args="--rounds 5"] — kill, cut off, fill up, slow down; the figures of docs/reliability.md
	@$(BIN)/pytest tests/faults --rounds 50 --connections 10000 $(args)

# pip-audit asks the service of the Python Package Index for known holes: where that cannot be reached, it fails and says so.
audit: $(VENV)/.audit  ## known holes in what is installed (pip-audit), dangerous habits in our code (bandit)
	@$(BIN)/bandit --quiet --recursive src
	@$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

# From an environment of its own, with what a server installs and nothing else.
sbom: $(VENV)/.audit  ## build/sbom.json: what a server is made of, in CycloneDX
	@mkdir -p build
	@sh setup/venv.sh build/sbom
	@build/sbom/bin/python -m pip --disable-pip-version-check --no-input install --quiet --constraint constraints.txt '.[postgres,redis,otel]'
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file build/sbom.json build/sbom
	@rm -rf build/sbom build/lib build/bdist.*  # else the next build would take old modules along

image:  ## [docker=podman] — the container image "legible"
	@$(docker) build --tag legible .

train: $(if $(wildcard training/$(k)/train.py),$(VENV)/.train)  ## k=KIND [args="..."] — train further and export the weights; needs the extra `train`, with PyTorch
	$(if $(wildcard training/$(k)/train.py),,$(error Say which: make train k=text))
	@$(BIN)/python training/$(k)/train.py $(args)
	@$(BIN)/python training/$(k)/export.py

# A venv whose creation was cut short has no pip, which comes last: so pip is what we look for.
$(BIN)/pip:
	@sh setup/venv.sh $(VENV)

$(VENV)/.serve: pyproject.toml constraints.txt $(BROKEN) | $(BIN)/pip
	@echo "Installing Legible into $(VENV) (once; this takes a minute or two)"
	@$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt $(BROKEN) | $(BIN)/pip
	@echo "Installing Legible and its tests into $(VENV) (once; this takes a minute or two)"
	@$(PIP_INSTALL) --editable '.[test]'
	@touch $(VENV)/.serve $@

$(VENV)/.audit: pyproject.toml constraints.txt $(BROKEN) | $(BIN)/pip
	@echo "Installing bandit, pip-audit and cyclonedx-bom into $(VENV) (once)"
	@$(PIP_INSTALL) --editable '.[audit]'
	@touch $(VENV)/.serve $@

$(VENV)/.train: pyproject.toml constraints.txt $(BROKEN) | $(BIN)/pip
	@echo "Installing PyTorch into $(VENV) (once; this takes a while)"
	@$(PIP_INSTALL) --editable '.[train]'
	@touch $(VENV)/.serve $@
