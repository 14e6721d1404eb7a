"""Two sides compared: their set-up, the swap areas that both have, and the sentence that says what has changed."""

from __future__ import annotations

from collections.abc import Sequence

from swaptrace import units
from swaptrace.diff import words
from swaptrace.diff.comparison import chance_of, rows
from swaptrace.diff.document import SCHEMA_VERSION, Area, Comparison, Left
from swaptrace.diff.recordings import Run, RunArea, area_facts, facts
from swaptrace.errors import UsageProblem

#: By an area's backing, in what is compared with what: a compressed store is compared with another one only.
_COMPRESSED = ("zram", "zswap")

Areas = list[list[RunArea]]  # of both sides: that area of each run


def compare(a: Sequence[Run], b: Sequence[Run]) -> Comparison:
    """What has changed from side A to side B, each of one run or more.

    Raises UsageProblem if they have no area in common.
    """
    pairs, left = _matched(a, b)
    if not pairs:
        raise UsageProblem(_nothing(left), "give recordings of the same areas, or name the area of each with --device")
    chance = chance_of(len(a), len(b))
    areas = [_area(pair, chance) for pair in pairs]
    leads = [run.areas[run.lead] for run in (*a, *b) if run.lead is not None]
    first = next(
        (number for lead in leads for number, pair in enumerate(pairs) if any(lead in side for side in pair)), 0
    )
    name = f"{areas[first].title}: " if len(areas) > 1 else ""
    return Comparison(
        schema_version=SCHEMA_VERSION,
        verdict=name + areas[first].verdict,
        a=[run.recording for run in a],
        b=[run.recording for run in b],
        chance=chance,
        setup=facts(a, b),
        warnings=list(dict.fromkeys(f"{run.path}: {warning}" for run in (*a, *b) for warning in run.warnings))
        + _pages(a, b),
        areas=areas,
        not_compared=left,
    )


def _nothing(left: Sequence[Left]) -> str:
    if not left:
        return "no swap area was active while these were recorded: there is nothing to compare"
    return f"nothing can be compared: {'; '.join(f'{area.title}: {area.why}' for area in left)}"


def _pages(a: Sequence[Run], b: Sequence[Run]) -> list[str]:
    """What is to be said where pages are not of one size."""
    sizes = {run.header.get("page_size") for run in (*a, *b)}
    if len(sizes) == 1:
        return []
    return ["PAGES ARE NOT OF ONE SIZE: a page stored is another number of bytes on each side."]


def _area(pair: Areas, chance: float) -> Area:
    a, b = pair
    figures = rows([area.figures for area in a], [area.figures for area in b])
    notes = dict.fromkeys(area.note for area in (*a, *b) if area.note)
    titles = dict.fromkeys(side[0].title for side in pair)
    return Area(" / ".join(titles), words.verdict(figures, chance), area_facts(a, b), list(notes), figures)


# -- which area is which


def _matched(a: Sequence[Run], b: Sequence[Run]) -> tuple[list[Areas], list[Left]]:
    """The areas that all runs have, by device and activation, and the others. If each run has one, it is that."""
    runs = (*a, *b)
    one = all(len(run.areas) == 1 for run in runs)
    by_name = [{("", 0) if one else (area.device, area.activation): area for area in run.areas} for run in runs]
    pairs, left = [], []
    for name in dict.fromkeys(name for named in by_name for name in named):
        found = [named.get(name) for named in by_name]
        areas = [area for area in found if area is not None]
        pair = [areas[: len(a)], areas[len(a) :]]
        why = _lacking(found, len(a)) if len(areas) < len(runs) else _why_not(pair)
        if why:
            left.append(Left(areas[0].title, why))
        else:
            pairs.append(pair)
    return pairs, left


def _lacking(found: Sequence[RunArea | None], of_a: int) -> str:
    """Which runs do not have an area."""
    sides = {"A": found[:of_a], "B": found[of_a:]}
    lacking = {name: sum(area is None for area in side) for name, side in sides.items()}
    said = (
        f"{name} has none" if number == len(sides[name]) else f"{units.count(number)} of the runs of {name} have none"
        for name, number in lacking.items()
        if number
    )
    return " and ".join(said)


def _why_not(pair: Areas) -> str:
    """Why the areas cannot be compared; empty if they can."""
    backings = [dict.fromkeys(area.json["backing"] for area in side) for side in pair]
    every = {backing for side in backings for backing in side}
    if "disk" not in every or not every & set(_COMPRESSED):
        return ""
    said = (f"on {' and '.join(side)} in {name}" for name, side in zip("AB", backings, strict=True))
    return f"{', '.join(said)}; what a disk holds takes no memory, and nothing tells what it does"
