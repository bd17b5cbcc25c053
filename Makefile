# make audit: the default audit; make test: the tests; make docs: the documentation as a site.
# Each sets up .venv from the lock if needed.
PYTHON ?= python3
LOCK := envs/requirements.lock
READY := .venv/.ready
# .venv comes first in PATH, so that jobs run its `python`; no activation is needed
RUN := PATH="$(CURDIR)/.venv/bin:$$PATH"
# progress bars only on a terminal: that logger leaves out the lines that a log file needs
PROGRESS := $(shell test -t 2 && echo --logger rich)

.PHONY: audit test lint docs clean

audit: $(READY)
	$(RUN) python -m snakemake $(PROGRESS) $(ARGS)
	@test ! -e results/report.html || $(RUN) python -m medaudit findings

test: $(READY)
	$(RUN) python -m pytest -n 2 --dist loadgroup $(ARGS)

lint: $(READY)
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) snakefmt --check workflow
	$(RUN) python -m snakemake --lint

$(READY): $(LOCK) pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "medaudit needs Python 3.11 or newer; make PYTHON=python3.11 picks another one")'
	$(PYTHON) -m venv .venv
	$(RUN) python -m pip install --quiet --disable-pip-version-check -c $(LOCK) -e '.[models,workflow,dev]'
	touch $@

docs: .venv/.docs
	$(RUN) NO_MKDOCS_2_WARNING=1 python -m mkdocs build --quiet
	@echo "documentation: $(CURDIR)/site/index.html"

.venv/.docs: $(READY)
	$(RUN) python -m pip install --quiet --disable-pip-version-check -c $(LOCK) -e '.[docs]'
	touch $@

clean:
	rm -rf results
