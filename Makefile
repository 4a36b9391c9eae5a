# relay's own targets. Each makes what it needs: .venv, an engine, the base image.
PYTHON ?= python3
VENV := .venv

.PHONY: check test demo engine bench clean

$(VENV)/.installed: pyproject.toml constraints.txt
	@scripts/venv $(VENV) $(PYTHON)
	@touch $@

check: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/pytest -q tests/test_house.py

test: check
	$(VENV)/bin/pytest -q -n 4
