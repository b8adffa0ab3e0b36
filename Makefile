# The two commands of a bare clone: `make identify` and `make test`. Each makes its own virtual environment first.

PYTHON ?= python3
CLIP ?= edgeapp/examples/$(EXAMPLE)
EXAMPLE := example.flac

# What a device does with other libraries, for the oldest versions of them; the whole of the tests takes the newest.
LOWEST := gallery test_readme.py $(patsubst %,edgeapp/test_%.py,identify pack pipeline start starter_pack)

# And on aarch64, slowly: what depends on numbers and native libraries, and starts few processes.
ARM64 := gallery $(patsubst %,edgeapp/test_%.py,pack pipeline providers windows)

.PHONY: identify test lowest arm64 lint clean

identify: .venv/device
	.venv/bin/biovita-edge identify "$(CLIP)"

test: .venv-test/ready
	.venv-test/bin/python -m pytest

lowest: .venv-lowest/ready
	.venv-lowest/bin/python -m pytest $(addprefix tests/,$(LOWEST))

# Under emulation; see docs/arm64.md.
arm64: .venv/device .arm64/ready
	.venv/bin/python -m tests.arm64 .arm64
	.arm64/bin/python -m pytest -p no:cacheprovider $(addprefix tests/,$(ARM64))

lint: .venv-test/ready
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/mypy

# A device needs no torch.
.venv/device: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --editable '.[cpu]'
	touch $@

# Left to choose, pip takes torch and torchvision builds that belong together; a build named here might not fit the other.
.venv-test/ready: pyproject.toml
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/python -m pip install --quiet --editable '.[cpu,train,export,dev]'
	touch $@

# torch and what goes with it stay out.
.venv-lowest/ready: pyproject.toml
	$(PYTHON) -m venv .venv-lowest
	grep -oE '"[[:alnum:]_-]+>=[0-9.]+' pyproject.toml | sed -e 's/"//' -e 's/>=/==/' > .venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install --quiet --constraint .venv-lowest/constraints.txt --editable '.[cpu]' \
	    onnx pytest pytest-timeout
	touch $@

.arm64/ready: pyproject.toml tests/arm64/folder.py .venv/device
	.venv/bin/python -m tests.arm64.folder .arm64

clean:
	rm -rf .venv .venv-test .venv-lowest .arm64
