# `make help` lists the targets. Every target sets up what it needs; a warm set-up costs a fraction of a second.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
SCENARIO ?= email-campaign
ENV ?= prod,keda
RUNTIME ?= local
RELEASE ?= celery
# Where the caller forbids bytecode, each of the hundreds of Pythons of a run would compile the checkout's own code.
unexport PYTHONDONTWRITEBYTECODE
# What mypy knows of a module goes by its content, so checkouts may share it.
export MYPY_CACHE_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/celery-workers/mypy
E2E := $(BIN)/pytest -vv --timeout=900 --cluster tests/cluster

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make spike and make plan take SCENARIO= (email-campaign), ENV= (prod,keda: files of values/, in order), RUNTIME= (local, kind, cluster), OPEN=1"

.PHONY: venv
venv:
	@$(PYTHON) scripts/bootstrap.py

.PHONY: setup
setup: venv ## Install everything a run or the tests need, and say where it is
	@$(BIN)/harness setup --for test

.PHONY: spike
spike: venv ## Run a spike test and print the verdict and the report's path (MONITOR=1: with the alerts that fired)
	@$(BIN)/harness spike $(SCENARIO) --env $(ENV) --runtime $(RUNTIME) $(if $(MONITOR),--monitor) $(if $(OPEN),--open)

.PHONY: plan
plan: venv ## Foretell a spike on the values of ENV without starting anything (OPEN=1 opens the page)
	@$(BIN)/harness plan $(SCENARIO) --env $(ENV) --runtime $(RUNTIME) $(if $(OPEN),--open)

.PHONY: tune
tune: venv ## Find the cheapest values that meet a scenario's objectives: values/tuned.yaml (OPEN=1 opens the page)
	@$(BIN)/harness tune $(SCENARIO) --env $(ENV) --runtime $(RUNTIME) $(if $(OPEN),--open)

.PHONY: cost
cost: venv ## What the values of ENV cost a month, beside the old way's (example prices; PRICES= a file of yours)
	@$(BIN)/harness cost --compare baseline $(ENV) $(if $(PRICES),--prices $(PRICES))

.PHONY: compare
compare: venv ## The old way and the new side by side on the same CPU and memory (SCENARIOS=, RUNS=3, BUDGET=4,64, OPEN=1, RESUME=folder)
	@$(BIN)/harness compare $(if $(RESUME),--resume $(RESUME),$(SCENARIOS) --runtime $(RUNTIME) $(if $(RUNS),--runs $(RUNS)) \
	  $(if $(BUDGET),--budget $(BUDGET))) $(if $(PRICES),--prices $(PRICES)) $(if $(OPEN),--open)

.PHONY: chaos
chaos: venv ## Strike a running release with faults and account for every task (FAULTS=ci: the three that CI runs)
	@$(BIN)/harness setup --for chaos
	@$(BIN)/harness chaos $(if $(filter ci,$(FAULTS)),--ci)

.PHONY: soak
soak: venv ## A million tasks with faults now and then, every one accounted for (TASKS=, RESUME=1 goes on with one that was cut)
	@$(BIN)/harness setup --for chaos
	@$(BIN)/harness soak $(if $(RESUME),--resume$(if $(filter-out 1,$(RESUME)), $(RESUME)),$(if $(TASKS),--tasks $(TASKS)))

.PHONY: report
report: venv ## Show the newest report's verdict (OPEN=1 opens the page)
	@$(BIN)/harness report $(if $(OPEN),--open)

.PHONY: claims
claims: venv ## Write docs/claims.md: what the two documents claim, and what the runs in reports/ say
	@$(BIN)/harness claims

.PHONY: monitor
monitor: venv ## Run a Prometheus beside a local run, with the release's alerts, and say where its page is (RUN=, PORT=)
	@$(BIN)/harness setup --for monitor
	@$(BIN)/harness monitor $(if $(RUN),--run $(RUN)) $(if $(PORT),--port $(PORT))

.PHONY: alerts
alerts: venv ## Try every alert by promtool, on made-up series, and count at how many moments it fires and is silent
	@$(BIN)/harness setup --for monitor
	@$(BIN)/python -m tests.chart.rules

.PHONY: validate
validate: venv ## Check the chart with the values of ENV
	@$(BIN)/harness validate --env $(ENV)

.PHONY: test
test: setup ## What needs no cluster, as CI runs it
	@$(MAKE) --no-print-directory -j2 lint quick-tests

.PHONY: test-full
test-full: setup lint ## Everything that needs no cluster, the long tests too
	@$(BIN)/pytest

# Beside the linters, which keep one core busy for half a minute.
.PHONY: quick-tests
# Pytest rewrites each test file once, but processes that start together on a fresh checkout would all do it, six times
# over. So one does it before, while the other core lints.
quick-tests: venv
	@[ -d tests/unit/__pycache__ ] || $(BIN)/pytest --collect-only -qq -n 0 >/dev/null || true
	@$(BIN)/pytest -m "not full"

.PHONY: lint
lint: venv ## Lint, types, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

.PHONY: format
format: venv ## Format the Python code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: cluster
cluster: venv ## Make a kind cluster, from a registry or from packages alone; says which and why
	@$(BIN)/harness cluster up

.PHONY: cluster-delete
cluster-delete: venv ## Remove that cluster, and nothing else
	@$(BIN)/harness cluster down

.PHONY: e2e
e2e: setup ## The tests on a real cluster that CI runs: the one of KUBECONFIG, else kind
	@$(E2E) -n 2 --no-loadscope-reorder -m "not full" --results e2e.json  # two tests at a time, which mostly wait for pods of their own

.PHONY: e2e-full
e2e-full: setup ## All tests on a real cluster, those of minutes too
	@$(E2E) -n 0 --results e2e-full.json  # some take nodes away from all

.PHONY: bench
bench: venv ## Benchmarks: ratios measured in one run
	@$(BIN)/harness setup --for bench
	@$(BIN)/python -m benchmarks.drain
	@$(BIN)/python -m benchmarks.monitoring
	@$(BIN)/python -m benchmarks.render
	@$(BIN)/python -m benchmarks.bulk
	@$(BIN)/python -m benchmarks.fluid
	@$(BIN)/python -m benchmarks.simulation

.PHONY: conformance
conformance: venv ## Compare the autoscaler's arithmetic with Kubernetes' own controller on random hours (HOURS=4000, SEED=1)
	@$(BIN)/python -m tests.conformance $(if $(HOURS),--hours $(HOURS)) $(if $(SEED),--seed $(SEED)) $(if $(JOBS),--jobs $(JOBS))

.PHONY: conformance-keda
conformance-keda: venv ## Compare what the harness makes of ScaledObjects with KEDA itself on random stories (OBJECTS=1000, SEED=1)
	@$(BIN)/python -m tests.conformance.keda $(if $(OBJECTS),--objects $(OBJECTS)) $(if $(SEED),--seed $(SEED))

.PHONY: theory
theory: venv ## Compare the simulator with queueing theory
	@$(BIN)/python -m tests.theory

.PHONY: mutation
mutation: venv ## Change every property of the values schema, and count what nobody notices
	@$(BIN)/python -m tests.chart.mutation

.PHONY: package
package: venv ## Package the chart into dist/
	@"$$($(BIN)/python -c 'from harness import tools; print(tools.find_helm())')" package charts/celery-workers --destination dist

.PHONY: release
release: venv ## Package, labelled images, bills of materials, notes and sums in dist/ (VERSION=x.y.z: have the tree say it; SNAPSHOT=1)
	@$(BIN)/harness release $(if $(VERSION),prepare $(VERSION) $(if $(APP_VERSION),--app-version $(APP_VERSION)),build $(if $(SNAPSHOT),--snapshot))

.PHONY: golden
golden: venv ## Refresh what is generated: the golden renders, the values schema, the chart's reference, Chart.yaml's annotations
	@$(BIN)/python -m tests.golden.refresh

.PHONY: crds
crds: venv ## Write the schemas of custom resources anew, from the modules that tools/ pins
	@$(BIN)/python -m tests.golden.crds

.PHONY: lock
lock: venv ## Write the hashed locks anew (needs a package index)
	@$(BIN)/uv pip compile -q --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	  --extra harness --group dev --python-version 3.11 pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile -q --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	  --constraint requirements.lock --group docs --python-version 3.11 -o docs/requirements.lock
	@printf "pip\nuv\n" | $(BIN)/uv pip compile -q --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	  --python-version 3.11 - -o scripts/installers.lock

.PHONY: docs
docs: ## Build the documentation into dist/docs; a broken link fails (OPEN=1 opens it)
	@$(PYTHON) scripts/bootstrap.py docs/requirements.lock
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --conf-dir docs . dist/docs
	@echo "$(CURDIR)/dist/docs/index.html"
	@$(if $(OPEN),$(BIN)/python -m webbrowser "file://$(CURDIR)/dist/docs/index.html")

.PHONY: clean
clean: ## Remove the virtualenv and the caches inside the checkout (reports stay)
	@rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache *.egg-info build dist
	@find . -name __pycache__ -prune -exec rm -rf {} +
