"""The table of areas: every figure of every area, a row each, as the JSON report has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from swaptrace.report.as_json import as_json
from swaptrace.results.catalogue import INTEGRAL_PARTS, Figure, Kind, Unit, walk
from swaptrace.results.results import TraceResult
from swaptrace.tables.columns import AREA, NAME, Column, Place, Table, places

AREAS = Table(
    "areas",
    "one figure of one swap area, at the end of what was recorded",
    (
        *AREA,
        Column("figure", NAME, "which one: where the JSON report has it (`policies.none.stale_compr_bytes.end`); "
               "docs/report-json.md describes them", always=True),
        Column("kind", NAME, "`count` (of what happened), `state` (at the end), `integral`, `quantile`, `ratio`, "
               "`size`, `flag` (0 or 1), `text`, or `group`, of which nothing is known", always=True),
        Column("unit", NAME, "what the number counts; null where it is none"),
        Column("value", pa.float64(), "the number; null if it is not known, or there is none"),
        Column("text", pa.utf8(), "of a figure that is no number"),
        Column("low", pa.float64(), "at least so much it is, if events were lost"),
        Column("high", pa.float64(), "at most so much; null if there is no limit"),
        Column("why", pa.utf8(), "why there is no value, or only a range"),
    ),
)  # fmt: skip

_IDENTITY = {column.name for column in AREA}


@dataclass(frozen=True)
class AreaFigure:
    """One figure of an area. area: the JSON report's object. part: of an integral, or empty. value: as in JSON."""

    area: dict[str, Any]
    name: str
    row: Figure
    part: str
    value: Any

    @property
    def unit(self) -> Unit:
        return Unit.BYTE_SECONDS if self.part == "byte_seconds" else self.row.unit

    @property
    def bounds(self) -> tuple[int | None, int | None]:
        """The range in which it lies if events were lost; (None, None) if that is not known either."""
        low, high = self.area["bounds"].get(self.name, (None, None))
        return low, high

    @property
    def why(self) -> str | None:
        """Why there is no value: the reason of the figure itself, or of a group that it is in."""
        if self.value is not None:
            return None
        if self.name in self.area["bounds"]:
            return "events were lost"
        name = self.name
        while name and name not in self.area["unknown"]:
            name = name.rpartition(".")[0]
        reason: str | None = self.area["unknown"].get(name)
        return reason


def figures(result: TraceResult) -> Iterator[AreaFigure]:
    """All figures of all areas; but lists of objects, which are no figures."""
    for area in as_json(result)["areas"]:
        for name, row, value in walk(area):
            if row.kind is Kind.INTEGRAL:
                for part in INTEGRAL_PARTS:
                    yield AreaFigure(area, f"{name}.{part}", row, part, value and value[part])
            elif (row.kind is not Kind.GROUP or value is None) and row.kind is not Kind.LIST and name not in _IDENTITY:
                yield AreaFigure(area, name, row, "", value)


def areas(result: TraceResult) -> pa.Table:
    """The whole table."""
    found = list(figures(result))
    identities = list(dict.fromkeys(_place(figure) for figure in found))
    numbers = {place: number for number, place in enumerate(identities)}
    codes = np.array([numbers[_place(figure)] for figure in found], np.int64)
    is_text = [figure.row.kind is Kind.TEXT for figure in found]
    batch = AREAS.batch(
        {
            **places(codes, identities),
            "figure": _names([figure.name for figure in found]),
            "kind": _names([figure.row.kind for figure in found]),
            "unit": _names([figure.unit or None for figure in found]),
            "value": pa.array(
                [None if word or f.value is None else float(f.value) for f, word in zip(found, is_text, strict=True)],
                pa.float64(),
            ),
            "text": pa.array(
                [f.value if word else None for f, word in zip(found, is_text, strict=True)],
                pa.utf8(),
            ),
            **{
                end: pa.array([None if (b := f.bounds[n]) is None else float(b) for f in found], pa.float64())
                for n, end in enumerate(("low", "high"))
            },
            "why": pa.array([figure.why for figure in found], pa.utf8()),
        }
    )
    return pa.Table.from_batches([batch])


def _place(figure: AreaFigure) -> Place:
    return Place(*(figure.area[column.name] for column in AREA))


def _names(values: Sequence[str | None]) -> pa.Array:
    return (
        pa.array([None if value is None else str(value) for value in values], pa.utf8()).dictionary_encode().cast(NAME)
    )
