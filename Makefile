# Everything that a working copy needs. "make" alone lists the targets.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# The distribution's interpreter, not the first one in PATH: only it sees the distribution's bcc.
SYSTEM_PYTHON := /usr/bin/python3
VENV := .venv
PYTHON := $(VENV)/bin/python
VM := tests/vm/run

# Ubuntu's is a snap, which a package of another name installs.
BROWSER := $(shell . /etc/os-release 2> /dev/null; \
	test "$$ID" = ubuntu && echo chromium-chromedriver || echo chromium chromium-driver)

PACKAGES := \
	$(BROWSER) \
	btrfs-progs \
	busybox-static \
	clang-format \
	debian-archive-keyring \
	dmsetup \
	e2fsprogs \
	gcc \
	kmod \
	libc6-dev \
	procps \
	python3-bpfcc \
	python3-dev \
	python3-venv \
	qemu-system-x86 \
	stress-ng \
	util-linux \
	xfsprogs

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: packages $(VENV)/.installed ## install what is missing: Debian packages, and .venv with the project

.PHONY: packages
packages:
	@command -v dpkg-query apt-get > /dev/null || { \
		echo "setup: this is not a Debian or Ubuntu system" >&2; \
		echo "setup: install what these Debian packages hold, then run 'make $(VENV)/.installed': $(PACKAGES)" >&2; \
		exit 1; }; \
	missing=; for package in $(PACKAGES); do \
		dpkg-query -W -f='$${db:Status-Status}' $$package 2> /dev/null | grep -q '^installed' || \
			missing="$$missing $$package"; \
	done; \
	test -n "$$missing" || exit 0; \
	sudo=; test "$$(id -u)" -eq 0 || sudo=sudo; \
	test -z "$$sudo" || command -v sudo > /dev/null || { \
		echo "setup: packages are missing, and there is no sudo to install them" >&2; \
		echo "setup: run as root: apt-get update && apt-get install$$missing" >&2; \
		exit 1; }; \
	echo "setup: installing$$missing"; \
	$$sudo apt-get -q update && \
	$$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $$missing

# --ignore-installed in a new environment: the distribution's NumPy or pandas may satisfy the
# requirements, and would then be mixed with newer packages. Byte-compiled, because the guests of
# the kernel tests cannot write here, and would compile everything at each start.
$(VENV)/.installed: pyproject.toml setup.py $(wildcard swaptrace/engine/*.py swaptrace/engine/*.pxd) | packages
	@fresh=; test -x $(PYTHON) || fresh=--ignore-installed; \
	test -z "$$fresh" || $(SYSTEM_PYTHON) -m venv --clear --system-site-packages $(VENV) && \
	echo "setup: installing the project into $(VENV)" && \
	$(PYTHON) -m pip install --quiet --disable-pip-version-check $$fresh -e '.[dev]'
	@env -u PYTHONDONTWRITEBYTECODE $(PYTHON) -m compileall -qq -j 0 $(VENV)/lib || true
	@$(PYTHON) -c 'from bcc import BPF' || { \
		echo "setup: $(SYSTEM_PYTHON) does not see bcc" >&2; \
		echo "setup: reinstall python3-bpfcc, and remove any package 'bcc' that came from PyPI" >&2; \
		exit 1; }
	@touch $@

.PHONY: wheel
wheel: setup ## build a wheel, which needs neither a compiler nor the Python headers to be installed (dist/)
	$(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps -w dist .

PREFIX ?= /usr/local

.PHONY: install-manual
install-manual: setup ## install man pages, and completion for bash, zsh and fish (PREFIX=/usr/local, DESTDIR)
	$(PYTHON) -m swaptrace.manual $(DESTDIR)$(PREFIX)

.PHONY: demo
demo: setup ## record a workload in a virtual machine and report on it (build/demo)
	rm -rf build/demo
	$(VM) --kernel 6.1 --timeout 1800 --out build/demo -- $(PYTHON) tests/vm/demo.py build/demo
	$(VENV)/bin/swaptrace report build/demo/demo.swaptrace
	$(VENV)/bin/swaptrace report build/demo/demo.swaptrace --format html -o build/demo/report

.PHONY: test
test: setup ## all tests; those of the kernel side boot virtual machines
	$(PYTHON) -m pytest tests

.PHONY: test-kernels
test-kernels: setup ## what "make test" does on some kernels only: on all, two or three; tables at the end
	SWAPTRACE_KERNELS=all $(PYTHON) -m pytest -q $(addprefix tests/kernel/test_,recording.py areas.py writeback.py userland.py)
	SWAPTRACE_KERNELS="5.10 6.1 6.12" $(PYTHON) -m pytest -q tests/kernel/test_audit.py
	SWAPTRACE_KERNELS="6.1 6.12" $(PYTHON) -m pytest -q tests/kernel/test_zswap.py

.PHONY: ltp
ltp: setup ## what the kernel makes of the Linux Test Project's swapon and swapoff tests, against what is recorded
	$(PYTHON) -m pytest -q tests/kernel/ltp.py

.PHONY: fixtures
fixtures: setup ## capture anew what the unit tests know of each kernel (tests/data); boots virtual machines
	$(PYTHON) tests/data/capture.py
	$(PYTHON) -m tests.data.renew

# Its own environment, without the distribution's packages. uv resolves each requirement to its lowest version.
.PHONY: test-oldest
test-oldest: setup ## the unit tests with the oldest releases that pyproject.toml allows (build/oldest)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check uv
	$(SYSTEM_PYTHON) -m venv --clear build/oldest
	$(VENV)/bin/uv pip install --quiet --python build/oldest/bin/python --resolution lowest-direct -e '.[dev]'
	$(VENV)/bin/uv pip list --quiet --python build/oldest/bin/python
	build/oldest/bin/python -m pytest tests/unit

# A checkout of its own, so that what is compiled here stays as it is.
.PHONY: test-checked
test-checked: setup ## the unit tests with an engine that checks every index (build/checked)
	rm -rf build/checked
	mkdir -p build/checked
	git ls-files -z | tar -c --null -T - | tar -x -C build/checked
	cd build/checked && export SWAPTRACE_BOUNDSCHECK=1 && $(MAKE) $(VENV)/.installed && $(PYTHON) -m pytest tests/unit

.PHONY: lint
lint: setup ## ruff, mypy and clang-format, which change nothing
	$(VENV)/bin/ruff check . $(VM)
	$(VENV)/bin/ruff format --check . $(VM)
	$(VENV)/bin/mypy --strict swaptrace
	clang-format --dry-run -Werror $(wildcard bpf/*.c bpf/*.h)

.PHONY: counterfactual
counterfactual: setup ## compare what the model predicts with what other rigs measure (reports/counterfactual)
	$(PYTHON) tests/vm/counterfactual.py

.PHONY: investigations
investigations: setup ## questions about the kernel, answered anew (reports/investigations; ONLY="fragmentation")
	$(PYTHON) tests/vm/investigate.py $(ONLY)

# Only compared with.
bench: PACKAGES += bpftrace

.PHONY: bench
bench: setup ## measure what tracing and analysis cost (reports/bench)
	@$(PYTHON) -c 'import duckdb, polars' 2> /dev/null || \
		$(PYTHON) -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(PYTHON) -m tests.bench

.PHONY: mutants
mutants: setup ## put small faults into the code, and see which the unit tests notice (ONLY="audit kernel", SAMPLE=50)
	@$(PYTHON) -c 'import coverage, mutmut' 2> /dev/null || \
		$(PYTHON) -m pip install --quiet --disable-pip-version-check -e '.[mutants]'
	$(PYTHON) -m tests.mutation $(addprefix --only ,$(ONLY)) $(addprefix --sample ,$(SAMPLE)) $(addprefix --seed ,$(SEED))

.PHONY: clean
clean: ## remove what was built, but neither .venv nor the downloaded kernels
	test ! -d build || find build -mindepth 1 -maxdepth 1 ! -name cache -exec rm -rf {} +
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
