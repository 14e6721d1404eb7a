"""The churn on zram itself, with each way to discard: timed without a recorder, then recorded."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from counterfactual_guest import churn
from zram import run

from . import guest

AREA_MIB = 64
OPTIONS: dict[str, tuple[str, ...]] = {
    "none": (),
    "discard=once": ("--discard=once",),
    "discard=pages": ("--discard=pages",),
    "discard": ("--discard",),
}
ROUNDS = 3  # that are timed, each with all options in turn


def do(folder: Path) -> None:
    guest.prepare()
    timed: dict[str, list[dict[str, Any]]] = {name: [] for name in OPTIONS}
    for number in range(ROUNDS):
        for name, options in OPTIONS.items():
            timed[name].append(one(options))
            print(f"{name}, round {number + 1}: {timed[name][-1]['seconds']}", flush=True)
    for name, options in OPTIONS.items():
        with guest.device(AREA_MIB), guest.recording(folder / f"{name}.trace"):
            found = churned(options)
        guest.save(folder / f"{name}.json", {**found, "timed": timed[name]})
        print(f"{name}, recorded", flush=True)


def one(options: tuple[str, ...]) -> dict[str, Any]:
    with guest.device(AREA_MIB):
        return churned(options)


def churned(options: tuple[str, ...]) -> dict[str, Any]:
    """The kernel's figures at the churn's checkpoints, and how long swapon, churn and swapoff took (s).

    The time of the checkpoints themselves is not in it.
    """
    found: list[dict[str, Any]] = []
    aside = 0.0

    def checkpoint(level: str) -> None:
        nonlocal aside
        start = time.monotonic()
        found.append(guest.facts(AREA_MIB, level))
        aside += time.monotonic() - start

    run("mkswap", str(guest.NODE))
    times = [time.monotonic()]
    run("swapon", *options, str(guest.NODE))
    times.append(time.monotonic())
    churn(checkpoint)
    times.append(time.monotonic())
    run("swapoff", str(guest.NODE))
    times.append(time.monotonic())
    on, churning, off = (after - before for before, after in pairwise(times))
    return {"checkpoints": found, "seconds": {"swapon": on, "churn": churning - aside, "swapoff": off}}
