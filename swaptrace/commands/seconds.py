"""The types of options that are a number of seconds, or a moment."""

from __future__ import annotations

import math
from typing import Any

import click

from swaptrace.units import MOST_SECONDS


class Seconds(click.ParamType):  # type: ignore[type-arg]  # which click has since 8.2 only
    """A finite number of seconds, in whole nanoseconds. zero: whether 0 is one of them.

    click's own range lets "nan" through, which is neither less nor more than anything.
    """

    name = "seconds"

    def __init__(self, *, zero: bool) -> None:
        self._range = click.FloatRange(min=0, max=MOST_SECONDS, min_open=not zero)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = float(self._range.convert(value, param, ctx))
        if math.isnan(found):
            self.fail(f"{value} is not a number of seconds.", param, ctx)
        if found and not round(found * 1e9):
            self.fail(f"{value} is less than a nanosecond.", param, ctx)
        return round(found * 1e9) / 1e9


class Moment(click.ParamType):  # type: ignore[type-arg]
    """Seconds after the start of a recording, or else the text that names a moment: see swaptrace.report.when."""

    name = "when"

    def __init__(self, *, zero: bool) -> None:
        self._seconds = Seconds(zero=zero)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        text = str(value).strip()
        try:
            float(text)
        except ValueError:
            if not text:
                self.fail("it is empty.", param, ctx)
            return text
        return self._seconds.convert(value, param, ctx)
