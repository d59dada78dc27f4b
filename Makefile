PYTHON ?= python3.11
# One process a core, a file's tests in one of them: what a file builds for its tests is built once.
PYTEST_ARGS ?= -n auto --maxprocesses 4 --dist loadfile
BIN := .venv/bin

.PHONY: demo test test-matrix test-libraries test-tfmot test-aarch64 test-bundle web-runtimes bench-prune bench-int8 lint constraints clean

demo: .venv/installed  ## Set up, then compress MobileNetV2 for a Jetson on the built-in data.
	$(BIN)/edgekit compress mobilenetv2 --target jetson

# What runs models in a browser, as its lock file pins it; without npm the tests that need it are skipped.
web-runtimes: edgekit/devices/web/node_modules  ## Fetch the runtimes of `--device web` and `--target web`.

edgekit/devices/web/node_modules: edgekit/devices/web/package-lock.json
	npm ci --silent --ignore-scripts --no-audit --no-fund --prefix $(@D)
	touch $@

test: .venv/installed-dev  ## Set up with the development extras, then run the whole test suite.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

# Two runs at a time, a core each. What a matrix that was cut off has finished stays: rm -r runs/matrix starts anew.
test-matrix: .venv/installed-dev  ## Every family on five targets, then the README's table of it; about two hours.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m matrix -n 2 --dist load --maxschedchunk 1 tests/matrix
	$(BIN)/python benchmarks/matrix.py

# timm and torchvision are compared with, not needed: they stay out of .venv, and so out of constraints.txt.
.tools/libraries: .venv/installed-dev
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target $@ timm torchvision

test-libraries: .tools/libraries  ## Networks of timm and torchvision: their weights in ours, and themselves by name.
	OMP_NUM_THREADS=1 PYTHONPATH=$< $(BIN)/python -m pytest -m libraries tests/libraries

# What has run is not run again.
bench-prune: .tools/libraries  ## Every network of timm, torchvision and the zoo, pruned and proven; many hours.
	PYTHONPATH=$< $(BIN)/python benchmarks/prune_coverage.py

# NNCF fits the pins, and is compared with alone: only its own process sees it.
.tools/nncf: .venv/installed-dev
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target $@ nncf==3.4.0 ninja==1.13.2 pydot==4.0.1

# What has run is not run again; latency wants a quiet machine.
bench-int8: .tools/nncf  ## INT8 beside NNCF, ONNX Runtime's and AI Edge's quantizers, then its tables; hours.
	$(BIN)/python benchmarks/int8.py
	$(BIN)/python benchmarks/int8_shipped.py
	$(BIN)/python benchmarks/int8_table.py

# tflite-support pins an old protobuf, and the Kotlin compiler needs Java and npm: neither belongs into .venv.
test-bundle: .venv/installed-dev  ## A phone's bundle in TFLite's own metadata reader and in the Kotlin compiler.
	test -d .tools/reader || $(PYTHON) -m venv .tools/reader
	.tools/reader/bin/pip install --quiet --disable-pip-version-check tflite-support==0.4.4
	npm install --silent --no-audit --no-fund --ignore-scripts --prefix .tools kotlin-compiler@2.4.20
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m tools tests/phone

# TensorFlow and its toolkit hold other versions of packages than constraints.txt: they stay in an environment of their own.
.tools/tfmot/installed: constraints-tfmot.txt
	test -d .tools/tfmot || $(PYTHON) -m venv .tools/tfmot
	.tools/tfmot/bin/pip install --quiet --disable-pip-version-check -c $< \
		tensorflow tf_keras tensorflow-model-optimization
	touch $@

test-tfmot: .venv/installed-dev .tools/tfmot/installed  ## TF-MOT's stages, its converter and Keras networks.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS) -m tfmot tests/tfmot

# Only where apt-get and pip find Debian's and the runtimes' aarch64 packages.
test-aarch64: .venv/installed-dev .aarch64/python3  ## Run files as an aarch64 processor computes them, under qemu-user.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m aarch64 tests/aarch64

.aarch64/python3: tests/aarch64/machine.sh constraints.txt | .venv/installed-dev
	PATH="$(CURDIR)/$(BIN):$$PATH" bash tests/aarch64/machine.sh .aarch64 constraints.txt

lint: .venv/installed-dev  ## What CI holds besides the tests.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

constraints: .venv/installed-dev  ## Pin what is installed now.
	$(BIN)/pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt

clean:
	rm -rf .venv

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	$(BIN)/pip check
	touch $@

.venv/installed-dev: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/pip check
	touch $@ .venv/installed
