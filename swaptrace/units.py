"""Every figure that people read is formatted here, so that one quantity looks the same wherever it is shown.

None is a figure that nobody knows: it is shown as DASH. Machines read the JSON report, which has plain numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise

#: 31 years: more than any recording, and within the 64 bits of ns that times have.
MOST_SECONDS = 1e9
DASH = "–"  # noqa: RUF001  # an en dash, on purpose

_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_NS = (("ns", 1), ("µs", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000))
_SECOND = 1_000_000_000
_LONG = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))

#: By what stands behind a number: what it is of, and how many of that it is.
_KINDS = {
    "": ("count", 1.0),
    "%": ("share", 0.01),
    "/s": ("rate", 1.0),
    **{unit: ("bytes", 1024.0**power) for power, unit in enumerate(_BYTES)},
    **{f"{unit}·s": ("byte-seconds", 1024.0**power) for power, unit in enumerate(_BYTES)},
    **{unit: ("time", float(scale)) for unit, scale in _NS},
    **{unit: ("time", float(scale * _SECOND)) for unit, scale in _LONG},
}
_NUMBER = re.compile(r"([\d,]+(?:\.\d+)?) ?([^\d\s]*)")


_EXACT: ContextVar[bool] = ContextVar("exact bytes", default=False)


@contextmanager
def exact_bytes(wanted: bool = True) -> Iterator[None]:
    """Meanwhile sizes are written as bytes: `129,394,278 B`, not `123.4 MiB`."""
    token = _EXACT.set(wanted)
    try:
        yield
    finally:
        _EXACT.reset(token)


def size(value: float | None) -> str:
    """Bytes in binary units: `123.4 MiB`; whole bytes below 1 KiB, and where exact_bytes() says so."""
    if value is None:
        return DASH
    if _EXACT.get():
        return f"{round(value):,} B"
    scaled, unit = abs(float(value)), 0
    # Rounding comes before the choice of unit: 1023.96 KiB is 1.0 MiB, not 1024.0 KiB.
    while round(scaled, 1 if unit else 0) >= 1024 and unit < len(_BYTES) - 1:
        scaled, unit = scaled / 1024, unit + 1
    text = f"{scaled:,.1f}" if unit else f"{scaled:.0f}"
    return f"{'-' if value < 0 and float(text.replace(',', '')) else ''}{text} {_BYTES[unit]}"


def byte_seconds(value: float | None) -> str:
    """Bytes held for a time: `5.1 GiB·s` is 5.1 GiB held for a second, or half of it for two."""
    return DASH if value is None else f"{size(value)}·s"


def count(value: float | None) -> str:
    """A whole number with thousands separators: `1,234,567`."""
    return DASH if value is None else f"{value:,.0f}"


def number(value: float | None) -> str:
    """A number with three digits that tell: `0.0123`, `1.23`, `123`, `12,345`; of very small ones `1.2e-06`."""
    if value is None:
        return DASH
    if abs(value) < 0.01:
        return f"{value:.3g}"
    return f"{value:,.{max(2 - math.floor(math.log10(abs(value))), 0)}f}"


def signed(text: str) -> str:
    """The same formatted figure with its sign shown even when it is positive: `+4.0 KiB`."""
    return text if text.startswith(("-", DASH)) else f"+{text}"


def duration(value: float | None) -> str:
    """A time in ns: `850 ns`, `1.2 µs`, `34.5 ms`, `2.3 s`, `3 min 20 s`, `1 h 5 min`, `2 d 3 h`."""
    if value is None:
        return DASH
    if round(value / _SECOND, 1) >= 60:
        return _long(round(value / _SECOND))
    for unit, scale in _NS[:-1]:
        text = f"{value / scale:.0f}" if scale == 1 else f"{value / scale:.1f}"
        if float(text) < 1000:
            return f"{text} {unit}"
    return f"{value / _SECOND:.1f} s"


def _long(seconds: int) -> str:
    """The two largest units of a minute or more; the smaller one is left out when it is zero."""
    for (unit, scale), (smaller, part) in pairwise(_LONG):
        if seconds >= scale:
            rest = seconds % scale // part
            return f"{seconds // scale} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{seconds} s"


def percent(share: float | None) -> str:
    """A share (0 to 1) in percent: whole from 10 % up; what is not quite 0 or 100 % is not called so."""
    if share is None:
        return DASH
    value = 100 * share
    if 0 < value < 0.1:
        return "< 0.1 %"
    if 99.5 <= value < 100:
        return "> 99 %"
    return f"{value:.1f} %" if 0 < value < 9.95 else f"{value:.0f} %"


def rate(per_second: float | None) -> str:
    """Things per second: `12,345/s`, `3.4/s`, `0.02/s`."""
    if per_second is None:
        return DASH
    digits = 0 if per_second >= 10 or per_second == 0 else 1 if per_second >= 1 else 2
    return f"{per_second:,.{digits}f}/s"


def byte_unit(largest: float) -> tuple[str, float]:
    """(unit, bytes in it) for an axis that goes up to `largest` bytes."""
    power = 0
    while largest >= 1024 ** (power + 1) and power < len(_BYTES) - 1:
        power += 1
    return _BYTES[power], float(1024**power)


#: ns in each unit of an axis of time.
NS_OF = {"hours": 3600e9, "minutes": 60e9, "seconds": 1e9, "milliseconds": 1e6}


def time_unit(largest: float) -> tuple[str, float]:
    """(unit, ns in it) for an axis that goes up to `largest` ns: seconds, unless figures get unwieldy."""
    if largest >= 3 * NS_OF["hours"]:
        unit = "hours"
    elif largest >= 10 * NS_OF["minutes"]:
        unit = "minutes"
    else:
        unit = "seconds" if largest >= NS_OF["seconds"] / 10 else "milliseconds"
    return unit, NS_OF[unit]


def magnitude(text: str) -> tuple[str, float] | None:
    """What a formatted figure is of, and how much, so that figures can be put in order; None for what is none.

    It is as exact as the text; what is less than a figure, or more, comes right before it, or after it.
    """
    found = re.fullmatch(rf"([-+]|[<>] )?({_NUMBER.pattern}(?: {_NUMBER.pattern})*)", text)
    parts = _NUMBER.findall(found[2]) if found else []
    if not parts or any(unit not in _KINDS for _, unit in parts):
        return None
    kinds = {_KINDS[unit][0] for _, unit in parts}
    value = sum(float(number.replace(",", "")) * _KINDS[unit][1] for number, unit in parts)
    sign = {"-": -1, "< ": 1 - 1e-6, "> ": 1 + 1e-6}.get(found[1] or "", 1) if found else 1
    return (kinds.pop(), sign * value) if len(kinds) == 1 else None
