# The two commands of a newcomer: `make repro` and `make test`. Each makes .venv when it is missing or stale.
PYTHON ?= python3
PORT ?= 5000
BIN := .venv/bin
STAMP := .venv/installed
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: repro setup test gpu lint ui check-reproducible bench-rewards bench-mix bench-plan gpu-check

repro: $(STAMP)  ## run the pipeline: only what changed
	dvc repro

setup: $(STAMP)  ## install into .venv, and no more

test: $(STAMP)  ## code style and all tests
	ruff check .
	ruff format --check .
	pytest -n 2 -m "not alone"
	pytest -m alone

gpu: $(STAMP)  ## what a GPU needs beside: unsloth and all that it asks for
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --requirement requirements.lock --requirement requirements-gpu.lock
	$(BIN)/python -c 'import torch; assert torch.version.cuda, "torch is a CPU build: unset PIP_EXTRA_INDEX_URL, remove .venv"'
	$(BIN)/python -c 'import torch; assert torch.cuda.is_available(), "no GPU is seen: does nvidia-smi show one?"'
	$(BIN)/python -c 'import unsloth'

lint: $(STAMP)  ## mend code style
	ruff check --fix .
	ruff format .

ui: $(STAMP)  ## MLflow's pages, on this machine alone; PORT=5001 if another program has 5000
	MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true mlflow ui --backend-store-uri sqlite:///mlflow.db --workers 1 --host 127.0.0.1 --port $(PORT)

check-reproducible: $(STAMP)  ## run the committed pipeline in two fresh clones and compare every byte of dvc.lock
	./tests/check_reproducible.sh

bench-plan: $(STAMP)  ## how far `questions-gen plan` is from measured memory, on the CPU
	python -m benchmarks.plan

bench-rewards: $(STAMP)  ## how well and how fast the rewards tell problems from fakes
	python -m benchmarks.rewards

bench-mix: $(STAMP)  ## how long mix takes, and how much memory, on 100,000 to 1,000,000 rows
	python -m benchmarks.mix

gpu-check: $(STAMP)  ## memory and speed of the real model on this machine's card, in at most 8 minutes
	python -m benchmarks.gpu_check $(if $(wildcard /dev/shm),--folder /dev/shm/questions-gen-gpu-check)

# torch first and with its dependencies, so that whichever build pip finds is whole; the rest exactly as locked.
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 …")'
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock torch setuptools
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)
