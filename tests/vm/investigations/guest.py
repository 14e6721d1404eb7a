"""What all guests of investigations share: a device of their own, a recorder on a processor of its own."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import scenarios
from counterfactual_guest import DEVICE, RECORDER_CPU, content_pool
from zram import run

NODE = Path("/dev/zram0")


def prepare() -> None:
    """One zram device; what swaps does so on the other processor (counterfactual_guest.Actor)."""
    os.sched_setaffinity(0, {RECORDER_CPU})
    run("modprobe", "zram", "num_devices=1", check=False)
    # one page at a time: what is read ahead stays in the swap cache, on some kernels and not on others
    Path("/proc/sys/vm/page-cluster").write_text("0")
    content_pool("mixed")  # once, for all processes that are forked


def offered(*algorithms: str) -> list[str]:
    """Those of these algorithms that zram has here."""
    known = (DEVICE / "comp_algorithm").read_text().replace("[", "").replace("]", "").split()
    return [algorithm for algorithm in algorithms if algorithm in known]


@contextlib.contextmanager
def device(mebibytes: int, algorithm: str | None = None) -> Iterator[None]:
    """zram0 with that size, and nothing on it yet; reset afterwards."""
    if algorithm is not None:
        (DEVICE / "comp_algorithm").write_text(algorithm)
    (DEVICE / "disksize").write_text(f"{mebibytes}M")
    try:
        yield
    finally:
        (DEVICE / "reset").write_text("1")


@contextlib.contextmanager
def swap_area(*options: str) -> Iterator[None]:
    """zram0 as the swap area."""
    run("mkswap", str(NODE))
    run("swapon", *options, str(NODE))
    try:
        yield
    finally:
        run("swapoff", str(NODE))


@contextlib.contextmanager
def recording(trace: Path, *options: str) -> Iterator[None]:
    """A recording into that file, until this is left. Raises RuntimeError if it fails."""
    with scenarios.recording(trace.parent, "--force", *options, trace=trace):
        if not scenarios.says(trace.parent / "record.err", "recording to"):
            raise RuntimeError(f"the recorder did not start: {(trace.parent / 'record.err').read_text()}")
        yield
    if (trace.parent / "record.status").read_text() != "0":
        raise RuntimeError(f"the recorder failed: {(trace.parent / 'record.err').read_text()}")


def save(path: Path, facts: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts))
