"""One virtual machine per kernel does all scenarios of guest.py; the tests look at what it left.

A machine that cannot run virtual machines fails these tests: it does not skip them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from swaptrace.analysis.analysis import Analysis
from swaptrace.analysis.results import AreaResult, TraceResult
from swaptrace.events import EventBatch
from swaptrace.live.sysfs import read_block_state
from swaptrace.trace.reader import TraceReader

CHECKOUT = Path(__file__).resolve().parents[2]
KERNELS = os.environ.get("SWAPTRACE_KERNELS", "6.1 6.12").split()


@dataclass
class Scenario:
    """One folder that guest.py left: its trace, analysed, and the kernel's figures beside it."""

    folder: Path

    @cached_property
    def facts(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "facts.json").read_text()))

    @cached_property
    def workload(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "workload.json").read_text()))

    @cached_property
    def reader(self) -> TraceReader:
        return TraceReader(self.folder / "trace")

    @cached_property
    def batches(self) -> list[EventBatch]:
        return list(self.reader)

    @cached_property
    def events(self) -> NDArray[np.void]:
        return EventBatch.concatenate(self.batches).events

    @cached_property
    def analysis(self) -> Analysis:
        analysis = Analysis(self.reader.header)
        for batch in self.batches:
            analysis.feed(batch)
        return analysis

    @cached_property
    def result(self) -> TraceResult:
        return self.analysis.finish(self.reader.trailer)

    @property
    def area(self) -> AreaResult:
        """The area on zram0."""
        return next(area for area in self.result.areas if area.zram == "zram0")

    @cached_property
    def block_state(self) -> NDArray[np.int64]:
        return read_block_state("zram0", (self.folder / "block_state").read_bytes())[0]

    def output(self, name: str) -> str:
        return (self.folder / name).read_text()

    def mm_stat(self, name: str, when: str | None = None) -> int:
        """A figure of the device's mm_stat, at the end or at another moment that the scenario noted."""
        names = ("orig_data_size", "compr_data_size", "mem_used_total", "", "", "same_pages", "", "huge_pages")
        facts = self.facts[when] if when else self.facts
        return int(facts["mm_stat"][names.index(name)])

    def notify_free(self, when: str | None = None) -> int:
        return int((self.facts[when] if when else self.facts)["io_stat"][3])

    def miss_free(self, when: str | None = None) -> int:
        """debug_stat is "version: 1" and a line with two numbers."""
        return int((self.facts[when] if when else self.facts)["debug_stat"][3])


@dataclass
class Guest:
    """What one kernel's run left."""

    kernel: str
    folder: Path

    def scenario(self, name: str) -> Scenario:
        folder = self.folder / name
        assert folder.is_dir(), f"the guest did not get as far as {name}; see {self.folder}/guest.log"
        return Scenario(folder)


def _warm_numba(cache: Path) -> dict[str, str]:
    """Compile the analysis here, for any processor: in the emulated guest that would take minutes."""
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(cache),
        "SWAPTRACE_NUMBA": str(cache),
    }
    code = "from tests.kernel.warm import compile_all; compile_all()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=CHECKOUT, env=environment)
    return environment


@pytest.fixture(scope="session", params=KERNELS)
def guest(request: pytest.FixtureRequest) -> Guest:
    kernel = request.param
    folder = CHECKOUT / "build" / "kernel" / kernel
    if not os.environ.get("SWAPTRACE_KEEP"):  # set it to look again at the last run's traces
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        environment = _warm_numba(folder / "numba")
        command = ["tests/vm/run", "--kernel", kernel, "--timeout", "900", "--out", str(folder), "--"]
        with (folder / "guest.log").open("w") as log:
            status = subprocess.call(
                [*command, sys.executable, "tests/kernel/guest.py", str(folder)],
                cwd=CHECKOUT, env=environment, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        assert status == 0, f"exit status {status}: {(folder / 'guest.log').read_text()[-2000:]}"
    return Guest(kernel, folder)
