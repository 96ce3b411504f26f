# A fresh machine needs Python 3.11 to 3.13 and make; with a C++ compiler and Python < 3.13 pydensecrf2 is built, too.
PYTHON ?= $(firstword $(foreach python,python3.12 python3.11 python3.13 python3,$(shell $(python) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $(python))))
BIN := .venv/bin
SAMPLINGS := points/dense,points/spatial,points/top,points/diverse

.PHONY: demo install test test-long test-floors speed lock lint docs format clean

demo: install ## the points paper's sampling ablation on the embedded data: table and report
	$(BIN)/wsss run -m experiment=$(SAMPLINGS)
	$(BIN)/wsss table points/table2
	$(BIN)/wsss report
	@printf '\n%s\n%s\n' "Open runs/report.html: table, curves, pictures. Then: $(BIN)/wsss list; $(BIN)/wsss summary; $(BIN)/wsss store ls" \
	  "Your own photographs: docs/photographs.md. Labels for any picture: $(BIN)/wsss predict classifier PICTURE... --out labelled"

install: .venv/installed

# Exactly the files whose hashes stand in requirements/: what an sdist is built with comes from there, too.
PIP = python -m pip install --quiet --disable-pip-version-check
define install-locked
	@test -n "$(PYTHON)" || { echo "wsss_lightning needs Python 3.11 to 3.13: install one, or run make PYTHON=/path/to/python"; exit 1; }
	test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
	$(1)/bin/$(PIP) --require-hashes -r requirements/build.txt
	$(1)/bin/$(PIP) --require-hashes --no-build-isolation -r $(2)
	$(1)/bin/$(PIP) --no-deps --no-build-isolation -e .
endef

.venv/installed: pyproject.toml requirements/build.txt requirements/dev.txt requirements/pydensecrf.txt
	$(call install-locked,.venv,requirements/dev.txt)
	$(BIN)/$(PIP) --require-hashes --no-deps --no-build-isolation -r requirements/pydensecrf.txt || echo "pydensecrf2 was not built: crf.backend=auto is the lattice"
	touch $@

.venv-floors/installed: pyproject.toml requirements/build.txt requirements/floors.txt
	$(call install-locked,.venv-floors,requirements/floors.txt)
	touch $@

lock: install ## requirements/*.txt anew from pyproject.toml; what stands in them stays unless it must change
	$(BIN)/$(PIP) uv
	$(BIN)/uv pip compile $(LOCK) -o requirements/build.txt requirements/build.in
	$(BIN)/uv pip compile $(LOCK) -o requirements/dev.txt --extra dev pyproject.toml
	$(BIN)/uv pip compile $(LOCK) --no-deps -o requirements/pydensecrf.txt requirements/pydensecrf.in
	$(BIN)/uv pip compile $(LOCK) -o requirements/floors.txt --resolution lowest-direct --extra dev pyproject.toml
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

test: install ## everything that runs within 10 minutes on two cores, in a process each
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

test-long: install ## what needs longer, the real data or a browser
	$(BIN)/python -m pytest -m long

test-floors: .venv-floors/installed ## the tests with the lowest versions that pyproject.toml allows, in an environment of their own
	OMP_NUM_THREADS=1 .venv-floors/bin/python -m pytest -n 2 --dist worksteal

speed: install ## beside what a user would pick instead, and experiments/speed/README.md; IMAGES=, BERKELEY=, MODEL=: folders, ONLY=, WITHOUT=: programs
	$(BIN)/python experiments/speed/everything.py $(if $(IMAGES),--images $(IMAGES)) $(if $(BERKELEY),--berkeley $(BERKELEY)) \
	  $(if $(MODEL),--model $(MODEL)) $(if $(ONLY),--only $(ONLY)) $(if $(WITHOUT),--without $(WITHOUT))

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: install ## the site in site/: open site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## all results; the environment stays
	rm -rf runs
