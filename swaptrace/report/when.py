"""Moments of a recording, as users name them: seconds after its start, times of a clock, marks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from swaptrace import units
from swaptrace.errors import UsageProblem
from swaptrace.events import Mark
from swaptrace.trace.header import Header

#: Seconds after the start, or the text of a mark, or a time of day, with or without a date and a zone.
When = float | str

_CLOCK = re.compile(
    r"((?P<date>\d{4}-\d\d-\d\d)[T ])?(?P<time>\d\d?:\d\d(:\d\d([.]\d{1,9})?)?)(?P<zone>Z|[+-]\d\d:?\d\d)?"
)
_MARK = "mark:"  # before the text of one that looks like something else
_NONE = "the recording has none: set them with swaptrace mark while it goes on"


def named(when: When | None) -> str:
    """As it was given."""
    return f"{when:g}" if isinstance(when, float) else str(when)


def seconds_after_start(when: When, option: str, header: Header, marks: Callable[[], Iterable[Mark]]) -> float:
    """That moment in seconds after the recording's start; less than 0 if it lies before. option: what it was given to.

    Times without a zone are the reader's local ones; without a date, the first since the start and its own minute.
    marks: reads those of the recording. Raises UsageProblem for what is neither.
    """
    if isinstance(when, float):
        return when
    if (found := _CLOCK.fullmatch(when)) is not None:
        return _clock(found, when, option, header.start_realtime)
    wanted = when.removeprefix(_MARK)
    known: dict[str, int] = {}
    for mark in marks():
        known.setdefault(mark.text, mark.time)  # the first of those with one text
    if wanted not in known:
        listed = ", ".join(f'"{text}"' for text in list(known)[:10]) + (" ..." if len(known) > 10 else "")
        raise UsageProblem(
            f"{option} {when}: neither seconds, nor a time (14:05, 2026-03-01 14:05:30), nor a mark of the recording",
            f"its marks: {listed}" if known else _NONE,
        )
    return (known[wanted] - header.start.time) / 1e9


def _clock(found: re.Match[str], when: str, option: str, start_ns: int) -> float:
    start = datetime.fromtimestamp(start_ns // 10**9, UTC).astimezone()
    zone = (found["zone"] or "").replace("Z", "+00:00")
    time = found["time"].rjust(len(found["time"]) + (found["time"][1] == ":"), "0")
    time, _, fraction = time.partition(".")
    try:
        moment = datetime.fromisoformat(f"{found['date'] or start.date()}T{time}{zone}").astimezone()
    except (ValueError, OverflowError):
        raise UsageProblem(
            f"{option} {when}: there is no such time", "give one as 14:05 or 2026-03-01 14:05:30"
        ) from None
    if found["date"] is None:  # the first such time of the recording; its first minute may have begun before it
        begin = start - timedelta(minutes=1)
        days = (moment + timedelta(days=number) for number in (-1, 0, 1, 2))
        moment = next(day for day in days if day > begin)
    whole = int(moment.timestamp()) * 10**9 + int(fraction.ljust(9, "0") or 0)
    return (whole - start_ns) / 1e9


def after_start(since: float | None, until: float | None) -> tuple[float | None, float | None]:
    """The same as far as they lie within a recording: what is before its start begins with it.

    Raises UsageProblem if nothing lies between them.
    """
    if until is not None and until <= 0:
        raise UsageProblem(
            f"--until: that is {units.duration(-until * 1e9)} before the recording began", "give a later time"
        )
    since = None if since is None else max(since, 0.0)
    if since is not None and until is not None and since >= until:
        raise UsageProblem(
            f"--since {since:g} is not before --until {until:g}: nothing lies between them",
            "give both in seconds after the start of the recording, the smaller one with --since",
        )
    return since, until
