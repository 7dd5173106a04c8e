# The verbs of this repository; `make help` lists them. Everything is installed into .venv, from the lock files
# in requirements/; a stamp in .venv remembers what is there, so that a second run starts at once.

PYTHON ?= python3
# Not `?=`: tcsh exports a HOST of its own, and hosting tools a PORT.
HOST = 127.0.0.1
PORT = 8000
ARGS =

UV_VERSION = 0.13.9
# The lock files are complete, hence --no-deps, which halves the wait.
PIP_INSTALL = .venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps
COMPILE = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
    --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(ARGS)

.DELETE_ON_ERROR:
.PHONY: help install demo test lint format bench matrix pictures screenshots viewer build lock clean

help:  ## List the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/.runtime  ## Install shotdap into .venv, editable (the other verbs do it by themselves)

demo: .venv/.runtime  ## Serve a small demonstration archive: HOST=127.0.0.1 PORT=8000; Ctrl-C ends it
	@exec .venv/bin/shotdap demo --host $(HOST) --port $(PORT) $(ARGS)

# Most of the tests' time is that of processes that import shotdap: a user's wish to keep no bytecode would compile it
# anew in each of them. Whole modules are dealt out, so that what the tests of a module share is made once.
test: export PYTHONDONTWRITEBYTECODE =
test: .venv/.test  ## Run the tests: ARGS="-k dap2 -x", or ARGS="-n 0" for one process, in which a debugger works
	.venv/bin/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: .venv/.lint  ## Check style, the order of the folders, and types
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/lint-imports
	@# Side by side: each of them keeps one core at work.
	.venv/bin/mypy & mypy=$$!; .venv/bin/pyright --pythonpath .venv/bin/python; pyright=$$?; wait $$mypy && exit $$pyright

format: .venv/.lint  ## Mend what a tool can mend
	.venv/bin/ruff check --fix-only
	.venv/bin/ruff format

bench: .venv/.test  ## Measure: ARGS=… goes to benchmarks/run.py
	PYTHONPATH=. .venv/bin/python benchmarks/run.py $(ARGS)

matrix: .venv/.test  ## Renew docs/clients.md: what each client reads, which takes all of them
	SHOTDAP_RENEW=1 .venv/bin/python -m pytest tests/clients/matrix

pictures: .venv/.test  ## Renew docs/transforms.md and its pictures, from the demonstration archive
	.venv/bin/python -m docs.make

screenshots: .venv/.test  ## Renew the pictures of pages in docs/screenshots, which takes chromium
	PYTHONPATH=. .venv/bin/python -m docs.make.screenshots

viewer:  ## Check the viewer of images, and build it into server/static/viewer, with Node.js
	cd server/viewer && npm ci --no-audit --no-fund --silent && npm run check && npm run build

build: .venv/.runtime  ## Build the wheel and the sdist into dist/
	rm -rf dist
	.venv/bin/hatchling build

# Each file is held to the versions of those before it, so that all of them fit into one environment.
lock: .venv/.uv  ## Renew requirements/ from pyproject.toml: ARGS=--upgrade, or ARGS="--upgrade-package NAME"
	$(COMPILE) pyproject.toml -o requirements/runtime.txt
	$(COMPILE) --group build -c requirements/runtime.txt -o requirements/build.txt
	$(COMPILE) --group test -c requirements/runtime.txt -c requirements/build.txt -o requirements/test.txt
	$(COMPILE) --group lint -c requirements/runtime.txt -c requirements/build.txt -c requirements/test.txt \
	    -o requirements/lint.txt

clean:  ## Remove all that these verbs made, .venv and the demonstration archive included
	rm -rf .venv .cache .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -rf benchmarks/results build demo dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo 'shotdap needs Python 3.11 or newer. If it has another name here: make PYTHON=python3.11 …' >&2; exit 1; }
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv .venv; \
	elif $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	    $(PYTHON) -m venv --without-pip .venv && $(PYTHON) -m pip --python .venv/bin/python install --quiet pip; \
	else \
	    echo 'This Python cannot make a virtual environment. On Debian: apt-get install python3-venv' >&2; exit 1; \
	fi
	@touch $@

.venv/.runtime: .venv/.created requirements/runtime.txt requirements/build.txt pyproject.toml src/shotdap/__init__.py
	@echo 'Installing shotdap into .venv (the first time takes a minute)'
	@$(PIP_INSTALL) --require-hashes -r requirements/runtime.txt -r requirements/build.txt
	@$(PIP_INSTALL) --no-build-isolation --editable .
	@touch $@

.venv/.test: .venv/.runtime requirements/test.txt
	@echo 'Installing what the tests need'
	@$(PIP_INSTALL) --require-hashes -r requirements/test.txt
	@touch $@

.venv/.lint: .venv/.test requirements/lint.txt
	@echo 'Installing what the checks need'
	@$(PIP_INSTALL) --require-hashes -r requirements/lint.txt
	@touch $@

.venv/.uv: .venv/.created Makefile
	@$(PIP_INSTALL) uv==$(UV_VERSION)
	@touch $@
