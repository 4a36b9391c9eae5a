# relay's own targets. Each makes what it needs: .venv, an engine, the base image.
PYTHON ?= python3
VENV := .venv
LIVE ?=

.PHONY: check test demo engine image bench docs clean

$(VENV)/.installed: pyproject.toml constraints.txt scripts/venv
	@scripts/venv $(VENV) $(PYTHON)
	@touch $@

# An engine that answers, and what `relay image debian` needs; nothing is installed where both are there.
engine: $(VENV)/.installed
	@$(VENV)/bin/python scripts/engine

image: engine
	@$(VENV)/bin/relay image debian

check: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/pytest -q tests/test_house.py

test: check image
	$(VENV)/bin/pytest -q -n 4

demo: image
	@scripts/demo $(LIVE)

bench: image
	$(VENV)/bin/python -m benchmarks

# docs/commands.md is what the commands say of themselves.
docs: $(VENV)/.installed
	$(VENV)/bin/python scripts/docs

clean:
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
