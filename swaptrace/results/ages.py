"""What writing back idle entries would give, threshold by threshold: the one place where it becomes figures."""

from __future__ import annotations

from dataclasses import dataclass

from swaptrace.engine.figures import THRESHOLDS, Ages

#: The thresholds of which sentences are, s; a table has those that are shorter than the recording, the longest ROWS of
#: them.
MINUTES = (60.0, 300.0, 900.0, 3600.0)
_SHORTER, ROWS = (60 / 64, 60 / 16, 60 / 4), 4


@dataclass(frozen=True)
class Threshold:
    """If entries that are idle for longer than `idle_s` (s) were written back.

    saved_byte_seconds: compressed bytes that are on the disk, times the seconds for which they are; saved_mean: their
    time-weighted mean; saved_share: of the bytes that the store held, those; None if it held none. writes: pages
    written to the disk; loads: pages read from there; loads_per_s: a second. pages_end, bytes_end: what is there at the
    end.
    """

    idle_s: float
    saved_byte_seconds: float
    saved_mean: float
    saved_share: float | None
    writes: int
    loads: int
    loads_per_s: float
    pages_end: int
    bytes_end: int


def mean_in_memory(age: Ages) -> float:
    """Compressed bytes that the store held, over time."""
    return age.in_memory / age.span if age.span else 0.0


def thresholds(age: Ages) -> list[Threshold]:
    """Those that are shorter than what was counted, increasing."""
    return [_threshold(age, number) for number, idle in enumerate(THRESHOLDS) if idle < age.span]


def shown(age: Ages) -> list[Threshold]:
    """Those that a table has, increasing."""
    return [each for each in thresholds(age) if each.idle_s in (*_SHORTER, *MINUTES)][-ROWS:]


def _threshold(age: Ages, number: int) -> Threshold:
    saved, loads = age.saved[number], int(age.loads[number])
    return Threshold(
        idle_s=THRESHOLDS[number] / 1e9,
        saved_byte_seconds=saved / 1e9,
        saved_mean=saved / age.span,
        saved_share=saved / age.in_memory if age.in_memory else None,
        writes=int(age.writes[number]),
        loads=loads,
        loads_per_s=loads / (age.span / 1e9),
        pages_end=int(age.pages_end[number]),
        bytes_end=int(age.bytes_end[number]),
    )
