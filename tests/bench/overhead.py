"""What tracing costs, in instructions a page: boots a guest whose clocks count instructions, once per compressor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
KERNEL = "6.1"
ROUNDS = 5
GUEST_SECONDS = 3000
PHASES = ("out", "in", "free", "whole")


def measure(algorithm: str, folder: Path) -> dict[str, list[dict[str, float]]]:
    """Instructions a page, by way to trace, round and phase."""
    folder.mkdir(parents=True, exist_ok=True)
    guest = [sys.executable, "tests/bench/overhead_guest.py", str(folder), algorithm, str(ROUNDS)]
    options = ["--kernel", KERNEL, "--icount", "--cpus", "1", "--timeout", str(GUEST_SECONDS), "--out", str(folder)]
    subprocess.run(["tests/vm/run", *options, "--", *guest], cwd=CHECKOUT, check=True)
    return dict(json.loads((folder / "overhead.json").read_text()))


def summary(found: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, Any]]:
    """By way to trace: the median of each phase, and the overhead of a page's whole life (median, min, max)."""
    untraced = median(one["whole"] for one in found["untraced"])
    rows = {}
    for name, rounds in found.items():
        over = [one["whole"] / untraced - 1 for one in rounds]
        rows[name] = {phase: median(one[phase] for one in rounds) for phase in PHASES}
        rows[name] |= {"overhead": median(over), "least": min(over), "most": max(over)}
    return rows


if __name__ == "__main__":
    for algorithm in sys.argv[1:] or ("lz4", "zstd"):
        for name, row in summary(measure(algorithm, CHECKOUT / "build" / "overhead" / algorithm)).items():
            print(f"{algorithm:5} {name:28} {row['whole']:10,.0f} {100 * row['overhead']:6.1f} %")
