"""--policy: what was not asked for is in no part of a report, nor what compares it with something else."""

from __future__ import annotations

import itertools
import json
import re
from functools import cache
from pathlib import Path
from unittest.mock import patch

import pytest
from matplotlib.figure import Figure

from swaptrace.policies import POLICIES
from swaptrace.report import charts, interactive, pictures, style, tables, words
from swaptrace.report.as_json import as_json
from swaptrace.report.command import Selection, _select, analyse
from swaptrace.report.html import write_html
from swaptrace.results.results import AreaResult, Range, TraceResult
from tests.unit.fixtures import DATA, TRACE
from tests.unit.test_reasons import said, without_reason

NAMES = tuple(POLICIES)
SELECTIONS = [*((name,) for name in NAMES), *itertools.combinations(NAMES, 2), NAMES]
#: By what is said in text and page: the policies without which it is not.
SAID = {
    r"recovered, compressed": {"none", "notify"},
    r"leaked, compressed": {"observed", "notify"},
    r"slots? leaked at the end": {"observed", "notify"},
    r"notifications (can give|gave|would give) back": {"none", "notify"},
    r"but missed": {"none", "notify", "observed"},
    r"the gap between none and notify": {"none", "notify"},
    r"orange is stale and still held": {"observed"},
    r"the hatched part would be held": {"none"},
    **{rf"under {name}, and ": {name} for name in NAMES},
}


@cache
def whole(kernel: str = "5.10") -> TraceResult:
    return analyse(DATA / kernel / TRACE)


def selected(policies: tuple[str, ...], kernel: str = "5.10") -> TraceResult:
    return _select(whole(kernel), Selection(policies=policies))


def page(result: TraceResult, folder: Path) -> str:
    """The HTML without pictures, and without the glossary, which explains all words."""
    with (
        patch.object(pictures, "draw", lambda _: Figure()),
        patch.object(style, "as_png", lambda _: b""),
        patch.object(interactive, "embedded", lambda _: ""),
    ):
        text = write_html(result, folder).read_text(encoding="utf-8")
    body = text[text.index("<main") :]
    return re.sub(r'<dl class="glossary">.*?</dl>', "", body, flags=re.DOTALL)


@pytest.mark.parametrize("policies", SELECTIONS, ids="+".join)
def test_text_and_page_say_what_was_asked_for(policies: tuple[str, ...], tmp_path: Path) -> None:
    result = selected(policies)
    for text, form in ((said(result), "text"), (page(result, tmp_path), "html")):
        for pattern, needed in SAID.items():
            if re.search(pattern, text):
                assert needed <= set(policies), (form, pattern)
    assert ("recovered, compressed" in said(result)) == ({"none", "notify"} <= set(policies))
    assert ("leaked, compressed" in said(result)) == ({"observed", "notify"} <= set(policies))
    assert ("Stale slots hold at the end" in said(result)) == (not {"none", "notify"} <= set(policies))


@pytest.mark.parametrize("policies", SELECTIONS, ids="+".join)
def test_json_has_what_was_asked_for(policies: tuple[str, ...]) -> None:
    areas, every = (as_json(found)["areas"] for found in (selected(policies), whole()))
    for area, before in zip(areas, every, strict=True):
        assert without_reason(area) == []
        assert list(area["policies"]) == [name for name in NAMES if name in policies]
        for name, pair in (("recovered", "none"), ("leaked", "observed")):
            if {pair, "notify"} <= set(policies):
                assert area[name] == before[name]
            else:
                assert area[name] is None
                assert area["unknown"][name] == f"it compares {pair} with notify, and --policy leaves one out"
        assert area["leaks"] == (before["leaks"] if {"observed", "notify"} <= set(policies) else None)
    json.dumps(areas, allow_nan=False)


@pytest.mark.parametrize("policies", SELECTIONS, ids="+".join)
def test_charts_say_what_was_asked_for(policies: tuple[str, ...]) -> None:
    for area in selected(policies).areas:
        titles = [chart(area).finding for chart in (charts.content, charts.policies, charts.pool)]
        gives = [title for title in titles if re.search("otifications|Nobody", title)]
        assert not gives or "none" in policies, titles
        assert all("no stale one took memory" not in title for title in titles) or area.policies["none"]


def test_headlines() -> None:
    lead = words.lead(whole())
    assert lead is not None
    before = words.headline(lead)

    def headline(*policies: str, of: AreaResult = lead) -> str:
        (area,) = _select(TraceResult({}, {}, [of], {}, {}), Selection(policies=policies)).areas
        return words.headline(area)

    assert headline("none", "notify", "observed") == headline("notify", "none", "observed", "discard") == before
    assert re.fullmatch(r"Stale slots hold at the end [^;]* under none, and \S+ MiB at the peak\.", headline("none"))
    assert re.fullmatch(r"Stale slots hold .* under notify, .* at the peak; .* under observed, .* at the peak\.",
                        headline("notify", "observed"))  # fmt: skip
    assert "notifications can give back" in headline("none", "notify") and "missed" not in headline("none", "notify")
    untold = _replace(lead, notified=False)
    assert "gets no slot-free notifications" in words.headline(untold)
    assert "notifications can give back" in headline("none", "notify", of=untold)
    why = dict.fromkeys(("none",), "this kernel chooses otherwise")
    other = _replace(lead, not_predicted=why, policies={"notify": lead.policies["notify"]})
    assert headline("none", of=other) == (
        "What stale slots hold is not known. Not predicted: none, for this kernel chooses otherwise."
    )
    assert headline("none", "notify", of=other).endswith("under notify, and 0 B at the peak.")


def _replace(area: AreaResult, **changes: object) -> AreaResult:
    return AreaResult(**{**area.__dict__, **changes})  # type: ignore[arg-type]


def test_headline_if_events_were_lost() -> None:
    lead = words.lead(whole())
    assert lead is not None
    figure = "policies.{}.stale_compr_bytes.end"
    lossy = _replace(lead, ranges={figure.format(name): Range(2048, 4096) for name in ("none", "observed")},
                     unknown={"leaks": "lost"})  # fmt: skip
    for policies, how in ((("none", "observed"), "without slot-free notifications"), (("observed",), "under observed")):
        (area,) = _select(TraceResult({}, {}, [lossy], {}, {}), Selection(policies=policies)).areas
        assert words.headline(area) == f"Stale slots would hold between 2.0 KiB and 4.0 KiB at the end {how}; " \
            "events were lost."  # fmt: skip
        assert list(area.ranges) == [figure.format(name) for name in policies]
        assert not any(table.name == "recovered" for table in tables.area_tables(area, None))
