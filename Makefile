# The two commands of a bare clone: `make identify` and `make test`. Each makes its own virtual environment first.

PYTHON ?= python3
CLIP ?= edgeapp/examples/$(EXAMPLE)
EXAMPLE := example.flac

.PHONY: identify test lint clean

identify: .venv/device
	.venv/bin/biovita-edge identify "$(CLIP)"

test: .venv-test/ready
	.venv-test/bin/python -m pytest

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

clean:
	rm -rf .venv .venv-test
