# Thin targets over public commands: `.venv/bin/python -m avnb --help` says what else each verb can do.
PYTHON ?= python3
VENV_FLAGS ?=
PY := .venv/bin/python
READY := .venv/.ready
REAL := $(or $(AVNB_REAL_DATA),../shared/real)

.PHONY: help demo test test-slow lab prepare lint-js bench check-long clean

help:
	@echo 'make demo              the way through: a small world of sounding things, training, scores, overlays (about 10 minutes)'
	@echo 'make demo DATA=folder  the same on your own videos'
	@echo 'make lab               JupyterLab, opened at the first guide'
	@echo 'make test              rooms, unit and property tests; needs nothing but python3 and make'
	@echo 'make test-slow         guides, fresh installation, everything that takes minutes'
	@echo 'make prepare           after editing notebooks: export, execute what changed, clean, README.md, checks'
	@echo 'make lint-js           format, style and types of avnb/static; needs node and npm'
	@echo 'make bench             the studies and speed tables under benchmarks/'
	@echo 'make check-long        demo and study on real recordings ($$AVNB_REAL_DATA), then half an hour of soak; by hand'
	@echo 'make clean             removes caches and build products; keeps .venv and runs/'
	@echo
	@echo 'The first of them installs avnb into .venv. Choose the Python with PYTHON=python3.13 (3.11 or newer).'
	@echo 'To use a torch that this Python already has: VENV_FLAGS=--system-site-packages'
	@echo 'For the small CPU-only torch: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu'

# One environment for everything; made again when what it is made from is newer.
$(READY): settings.ini setup.py pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo 'avnb needs Python 3.11 or newer, and there is no $(PYTHON). Name one: make PYTHON=/path/to/python3.11 ...'; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "avnb needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV_FLAGS) .venv
	@if $(PY) -c 'from importlib.metadata import version; version("torch")' 2>/dev/null; then echo 'Updating .venv (a torch is there already and is kept if it fits) ...'; \
	else echo 'Installing into .venv, once. With a CUDA build of torch: 3.4 GB to fetch, 6.7 GB on disk, 2 to 10 minutes.'; \
	     echo 'With a CPU build: 0.6 GB to fetch, 2.2 GB on disk, 1 to 3 minutes. `make help` says how to choose.'; fi
	@start=$$(date +%s); if [ -t 1 ]; then quiet=; else quiet=-q; fi; \
	$(PY) -m pip install $$quiet --disable-pip-version-check -e '.[dev]' && touch $@ && echo "Installed in $$(( $$(date +%s) - start )) s."

demo: $(READY)
	$(PY) -m avnb demo $(if $(DATA),"$(DATA)")

lab: $(READY)
	$(PY) -m avnb lab

test: $(READY)
	$(PY) -m pytest -m 'not slow'

test-slow: $(READY)
	$(PY) -m pytest -m slow

prepare: $(READY)
	$(PY) tools/prepare.py

lint-js:
	@command -v npm >/dev/null || { echo 'The JavaScript tools need node and npm, and they are not here.'; exit 1; }
	npm install --no-audit --no-fund --no-package-lock --prefer-offline --silent
	npm run --silent lint

bench: $(READY)
	@ls benchmarks/*.py >/dev/null 2>&1 || { echo 'No benchmarks yet: benchmarks/*.py is empty.'; exit 1; }
	@for script in $(filter-out benchmarks/real.py benchmarks/soak.py benchmarks/study.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(PY) $$script || exit 1; done

check-long: $(READY)
	@test -d "$(REAL)/clips" || { echo 'Real recordings not found: set AVNB_REAL_DATA to a folder that holds clips/.'; exit 1; }
	$(PY) -m avnb demo "$(REAL)/clips"
	AVNB_REAL_DATA="$(abspath $(REAL))" $(PY) benchmarks/real.py
	AVNB_REAL_DATA="$(abspath $(REAL))" $(PY) benchmarks/soak.py

clean:
	rm -rf build dist *.egg-info .pytest_cache .hypothesis .ruff_cache node_modules
	find avnb nbs tests tools -name __pycache__ -o -name .ipynb_checkpoints | xargs rm -rf
