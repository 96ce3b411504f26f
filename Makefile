# A fresh machine needs Python 3.11 or 3.12, a C++ compiler (pydensecrf2 is built from source) and make.
PYTHON ?= $(firstword $(foreach python,python3.12 python3.11 python3,$(shell $(python) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $(python))))
BIN := .venv/bin
SAMPLINGS := points/dense,points/spatial,points/top,points/diverse

.PHONY: demo install test test-long lint format clean

demo: install ## the points paper's sampling ablation on the embedded data: table and report
	$(BIN)/wsss run -m experiment=$(SAMPLINGS)
	$(BIN)/wsss table points/table2
	$(BIN)/wsss report

install: .venv/installed

.venv/installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "wsss_lightning needs Python 3.11 or 3.12: install one, or run make PYTHON=/path/to/python"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

test: install ## everything that runs within 10 minutes on two cores, in a process each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

test-long: install ## what needs longer, the real data or a browser
	$(BIN)/python -m pytest -m long

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## all results; the environment stays
	rm -rf runs
