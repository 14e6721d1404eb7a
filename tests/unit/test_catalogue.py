"""The catalogue of figures: everything that is told of an area has a row, and a row is found everywhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from swaptrace.report.as_json import SCHEMA_VERSION, as_json
from swaptrace.report.command import Selection, analyse
from swaptrace.results.catalogue import FIGURES, Better, Kind, Unit, children, figure_at
from tests.data.documents import DOCUMENT, SCHEMA, schema, schema_text, written
from tests.unit.fixtures import DATA, KERNELS

RENEW = "if this is as it should be: python -m tests.data.documents"


def golden(kernel: str) -> dict[str, Any]:
    return dict(json.loads((DATA / kernel / "report.json").read_text()))


def test_names_are_told_apart() -> None:
    names = [row.name for row in FIGURES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("row", FIGURES, ids=lambda row: row.name)
def test_a_row_is_whole(row: Any) -> None:
    """What is at the top has a value and a place in the document, what is inside of a group has neither."""
    at_the_top = "." not in row.name
    assert (row.of is not None, bool(row.section)) == (at_the_top, at_the_top)
    assert (row.unit is Unit.NO) == (row.kind in (Kind.TEXT, Kind.FLAG, Kind.GROUP, Kind.LIST))
    assert (row.kind in (Kind.GROUP, Kind.LIST)) == bool(
        [other for other in FIGURES if other.name.startswith(f"{row.name}.")]
    )
    assert row.rule is None or row.kind in (Kind.COUNT, Kind.STATE, Kind.INTEGRAL)
    assert row.sentence or row.name == "what_if.SPECIFICATION.stale_pool_bytes.POLICY"


def test_a_figure_is_found_by_its_name_in_an_area() -> None:
    for name, row in {
        "stores": "stores",
        "policies.none.stale_slots_end": "policies.POLICY.stale_slots_end",
        "policies.notify.stale_compr_bytes.mean": "policies.POLICY.stale_compr_bytes",
        "recovered.pool_bytes": "recovered.pool_bytes",
        "free_reasons.exit": "free_reasons.exit",
        "what_if.chain=8.stale_pool_bytes.none.peak": "what_if.SPECIFICATION.stale_pool_bytes.POLICY",
    }.items():
        found = figure_at(name)
        assert found is not None and found.name == row, name
    assert figure_at("nothing") is None


def test_good_news() -> None:
    """What is stale is bad news, what notifications give back is good; a count alone is neither."""
    better = {row.name: row.better for row in FIGURES}
    assert better["policies.POLICY.stale_compr_bytes"] is better["leaked.compr_bytes"] is Better.LESS
    assert better["recovered.compr_bytes"] is better["notified"] is Better.MORE
    assert better["stores"] is better["frees"] is Better.NEITHER


def test_the_document_has_what_the_catalogue_says() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert written(text) == text, RENEW
    assert text.count("<!-- figures of ") == text.count("<!-- end -->") > 10
    sections = {row.section for row in children()}
    assert {f"<!-- figures of section {name} -->" in text for name in sections} == {True}


def test_the_schema_is_the_catalogues() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), RENEW
    jsonschema.Draft202012Validator.check_schema(schema(SCHEMA_VERSION))


@pytest.mark.parametrize("kernel", KERNELS)
def test_reports_are_as_the_schema_says(kernel: str) -> None:
    jsonschema.validate(golden(kernel), schema(SCHEMA_VERSION), jsonschema.Draft202012Validator)


def test_parts_of_a_recording_are_as_the_schema_says() -> None:
    """In the middle there are leaks, and what is still running."""
    path = DATA / "5.10" / "trace.swaptrace"
    report = as_json(analyse(path, Selection(until=43.788)))
    assert {type(leak["since"]) for area in report["areas"] for leak in area["leaks"]} == {float}
    jsonschema.validate(report, schema(SCHEMA_VERSION), jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("stores", "many"),
        ("stores", 1.5),
        ("notified", 1),
        ("policies.none.stale_slots_end", "x"),
        ("policies.none.stale_compr_bytes.end", "x"),
        ("lifetime_ns.p50", "x"),
        ("bounds", {"stores": [1]}),
        ("duplicate", {"slots_end": 1}),
        ("rewrites", ...),
    ],
)
def test_the_schema_refuses(path: str, value: object) -> None:
    report = golden("6.12")
    *groups, last = path.split(".")
    where = report["areas"][0]
    for group in groups:
        where = where[group]
    assert last in where
    if value is ...:
        del where[last]
    else:
        where[last] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(report, schema(SCHEMA_VERSION), jsonschema.Draft202012Validator)


#: What a developer writes for one more figure: after each of these lines of these files, another one.
ONE_MORE = {
    "engine/counters.py": ("    stores: int\n", "    surprises: int\n"),
    "engine/lifetimes.py": (
        "        self._counts[area, constants.COUNT_STORES] += 1\n",
        "        self._counts[area, constants.COUNT_SURPRISES] += 7\n",
    ),
    "results/catalogue.py": (
        "FIGURES: tuple[Figure, ...] = (\n",
        """    _row("surprises", Kind.COUNT, Unit.PAGES, "pages that a test made up", "area",
         words="pages that surprise", rule=more("STORE"), needs=_STORES),\n""",
    ),
}

#: Says where it is found then, in a recording of five stores.
WHERE = """
import uncompiled
uncompiled.switch_on()

import dataclasses, io, json, pathlib
from builders import START, batch, header, store, trailer, zram_area
from rich.console import Console
from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Store
from swaptrace.report.as_json import as_json
from swaptrace.report.html import write_html
from swaptrace.report.text import print_text
from swaptrace.results.bounds import with_bounds
from swaptrace.results.file import encode, read_results
from swaptrace.results.merge import over_machines, recording
from swaptrace.trace.stream import StreamFile
from tests.data.documents import schema, written

def text(result):
    out = io.StringIO()
    print_text(result, Console(file=out, width=120))
    return [line.split() for line in out.getvalue().splitlines() if "surpris" in line]

made = header([zram_area("/dev/zram0", 0, 64, 0)], [Store(0, "zram0", 64)], missing=())
whole, early, late = Analysis(made), Analysis(made, until=START + 30), Analysis(made, since=START + 30)
for analysis in (whole, early, late):
    analysis.feed(batch([store(START + 10 * number, 0, number, 100) for number in range(1, 6)]))
result, *parts = [analysis.finish(trailer(START + 100)) for analysis in (whole, early, late)]
(area,) = result.areas
lossy = with_bounds(area, {"STORE": 5}, {}, page_size=4096, cluster_slots=512, part=False)
lossy = dataclasses.replace(result, areas=[lossy], lost={"STORE": 5})
untold = dataclasses.replace(result, header={**result.header, "missing": ("slot stored and loaded",)})
pathlib.Path("results").write_bytes(encode(made, result))
print(json.dumps({
    "json": as_json(result)["areas"][0]["surprises"],
    "lossy": as_json(lossy)["areas"][0]["surprises"],
    "bounds": as_json(lossy)["areas"][0]["bounds"]["surprises"],
    "untold": as_json(untold)["areas"][0]["surprises"],
    "file": read_results(StreamFile(pathlib.Path("results"))).areas[0].surprises,
    "parts": [each.areas[0].surprises for each in (*parts, recording(parts))],
    "machines": over_machines([area, area]).surprises,
    "schema": schema(1)["properties"]["areas"]["items"]["properties"]["surprises"],
    "text": text(result),
    "lossy text": text(lossy),
    "html": "pages that surprise" in write_html(result, pathlib.Path("report")).read_text(),
    "document": written("<!-- figures of section area -->\\n<!-- end -->").splitlines()[3],
}))
"""


def test_one_more_figure_is_one_row_and_counted_in_one_place(tmp_path: Path) -> None:
    """In JSON, its schema and its document, tables and HTML, bounds and null, the file of results, and what is merged.

    (The engine's line and its name there; compiled loops take the number from constants.pxd, which is written anew.)
    """
    root = Path(__file__).parents[2]
    shutil.copytree(root / "swaptrace", tmp_path / "swaptrace", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    (tmp_path / "tests/mutation").mkdir(parents=True)
    shutil.copy(root / "tests/mutation/uncompiled.py", tmp_path / "tests/mutation")
    for name, (before, line) in ONE_MORE.items():
        path = tmp_path / "swaptrace" / name
        source = path.read_text()
        assert source.count(before) == 1
        path.write_text(source.replace(before, before + line))
    places = (tmp_path, tmp_path / "tests/mutation", root / "tests/unit", root)
    done = subprocess.run(
        [sys.executable, "-c", WHERE],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": ":".join(map(str, places))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["json"], found["lossy"], found["untold"]) == (35, None, None)
    assert found["bounds"] == [35, 40]
    assert (found["file"], found["parts"], found["machines"]) == (35, [14, 21, 35], 70)
    assert found["schema"] == {
        "type": ["integer", "null"],
        "description": "pages that a test made up",
        "x-unit": "pages",
    }
    assert found["text"][0][:2] == ["surprises", "35"]
    assert found["text"][0][-3:] == ["pages", "that", "surprise"]
    assert found["lossy text"][0][:3] == ["surprises", "35", "40"]
    assert found["html"]
    assert found["document"] == "| `surprises` | pages | pages that a test made up |"
