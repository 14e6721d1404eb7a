"""What is printed on terminals of any width: figures and names are whole."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from fixtures import DATA, TRACE
from rich.text import Text

from swaptrace.console import Console, new_table, print_table, print_title
from swaptrace.report.command import analyse
from swaptrace.report.html import write_html
from swaptrace.report.text import print_text
from swaptrace.results.results import TraceResult
from swaptrace.units import exact_bytes


def printed(width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    table = new_table()
    for heading, wraps in (("", True), ("bytes", False), ("meaning", True)):
        table.add_column(heading, no_wrap=not wraps)
    table.add_row(Text("stored"), Text("1,125,899,906,842,624 B"), Text("what the store holds at the end"))
    print_table(table, console)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_words_give_way_to_figures() -> None:
    assert len(printed(80)) == 3
    narrower = printed(45)
    assert len(narrower) > 3 and any("1,125,899,906,842,624 B" in line for line in narrower)
    assert all(len(line) <= 45 for line in narrower)


def test_figures_that_do_not_fit_have_a_line_each() -> None:
    assert printed(24) == [
        "stored",
        "    bytes: 1,125,899,906,842,624 B",
        "    meaning: what the store holds at the end",
    ]


def test_titles_are_whole() -> None:
    for width, said in ((40, "a title ─"), (14, "a title ─"), (9, "a title\n"), (5, "a title\n")):
        console = Console(file=io.StringIO(), width=width)
        print_title(Text("a title"), console)
        assert isinstance(console.file, io.StringIO) and console.file.getvalue().startswith(said)


@pytest.fixture(scope="module")
def golden() -> TraceResult:
    return analyse(DATA / "format2" / TRACE)


def text(result: TraceResult, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_text(result, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def sizes(said: str) -> set[str]:
    return set(re.findall(r"[\d,.]+ (?:[KMGTP]i)?B\b(?:·s)?", re.sub(r"\s+", " ", said)))


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("width", [30, 80])
def test_the_report_has_the_same_sizes_at_any_width(golden: TraceResult, width: int, exact: bool) -> None:
    with exact_bytes(exact):
        wide, narrow = text(golden, 400), text(golden, width)
    assert len(sizes(wide)) > 20 and sizes(narrow) == sizes(wide)
    assert "…" not in narrow


def test_bytes_are_all_that_is_written_then(
    golden: TraceResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swaptrace.report.html.CHARTS", ())  # whose axes keep their units
    monkeypatch.setattr("swaptrace.report.words.GLOSSARY", {})
    units = re.compile(r"\d\s+[KMGTP]iB")
    with exact_bytes():
        for said in (text(golden, 80), write_html(golden, tmp_path).read_text(encoding="utf-8")):
            assert not units.search(said) and "6,637,195 B" in said and "26,132,330 B·s" in said
