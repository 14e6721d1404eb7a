"""The recordings to compare: what there is to say of each, of its set-up, and of its swap areas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from swaptrace import units
from swaptrace.areas import again
from swaptrace.diff.document import Fact, Recording
from swaptrace.diff.figures import AreaFigures
from swaptrace.errors import UsageProblem
from swaptrace.report import words
from swaptrace.report.as_json import as_json
from swaptrace.report.command import Selection, analyse
from swaptrace.report.output import is_same
from swaptrace.results.catalogue import Kind, Unit, children
from swaptrace.results.results import AreaResult, TraceResult


@dataclass(frozen=True)
class RunArea:
    """A swap area of a run. activation: how many areas the device had until then, this one included; json: of the
    report; note: whose its pool bytes are, if not its own alone; seconds: of the recording.
    """

    device: str
    activation: int
    json: dict[str, Any]
    note: str
    seconds: float | None

    @property
    def title(self) -> str:
        return self.device + again(self.activation - 1)

    @cached_property
    def figures(self) -> AreaFigures:
        return AreaFigures(self.json, self.seconds)


@dataclass(frozen=True)
class Run:
    """A recording. lead: which of its areas has most to say; None if it has none."""

    path: Path
    trace: dict[str, Any]
    header: dict[str, Any]
    warnings: list[str]
    areas: list[RunArea]
    lead: int | None

    @property
    def recording(self) -> Recording:
        return Recording(
            path=str(self.path), **{name: self.trace[name] for name in ("host", "kernel", "start_realtime")},
            **{name: self.trace[name] for name in ("duration_s", "lost_events", "since_s", "until_s")},
        )  # fmt: skip


_WHOLE = Selection()


def read(sides: Sequence[Sequence[Path]], selection: Selection = _WHOLE) -> list[list[Run]]:
    """The runs of each side. selection: what part of each run, by time and by areas (or stores).

    Raises BadInput, or UsageProblem for a device that no recording has, or for a recording that is there twice.
    """
    for name, side in zip("AB", sides, strict=True):
        for place, path in enumerate(side):
            if any(is_same(path, other) for other in side[:place]):
                raise UsageProblem(f"{path} is on side {name} twice", "give each run once: a run alone has no spread")
    part = Selection(selection.since, selection.until)
    results = [[(path, analyse(path, part)) for path in side] for side in sides]
    areas = [area for side in results for _, result in side for area in result.areas]
    for device in selection.devices:
        if not any(_is_one_of(area, [device]) for area in areas):
            known = ", ".join(dict.fromkeys(area.device for area in areas)) or "none"
            raise UsageProblem(f"none of the recordings has a swap area {device}", f"their swap areas: {known}")
    return [[_run(path, result, selection.devices) for path, result in side] for side in results]


def _is_one_of(area: AreaResult, devices: Sequence[str]) -> bool:
    return not devices or area.device in devices or area.store in devices


def _run(path: Path, result: TraceResult, devices: Sequence[str]) -> Run:
    report = as_json(result)
    seen: Counter[str] = Counter()
    areas, chosen = [], []
    for area, json in zip(result.areas, report["areas"], strict=True):
        seen[area.device] += 1
        if _is_one_of(area, devices):
            chosen.append(area)
            note = words.of_the_whole_store(area) if json["pool"] is not None else ""
            areas.append(RunArea(area.device, seen[area.device], json, note, report["trace"]["duration_s"]))
    lead = words.lead(replace(result, areas=chosen))
    place = next((number for number, area in enumerate(chosen) if area is lead), None)
    return Run(path, report["trace"], result.header, words.warnings(result), areas, place)


# -- what is not the same of the set-up


def facts(a: Sequence[Run], b: Sequence[Run]) -> list[Fact]:
    """What of kernel, machine and recording is not the same."""
    labels = sorted({label for run in (*a, *b) for label in run.trace["labels"] or {}})
    of_run: dict[str, Callable[[Run], str]] = {
        "host": lambda run: run.trace["host"] or _UNKNOWN,
        "kernel": lambda run: run.trace["kernel"] or _UNKNOWN,
        "page size": lambda run: units.size(run.header.get("page_size")),
        "zsmalloc chains": _chains,
        **{f"label {label}": _label(label) for label in labels},
    }
    found = [_fact(name, [of(run) for run in a], [of(run) for run in b]) for name, of in of_run.items()]
    return [fact for fact in (*found, _duration(a, b)) if fact is not None]


_UNKNOWN = "not known"


def _chains(run: Run) -> str:
    """How many pages the allocator joins at most: CONFIG_ZSMALLOC_CHAIN_SIZE."""
    zsmalloc = run.header.get("zsmalloc")
    return f"of up to {max(zsmalloc['pages_per_zspage'])} pages" if zsmalloc else _UNKNOWN


def _label(label: str) -> Callable[[Run], str]:
    return lambda run: (run.trace["labels"] or {}).get(label, units.DASH)


def _fact(name: str, a: Sequence[str], b: Sequence[str]) -> Fact | None:
    """None if both sides have the same."""
    if set(a) == set(b):
        return None
    return Fact(name, *(" / ".join(dict.fromkeys(side)) for side in (a, b)))


def _duration(a: Sequence[Run], b: Sequence[Run]) -> Fact | None:
    """How long the recordings were, if those of one side are all longer."""
    seconds = [sorted(run.trace["duration_s"] or 0 for run in side) for side in (a, b)]
    if seconds[0][-1] >= seconds[1][0] and seconds[1][-1] >= seconds[0][0]:
        return None
    ends = [[units.duration(1e9 * value) for value in (side[0], side[-1])] for side in seconds]
    return _fact("duration", *([" to ".join(dict.fromkeys(side))] for side in ends))


#: Of no interest to who compares, or told by others.
_NO_FACT = ("swap_type", "generation", "zram")


def area_facts(a: Sequence[RunArea], b: Sequence[RunArea]) -> list[Fact]:
    """What of an area is not the same: the properties of the catalogue."""
    rows = [row for row in children() if row.kind in (Kind.TEXT, Kind.FLAG, Kind.SIZE) and row.name not in _NO_FACT]
    found = (
        _fact(row.name, *([_worded(area.json[row.name], row.unit) for area in side] for side in (a, b))) for row in rows
    )
    return [fact for fact in found if fact is not None]


def _worded(value: Any, unit: Unit) -> str:
    if value is None:
        return _UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    return units.size(value) if unit is Unit.BYTES else units.count(value) if isinstance(value, int) else str(value)
