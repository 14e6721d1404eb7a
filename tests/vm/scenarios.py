"""What all programs that run in a guest share: waiting, the compiled analysis, one thing after another."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

SWAPTRACE = [sys.executable, "-m", "swaptrace"]


def wait_for(condition: Callable[[], bool], seconds: float = 240, what: str = "the recorder did not start") -> None:
    """Raises TimeoutError, which says `what`, if the condition does not come true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.1)


def says(path: Path, text: str) -> bool:
    """Whether a file on a shared folder holds that text already."""
    try:
        return text in path.read_text()
    except OSError:  # 9p may say so of a file that grows between two looks at its size
        return False


def analysis_environment() -> dict[str, str]:
    """For commands that analyse: with code that the host has compiled; in an emulated guest that takes minutes."""
    return {
        **os.environ,
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": os.environ["SWAPTRACE_NUMBA"],
    }


def run_all(names: Iterable[str], things: Mapping[str, Callable[[], None]]) -> None:
    """Do the named things (all of them if there are no names), and say how long each took.

    One that fails does not keep the others from being done; in the end, the program fails.
    """
    failed = []
    for name in names or things:
        start = time.monotonic()
        try:
            things[name]()
        except Exception:
            traceback.print_exc()
            failed.append(name)
        print(f"{name}: {time.monotonic() - start:.1f} s", flush=True)
    if failed:
        sys.exit(f"failed: {' '.join(failed)}")
