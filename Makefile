# The only door to this repository: `make help` says what there is.
#
# POSTERN_AMQP_URL, POSTERN_DATABASE_URL and KUBECONFIG choose a target only when they are given on make's command line: a
# developer's shell must not create databases in production. POSTERN_HOME is the state directory (default: .postern).

.DEFAULT_GOAL := help
.SUFFIXES:
MAKEFLAGS += --no-print-directory

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(if $(shell command -v $(name) 2>/dev/null),$(name))) python3)
BIN := .venv/bin
POSTERN_HOME ?= $(CURDIR)/.postern
override POSTERN_HOME := $(abspath $(POSTERN_HOME))
export POSTERN_HOME
TEST_WORKERS ?= 2
TEST_ARGUMENTS ?=

quoted = '$(subst ','\'',$(value $(1)))'
given = $(filter command,$(firstword $(origin $(1))))
option = $(if $(call given,$(1)),$(2) $(call quoted,$(1)))
TARGETS = $(call option,POSTERN_AMQP_URL,--amqp-url) $(call option,POSTERN_DATABASE_URL,--database-url) $(call option,KUBECONFIG,--kubeconfig) $(call option,POSTERN_ADDRESS_MODE,--address-mode) $(call option,POSTERN_POSTGRES_VERSIONS,--postgres-versions)
OWN_DATABASES = $(and $(call given,POSTERN_DATABASE_URL),$(call given,KUBECONFIG))
SETUP = $(PYTHON) tools/setup.py $(if $(call given,POSTERN_AMQP_URL),--without-rabbitmq) $(if $(OWN_DATABASES),--without-postgresql)

PACKAGES = libs/common/src libs/devcluster/src $(wildcard services/*/src)
PYTEST = $(BIN)/pytest -q -n $(TEST_WORKERS) --dist loadfile $(TEST_ARGUMENTS)
HIDDEN = $(if $(wildcard tests/chaos/test_*.py),,chaos) $(if $(wildcard tests/bench/__main__.py),,bench)
HIDDEN += $(if $(wildcard tests/conformance/test_*.py),,conformance)
SUITES = $(wildcard tests/unit tests/contract tests/integration tests/e2e tests/chaos)

.PHONY: help setup up down demo status logs clean-data test test-unit lint format lock

help: ## what you can do here
	@echo 'Postern — managed PostgreSQL through a REST API. What you can do here:'
	@echo
	@sed -n $(foreach name,$(HIDDEN),-e '/^$(name):/d') -e 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1 \2/p' $(firstword $(MAKEFILE_LIST)) | awk '{ n = $$1 " " $$2; $$1 = ""; $$2 = ""; printf "  %-18s%s\n", n, $$0 }'
	@echo
	@echo 'Settings, given behind the target (make up POSTERN_HOME=/tmp/second):'
	@echo '  POSTERN_HOME          another state directory: a second stack beside the first'
	@echo '  POSTERN_AMQP_URL      an own RabbitMQ instead of the private one          (up, demo)'
	@echo '  POSTERN_DATABASE_URL  an own PostgreSQL, as its administrator             (up, demo)'
	@echo '  KUBECONFIG            an own cluster with CloudNativePG, no development one (up, demo)'
	@echo '  POSTERN_ADDRESS_MODE  with an own cluster, how its databases are reached: service-dns (default), cluster-ip, load-balancer'
	@echo '  POSTERN_POSTGRES_VERSIONS  with an own cluster, the majors it can run: 14,15,16,17,18 (default)'
	@echo '  PYTHON                the Python 3.11 or newer to set up with             (setup)'

demo: setup ## sets all up, creates a database through the API, shows its events and uses it
	@$(BIN)/postern-stack demo $(TARGETS)

up: setup ## starts everything and leaves it running; repairs what died; writes .postern/env
	@$(BIN)/postern-stack up $(TARGETS)

down: setup ## stops everything; all data stay
	@$(BIN)/postern-stack down

status: setup ## what runs, where, since when, and whether it is ready
	@$(BIN)/postern-stack status

logs: setup ## follows the logs of all processes (Ctrl-C ends it)
	@$(BIN)/postern-stack logs --follow

clean-data: setup ## stops everything and removes all data, wherever they lie
	@$(BIN)/postern-stack clean-data

setup: ## installs what is missing; done by the other targets, too
	@$(SETUP)

test: setup ## every test, on real RabbitMQ and PostgreSQL
	@$(PYTEST) $(SUITES)

test-unit: setup ## the tests that need no process: seconds
	@$(PYTEST) tests/unit

ifneq ($(wildcard tests/chaos/test_*.py),)
.PHONY: chaos
chaos: setup ## kills services in the middle of their work; part of make test, too
	@$(PYTEST) tests/chaos
endif

ifneq ($(wildcard tests/bench/__main__.py),)
.PHONY: bench
bench: setup ## how fast it is, as ratios of one run; writes the figures to a file
	@$(BIN)/python -m tests.bench $(BENCH_ARGUMENTS)
endif

ifneq ($(wildcard tests/conformance/test_*.py),)
.PHONY: conformance
conformance: setup ## what is relied on, against the development cluster and a real API server
	@$(PYTEST) tests/conformance
endif

lint: setup ## style, types, import directions and house rules
	@failed=0; \
	for tool in 'ruff check --quiet .' 'ruff format --quiet --check --output-format concise .' lint-imports \
	    'mypy $(PACKAGES) tests/support tools' 'python tools/lint/house_rules.py'; do \
	    echo "== $${tool%% libs/*}"; $(BIN)/$$tool || failed=1; \
	done; exit $$failed

format: setup ## puts the code into its form
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

lock: setup ## resolves the dependencies again and writes requirements/*.txt
	@$(BIN)/python tools/lock.py $(if $(UPGRADE),--upgrade)
