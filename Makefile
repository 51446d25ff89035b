# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2

.PHONY: demo test chaos docs lint bench format clean

# The stamps are newer than what defines the installation, so nothing is installed twice.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.'
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(VENV)/.installed $@

demo: $(VENV)/.installed
	$(BIN)/gradus train digits-lenet5

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(JOBS)

# Everything in docs/reliability.md as often as it says there. Takes about half an hour; the counts go to chaos.json.
chaos: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 GRADUS_CHAOS=1 GRADUS_CHAOS_COUNTS=chaos.json $(BIN)/python -m pytest tests/chaos

# The pages that are made from code: docs/catalogue.md, docs/lessons.md, and the catalogue and all lessons as HTML in site/.
docs: $(VENV)/.installed
	$(BIN)/python -m gradus.lessons.site

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check gradus tests benchmarks
	$(BIN)/ruff format --check gradus tests benchmarks
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix gradus tests benchmarks
	$(BIN)/ruff format gradus tests benchmarks

# Side by side with the peers, in their own environment. Takes about 35 minutes.
.peers/.installed: benchmarks/peers.txt constraints.txt
	test -x .peers/bin/python || $(PYTHON) -m venv .peers
	.peers/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -r benchmarks/peers.txt -e '.'
	touch $@

bench: .peers/.installed
	.peers/bin/python benchmarks/run.py
	.peers/bin/python benchmarks/fleet.py

clean:
	rm -rf $(VENV) .peers build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
