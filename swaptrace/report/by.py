"""Whose swap it is (`report --by`): the groups in order, and the tables, JSON and CSV of them."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from swaptrace import units
from swaptrace.errors import UsageProblem
from swaptrace.events import FreeReason
from swaptrace.report.cells import safe
from swaptrace.report.containers import label
from swaptrace.report.tables import Table
from swaptrace.results.catalogue import Unit, untold_figures
from swaptrace.results.groups import GROUP_FIGURES, POOL, POOL_FIGURE
from swaptrace.results.results import AreaResult, Attributed, TraceResult, Values, added

_FIGURES = {row.name: row for row in (*GROUP_FIGURES, POOL_FIGURE)}
#: What --sort takes: the headings of columns.
COLUMNS = {row.words: row.name for row in _FIGURES.values() if row.words}
_FIRST = {"process": "frees", "reason": "frees"}  # by what is sorted if nothing is said; else by what is live
_SHOWN = 20  # groups in a table if nothing is said
_CGROUP = "cgroup"


@dataclass(frozen=True)
class Group:
    """One row. own: figures; tree: with those of all cgroups below it, the same where there are none."""

    name: str
    own: Values
    tree: Values


@dataclass(frozen=True)
class Breakdown:
    """groups: in order, all of them. total: their sum. others: of those beyond the first `top`; None if there is none.
    unknown: by figure, why it is not told. why_not: why nothing is, as half a sentence.
    """

    by: str
    words: str
    sort: str
    groups: list[Group]
    total: Values
    top: int
    unknown: dict[str, str]
    why_not: str = ""

    @property
    def first(self) -> list[Group]:
        return self.groups[: self.top]

    @property
    def others(self) -> Values | None:
        """The sum over the groups that are not shown."""
        return _sum(group.own for group in self.groups[self.top :]) if len(self.groups) > self.top else None


def breakdown(result: TraceResult, sort: str | None, top: int | None) -> Breakdown:
    """Of a result that is attributed. sort: one of COLUMNS; top: how many groups to show, 0 for all."""
    attributed = result.attributed
    assert attributed is not None
    if sort is not None and sort not in COLUMNS:
        raise UsageProblem(f"--sort {sort}: there is no such column", f"give one of {', '.join(COLUMNS)}")
    by = COLUMNS[sort or _FIRST.get(attributed.by, "live")]
    lost = sum(result.lost.values())
    why_not = f"{units.count(lost)} events were lost, and nothing tells whose they were" if lost else ""
    own = {} if why_not else attributed.groups()
    trees = _trees(own) if attributed.by == _CGROUP else own
    groups = [Group(name, own.get(name, _zero(tree)), tree) for name, tree in trees.items()]
    groups.sort(key=lambda group: (-group.tree.get(by, 0), group.name))
    unknown = {} if why_not else _unknown(result, attributed)
    shown = _SHOWN if top is None else top or len(groups)
    return Breakdown(attributed.by, attributed.words, by, groups, _sum(own.values()), shown, unknown, why_not)


def _zero(values: Values) -> Values:
    return dict.fromkeys(values, 0)


def _sum(every: Iterable[Values]) -> Values:
    total: Values = {}
    for values in every:
        total = added(total, values) if total else values
    return total


def _above(path: str) -> list[str]:
    """The cgroups above one, the root first; of what is no path, none."""
    if not path.startswith("/") or path == "/":
        return []
    parts = path.split("/")[1:]
    return ["/", *("/" + "/".join(parts[:depth]) for depth in range(1, len(parts)))]


def _trees(own: dict[str, Values]) -> dict[str, Values]:
    """Of each cgroup what it has with all below it; of those without anything of their own, where several meet."""
    below: dict[str, list[Values]] = {name: [values] for name, values in own.items()}
    for name, values in own.items():
        for path in _above(name):
            below.setdefault(path, []).append(values)
    return {name: _sum(parts) for name, parts in below.items() if name in own or len(parts) > 1}


def _unknown(result: TraceResult, attributed: Attributed) -> dict[str, str]:
    """The figures that are not told, and why: an area's own is not, or there is none in the first place."""
    found: dict[str, str] = {}
    untold = untold_figures(result.header.get("missing", ()))
    for name, row in _FIGURES.items():
        reasons = [why for area in result.areas if (why := _why_not(area, row.area, untold))]
        if reasons:
            found[name] = reasons[0]
    if any(POOL not in values for area in attributed.areas for values in area.values()):
        reasons = [area.absent["mem_used_total"] for area in result.areas if "mem_used_total" in area.absent]
        found.setdefault(POOL, reasons[0] if reasons else "the pool is not known")
    return found


def _why_not(area: AreaResult, figure: str, untold: Mapping[str, str]) -> str:
    """Why a figure of an area is not told: itself, or what it is a part of. Empty if it is.

    untold: by figure, what the kernel does not tell.
    """
    parts = figure.split(".")
    names = [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
    policies = ("none", "notify") if parts[0] == "recovered" else (parts[1],) if parts[0] == "policies" else ()
    left_out = [area.not_predicted.get(policy, "") for policy in policies]
    hidden = ["--policy leaves it out"] if not all(map(area.shows, policies)) else []
    known = [said.get(name, "") for said in (untold, area.unknown, area.not_told) for name in names]
    return next(filter(None, (*hidden, *left_out, *known)), "")


# -- in words


def tables_of(found: Breakdown) -> list[Table]:
    """What each group holds, and what happened to it."""
    if found.why_not or not found.groups:
        return []
    reasons = [f"frees_{reason.name.lower()}" for reason in FreeReason if found.total[f"frees_{reason.name.lower()}"]]
    what = ("live", "duplicate", "stale", "recovered")
    over_time = {name: f"{name}_compr_byte_seconds" for name in what}
    holds = ["live_slots_end", "live_compr_bytes_end", "duplicate_compr_bytes_end", POOL]
    stale = ["stale_compr_bytes_end", "recovered_compr_bytes_end", over_time["stale"], over_time["recovered"]]
    note = "Pool bytes are charged by the share of the compressed bytes that the store holds."
    made = [
        _table("by", f"What each {found.by} has at the end", found, holds, "" if POOL in found.unknown else note),
        _table("by-stale", "What is stale without notifications, and what they give back", found, stale, ""),
        _table("by-time", "What was live over time", found, [over_time["live"], over_time["duplicate"]], ""),
        _table("by-activity", "What happened", found, ["stores", "loads", "refaults", "frees"], ""),
        _table("by-reasons", "Why slots were freed", found, reasons, ""),
    ]
    return [table for table in made if table.rows]


def _table(name: str, title: str, found: Breakdown, figures: list[str], note: str) -> Table:
    """The first groups, the others together, and all. Figures that are unknown have no column."""
    shown = [figure for figure in figures if figure not in found.unknown]
    if not any(found.total.get(figure) for figure in shown):
        return Table(name, title, {}, [])
    names = [_heading(figure) for figure in shown]
    labels = _labels([group.name for group in found.first], found.by)
    rows = {labels[group.name]: [_cell(figure, group.own[figure]) for figure in shown] for group in found.first}
    if found.others is not None:
        others = found.others
        rows[f"({units.count(len(found.groups) - found.top)} others)"] = [_cell(each, others[each]) for each in shown]
    rows["all"] = [_cell(figure, found.total[figure]) for figure in shown]
    if found.by == _CGROUP and found.sort in shown and any(group.tree != group.own for group in found.first):
        names.append("subtree")
        note = f"{note} subtree: {_heading(found.sort)} of the cgroup and of all below it.".lstrip()
        trees = [_cell(found.sort, group.tree[found.sort]) for group in found.first]
        for cells, tree in zip(rows.values(), [*trees, *[""] * 2], strict=False):
            cells.append(tree)
    return Table(name, title, rows, names, note, sums=1 if found.others is None else 2)


def _heading(figure: str) -> str:
    row = _FIGURES[figure]
    if row.unit is Unit.BYTE_SECONDS:
        return f"{figure.partition('_')[0]} x time"
    return row.words or (
        "slots" if row.unit is Unit.SLOTS and figure.endswith("_end") else figure.removeprefix("frees_")
    )


def _cell(figure: str, value: int) -> str:
    unit = _FIGURES[figure].unit
    if unit is Unit.BYTE_SECONDS:
        return units.byte_seconds(value / 1e9)
    return units.size(value) if unit is Unit.BYTES else units.count(value)


_LONGEST = 40


def _labels(names: list[str], by: str) -> dict[str, str]:
    """What the rows are called: of cgroups what their paths tell, as long as no two are called the same."""
    if by != _CGROUP:
        return {name: name for name in names}
    called = {name: label(name) or name for name in names}
    often = Counter(called.values())
    return {name: _short(words if often[words] == 1 else name) for name, words in called.items()}


def _short(name: str) -> str:
    """The end of a long path tells more than its beginning."""
    return name if len(name) <= _LONGEST else f"…{name[1 - _LONGEST :]}"


def sentences(found: Breakdown) -> list[str]:
    """What is to be said beside the tables."""
    said = [f"By {found.by}: {found.words}."]
    if found.why_not:
        return [*said, f"Nothing is told of it: {found.why_not}."]
    if not found.groups:
        return [*said, "Nothing happened to any slot."]
    return [*said, *(f"Some columns are left out: {reason}." for reason in dict.fromkeys(found.unknown.values()))]


# -- for machines


def as_json(found: Breakdown) -> dict[str, Any]:
    """All groups that are to be shown; byte-seconds in seconds. Figures that are unknown are null."""
    others = None if found.others is None else _figures(found, found.others)
    return {
        "dimension": found.by,
        "sentence": found.words,
        "sort": found.sort,
        "groups": None if found.why_not else [_object(found, group) for group in found.first],
        "others": others,
        "total": None if found.why_not else _figures(found, found.total),
        "unknown": {"groups": found.why_not} if found.why_not else found.unknown,
    }


def _object(found: Breakdown, group: Group) -> dict[str, Any]:
    named = {"name": group.name, "label": (label(group.name) or None) if found.by == _CGROUP else None}
    tree = {"tree": _figures(found, group.tree)} if found.by == _CGROUP else {}
    return {**named, **_figures(found, group.own), **tree}


def _figures(found: Breakdown, values: Values) -> dict[str, int | float | None]:
    told = {name: values.get(name) for name in _FIGURES}
    return {name: None if name in found.unknown or value is None else _number(name, value)
            for name, value in told.items()}  # fmt: skip


def _number(name: str, value: int) -> int | float:
    return value / 1e9 if _FIGURES[name].unit is Unit.BYTE_SECONDS else value


def as_csv(found: Breakdown) -> str:
    """A row for each group that is to be shown. Cells are empty where a figure is unknown."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([found.by, *_FIGURES])
    for group in found.first:
        writer.writerow([safe(group.name), *_figures(found, group.own).values()])
    return text.getvalue()
