# Everything runs from .venv, which scripts/prepare.sh makes on first use and keeps in step with requirements.lock.
.DEFAULT_GOAL := help
JOBS ?= auto
.PHONY: help environment peers run test check bench eval clean

help: ## list the targets
	@grep -E '^[a-z]+: .*## ' Makefile | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/'

environment:
	@sh scripts/prepare.sh

peers:
	@sh scripts/peers.sh

run: environment ## start the host, on http://127.0.0.1:8000 unless AGENTHOST_PORT says otherwise
	@exec .venv/bin/agenthost up $(ARGS)

test: environment peers ## run the tests; ARGS="-k name" picks some, JOBS=0 runs them one by one
	@.venv/bin/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

check: environment ## lint, formatting, types, and which part may import which
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/python -m pytest -q tests/test_imports.py

bench: environment ## measure, and write benchmarks/RESULTS.md
	@.venv/bin/python -m benchmarks $(ARGS)

eval: environment ## have the configured model write agents, judge them, and write benchmarks/EVAL.md
	@.venv/bin/python -m benchmarks.evaluation $(ARGS)

clean: ## remove the environment and the caches, never the data (.agenthost)
	rm -rf .venv .uv tests/peers/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis
