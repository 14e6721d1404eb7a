"""Figures of areas as OpenMetrics: names, types, units and help from the catalogue, places as labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector

from swaptrace.events import EventKind
from swaptrace.results.catalogue import INTEGRAL_PARTS, Figure, Kind, Unit
from swaptrace.results.results import TraceResult
from swaptrace.tables.areas import AreaFigure, figures

_LABELS = ("device", "swap_type", "generation", "backing", "store")
#: By the unit of a figure: that of the metric, how many of the second one of the first is, and words of the figure's
#: name that say the same.
_UNITS: dict[Unit, tuple[str, float, tuple[str, ...]]] = {
    Unit.BYTES: ("bytes", 1, ("bytes",)),
    Unit.NS: ("seconds", 1e-9, ("ns", "total")),
    Unit.SECONDS: ("seconds", 1, ()),
    Unit.BYTE_SECONDS: ("byte_seconds", 1, ("bytes", "byte", "seconds")),
    Unit.PERCENT: ("ratio", 0.01, ("pct",)),
}


def as_openmetrics(result: TraceResult) -> bytes:
    """The whole text. What is not known has no sample."""
    registry = CollectorRegistry()
    registry.register(_Result(result))
    write: Callable[[CollectorRegistry], bytes] = generate_latest
    return write(registry)


class _Result(Collector):
    def __init__(self, result: TraceResult) -> None:
        self._result = result

    def collect(self) -> Iterable[Metric]:
        yield from _of_recording(self._result)
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for figure in figures(self._result):
            value = _number(figure)
            if value is not None:
                name = metric_name(figure.row, figure.part)
                family = families.setdefault(name, _family(name, figure))
                family.add_metric([*_labels(figure).values()], value)
        yield from families.values()


def _of_recording(result: TraceResult) -> Iterator[Metric]:
    trace = result.trace
    info = InfoMetricFamily("swaptrace_recording", "What was recorded, and where.")
    labels = {f"label_{name}": value for name, value in trace["labels"].items()}
    told = {"kernel": trace["kernel"], "host": trace["host"]}
    info.add_metric([], {_label_name(name): str(value) for name, value in (labels | told).items()})
    yield info
    for name, sentence, value in (
        ("swaptrace_recording_duration_seconds", "How much of it was looked at.", trace["duration_s"]),
        ("swaptrace_recording_complete", "1 if the recording has an end, 0 if it was cut off.", trace["complete"]),
    ):
        yield GaugeMetricFamily(name, sentence, float(value), unit="seconds" if name.endswith("seconds") else "")
    lost = CounterMetricFamily("swaptrace_lost_events", "Events that were lost, by kind, in slots.", labels=["kind"])
    for kind, number in sorted((dict.fromkeys(EventKind.__members__, 0) | result.lost).items()):
        lost.add_metric([kind], number)
    yield lost


def metric_name(row: Figure, part: str = "") -> str:
    """A figure's name, with its unit at the end; what differs from report to report (the policy) is a label.

    part: of an integral.
    """
    parts = [piece for piece in row.name.split(".") if not piece.isupper()]
    unit, _, same = _UNITS.get(_unit(row, part), ("", 1, ()))
    words = [word for piece in (*parts, part) for word in piece.split("_") if word and word not in same]
    return "_".join(["swaptrace", *words, *([unit] if unit else [])])


def _unit(row: Figure, part: str) -> Unit:
    return Unit.BYTE_SECONDS if part == "byte_seconds" else row.unit


def _family(name: str, figure: AreaFigure) -> GaugeMetricFamily | CounterMetricFamily:
    row = figure.row
    sentence = row.sentence or row.words
    if figure.part:
        sentence = f"{sentence}; {INTEGRAL_PARTS[figure.part]}"
    unit = _UNITS.get(figure.unit, ("", 1, ()))[0]
    if not unit and figure.unit:
        sentence = f"{sentence} ({figure.unit})"
    kind = CounterMetricFamily if is_counter(row) else GaugeMetricFamily
    return kind(name, sentence, labels=[*_labels(figure)], unit=unit)


def is_counter(row: Figure) -> bool:
    """Whether it only grows. Those of the kernel are differences, which have no sign that is sure."""
    return row.kind is Kind.COUNT and not row.name.startswith("kernel.")


def _labels(figure: AreaFigure) -> dict[str, str]:
    area = figure.area
    fixed = {name: "" if area[name] is None else str(area[name]) for name in _LABELS}
    parts = zip(figure.row.name.split("."), figure.name.split("."), strict=False)
    return fixed | {place.lower(): value for place, value in parts if place.isupper()}


def _label_name(name: str) -> str:
    return "".join(character if character.isascii() and character.isalnum() else "_" for character in name)


def _number(figure: AreaFigure) -> float | None:
    value: Any = figure.value
    if figure.row.kind in (Kind.TEXT, Kind.GROUP) or value is None or (is_counter(figure.row) and value < 0):
        return None
    scale = _UNITS.get(figure.unit, ("", 1, ()))[1]
    return float(value) if scale == 1 else float(value) * scale
