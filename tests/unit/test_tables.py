"""Every cell of every table, in the terminal and in HTML, against the results; and the sentences.

What is expected is written down here from the results, field by field; how a figure is formatted is test_units'.
"""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from test_charts import distinct, figures
from test_report import SECONDS, disk_area, result

from swaptrace.histogram import Histogram, Survival
from swaptrace.report.html import write_html
from swaptrace.report.text import print_text
from swaptrace.results.results import AreaResult, Integral, Leak, Range, TraceResult, WhatIf, WrittenBack
from swaptrace.units import DASH, byte_seconds, count, duration, percent, rate, size

Tables = dict[str, dict[str, list[str]]]  # cells by title and row; "" is the row of column names
BYTES = ("orig_data_size", "compr_data_size", "mem_used_total")


@pytest.fixture(scope="module")
def area() -> AreaResult:
    """As the charts' area, with what tables alone show; the kernel differs from the model here and there."""
    made = distinct()
    model = dataclasses.replace(made.model, pages_stored=21_001, same_pages=2_903, huge_pages=907, bd_count=5)
    return dataclasses.replace(
        made,
        discarded=23,
        free_path={"calls": 30_000, "slots": 33_036, "ns": 93_000_000},
        leaks=[
            Leak(7, 100, 1_500_000_000, "missed"),
            Leak(9, 200, 2_500_000_000, "not notified"),
            Leak(11, 300, 3_500_000_000, "not notified"),
        ],
        what_if={
            "chain=8": WhatIf(figures(30), {"none": figures(31), "notify": figures(32)}),
            "chain=4": WhatIf(figures(33), {"none": figures(34), "notify": figures(35)}),
            "writeback=15m": WhatIf(None, {}, WrittenBack(figures(38), figures(39), 30_011, 4_003, 21_007)),
            "chain=4,writeback=1h": WhatIf(
                figures(40), {"none": figures(41)}, WrittenBack(figures(42), figures(39), 30_013, 4_007, 21_009)
            ),
        },
        duplicate_compr_bytes=figures(36),
        pool=figures(37),
        model=model,
        kernel=dataclasses.replace(model, pages_stored=21_004, huge_pages=None, compr_data_size=9 << 20, bd_count=5),
        kernel_counts={"used_slots": 1200},
        swap_header={"pages": 1, "compr_bytes": 74},
        ramzswap=made.ramzswap | {"failed_writes": 31, "pages_expand_pct": 3.6, "good_compress_pct": 81.3},
    )


# --------------------------------------------------------------------------------------------------- what is to be seen


def integral(value: Integral | None) -> list[str]:
    if value is None:
        return [DASH] * 4
    return [size(value.end), size(value.peak), size(value.mean), byte_seconds(value.byte_seconds)]


def apart(model: int | None, kernel: int | None, show: object) -> str:
    if model is None or kernel is None:
        return DASH
    return "✓" if model == kernel else ("+" if model > kernel else "") + show(model - kernel)  # type: ignore[operator]


def survival(times: Survival) -> list[str]:
    quantiles = (times.quantile(q) for q in (0.5, 0.9, 0.99))
    shown = ["not reached" if q is None else duration(q) for q in quantiles]
    return [count(times.ended.sum()), count(times.censored.sum()), *shown, duration(times.largest)]


def expected(
    area: AreaResult, shown: tuple[str, ...] = ("none", "discard", "discard_once", "notify", "observed")
) -> Tables:
    """Title, row and cells, without the words that explain a row."""
    policies = {name: area.policies[name] for name in shown}
    ours, theirs = dataclasses.asdict(area.model), dataclasses.asdict(area.kernel)
    ours["used_slots"], theirs["used_slots"] = area.used_slots, area.kernel_counts["used_slots"]
    content = {}
    for name, value in ours.items():
        show = size if name in BYTES else count
        content[name] = [show(value), show(theirs[name]), apart(value, theirs[name], show)]
    notification, path = area.notification, area.free_path
    assert path is not None and area.pool is not None
    what_if = {"as recorded": (area.pool, area.policies["none"].stale_pool_bytes)}
    what_if |= {
        name: (found.mem_used_total, found.stale_pool_bytes["none"])
        for name, found in area.what_if.items()
        if found.mem_used_total is not None
    }
    written = {name: back for name, found in area.what_if.items() if (back := found.write_back) is not None}
    age = area.age
    assert age is not None
    integrals = ["end", "peak", "mean", "byte-seconds"]
    frees = {name: number for name, number in area.free_reasons.items() if number}
    medians = {name: duration(times.quantile(0.5)) for name, times in area.lifetime_by_reason.items()}
    unread = area.unread
    assert unread is not None
    counts = (
        "stores", "loads", "refaults", "frees", "frees_unwritten", "rewrites", "notify_free", "miss_free", "discarded",
    )  # fmt: skip
    lives, waits = survival(area.lifetime), survival(area.time_to_reuse)
    rows = ("ended", "still running at the end", "p50", "p90", "p99", "longest that ended")
    return {
        "What the store holds at the end": {"": ["model", "kernel", "model - kernel"], **content},
        "Stale slots, by policy": {
            "": ["end", "peak"],
            **{name: [count(p.stale_slots_end), count(p.stale_slots_peak)] for name, p in policies.items()},
        },
        "Stale compressed bytes, by policy": {
            "": integrals, **{name: integral(policy.stale_compr_bytes) for name, policy in policies.items()},
        },
        "Stale pool bytes (pages of memory), by policy": {
            "": integrals, **{name: integral(policy.stale_pool_bytes) for name, policy in policies.items()},
        },
        "What notifications can recover, and what leaked": {
            "": integrals,
            "recovered, compressed": integral(area.recovered["compr_bytes"]),
            "recovered, pool": integral(area.recovered["pool_bytes"]),
            "leaked, compressed": integral(area.leaked["compr_bytes"]),
            "leaked, pool": integral(area.leaked["pool_bytes"]),
        },
        "What if the pool were built otherwise": {
            "": ["mem_used_total", "its peak", "stale (none)", "its peak"],
            **{
                name: [size(whole.end), size(whole.peak), size(stale.end), size(stale.peak)]
                for name, (whole, stale) in what_if.items()
                if stale is not None
            },
        },
        "What if idle entries were written back: bytes in memory; pages on the disk": {
            "": ["end", "peak", "mean", "written", "read back", "at the end"],
            "as recorded": [*integral(figures(39))[:3], DASH, DASH, DASH],
            **{
                name: [*integral(back.in_memory)[:3], count(back.writes), count(back.loads), count(back.pages_end)]
                for name, back in written.items()
            },
        },
        "What writing back idle entries would give, by how long they are idle": {
            "": ["mean saved", "share", "pages written", "read back", "rate"],
            **{
                name: [
                    size(age.saved[number] / (SECONDS * 1e9)),
                    percent(age.saved[number] / age.in_memory),
                    count(age.writes[number]),
                    count(age.loads[number]),
                    rate(age.loads[number] / SECONDS),
                ]
                for name, number in {"937.5 ms": 16, "3.8 s": 32, "15.0 s": 48, "1 min": 64}.items()
            },
        },
        "How long slots are in use, and stay free": {
            "": ["in use", "free, until written again"],
            **{name: [life, wait] for name, life, wait in zip(rows, lives, waits, strict=True)},
        },
        "Why slots were freed": {
            "": ["frees", "share", "median life", "never read"],
            **{
                name: [count(number), percent(number / area.frees), medians[name], percent(unread[name] / number)]
                for name, number in sorted(frees.items(), key=lambda item: -item[1])
            },
        },
        "What notifications cost the tasks that free slots": {
            "": ["value"],
            "notifications": [count(notification.counts.sum())],
            "p50": [duration(notification.quantile(0.5))],
            "p99": [duration(notification.quantile(0.99))],
            "longest": [duration(notification.largest)],
            "all together": [duration(notification.total)],
            "share of one CPU": [percent(notification.total / (SECONDS * 1e9))],
            "slot-free path, all together": [duration(path["ns"])],
            "per slot": [duration(path["ns"] / path["slots"])],
            "of it notifications": [duration(notification.total / path["slots"])],
            "their share": [percent(notification.total / path["ns"])],
        },
        "What happened": {
            "": ["count", "rate"],
            **{name: [count(getattr(area, name)), rate(getattr(area, name) / SECONDS)] for name in counts},
            "left_censored": [count(area.left_censored)],
            "live_slots_end": [count(area.live_slots_end)],
        },
        "The driver's statistics, under ramzswap's names": {
            "": ["value"],
            **{
                name: [percent(float(value) / 100) if name.endswith("_pct") else count(value)]  # type: ignore[arg-type]
                for name, value in area.ramzswap.items()
            },
        },
    }  # fmt: skip


# --------------------------------------------------------------------------------------------------------- what is seen


def text_of(report: TraceResult, width: int = 300) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_text(report, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def in_text(said: str, titles: Tables) -> Tables:
    """The tables below those titles: cells are two spaces or more apart."""
    tables: Tables = {}
    lines = said.splitlines()
    for title in titles:
        at = lines.index(title) + 1
        end = next((n for n in range(at, len(lines)) if not lines[n].strip()), len(lines))
        head, _, *rows = lines[at:end]
        tables[title] = {"": cells(head)}
        for row in rows:
            if (found := cells(row))[0] in tables[title] or len(found) == 1:  # a note, which is a sentence
                break
            tables[title][found[0]] = found[1:]
    return tables


def cells(line: str) -> list[str]:
    return re.split(r" {2,}", line.strip())


@pytest.fixture(scope="module", autouse=True)
def no_pictures() -> Iterator[None]:
    """Drawing takes most of a page's time, and has tests of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("swaptrace.report.html.CHARTS", ())
        yield


class Page(HTMLParser):
    """The tables of a page, by the heading before them; cells of words are told apart by their class."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: Tables = {}
        self.classes: dict[tuple[str, str, int], str] = {}
        self._row: list[str] | None = None
        self._title = self._text = ""
        self._skip = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self._row = []
        if tag in ("h3", "td", "th"):
            self._text, self._class = "", str(dict(attrs).get("class") or "")

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "h3":
            self._title = self._text
            self.tables[self._title] = {}
        if tag in ("td", "th") and self._row is not None and self._class != "words":
            self._row.append(self._text.strip())
            self.classes[self._title, self._row[0], len(self._row) - 1] = self._class
        if tag == "tr" and self._row:
            self.tables[self._title][self._row[0]] = self._row[1:]


@pytest.fixture(scope="module")
def page(area: AreaResult, tmp_path_factory: pytest.TempPathFactory) -> Page:
    written = write_html(result(area), tmp_path_factory.mktemp("page"))
    return Page(written.read_text(encoding="utf-8"))


def test_every_cell_in_html(area: AreaResult, page: Page) -> None:
    wanted = expected(area)
    for row in ("left_censored", "live_slots_end"):  # states, which have no rate
        wanted["What happened"][row].append("")
    assert page.tables == wanted
    assert list(page.tables) == list(wanted)  # in that order


def test_every_cell_in_the_terminal(area: AreaResult) -> None:
    wanted = expected(area)
    seen = in_text(text_of(result(area)), wanted)
    for title, rows in wanted.items():
        assert list(seen[title]) == list(rows), title
        for name, row in rows.items():
            assert seen[title][name][: len(row)] == row, (title, name)
            assert len(seen[title][name]) <= len(row) + 1, (title, name)  # the words that explain it


def test_what_agrees_and_what_does_not_is_told_by_colour(page: Page) -> None:
    content = "What the store holds at the end"
    found = {row: page.classes[content, row, 3] for row in page.tables[content] if row}
    assert found == {
        "pages_stored": "apart", "same_pages": "equal", "huge_pages": "", "orig_data_size": "equal",
        "compr_data_size": "apart", "mem_used_total": "equal", "bd_count": "equal", "used_slots": "apart",
    }  # fmt: skip


@pytest.mark.parametrize("shown", [("none",), ("notify", "discard"), ("observed",)])
def test_only_the_policies_that_were_asked_for(area: AreaResult, tmp_path: Path, shown: tuple[str, ...]) -> None:
    chosen = dataclasses.replace(area, shown=shown)
    order = tuple(name for name in area.policies if name in shown)
    wanted = expected(area, order)
    del wanted["What notifications can recover, and what leaked"]  # which compares two policies
    if "none" not in shown:  # whose columns these are
        table = wanted["What if the pool were built otherwise"]
        wanted["What if the pool were built otherwise"] = {name: row[:2] for name, row in table.items()}
    html = Page(write_html(result(chosen), tmp_path).read_text(encoding="utf-8")).tables
    text = in_text(text_of(result(chosen)), wanted)
    assert list(html) == list(wanted)
    for title in (title for title in wanted if "by policy" in title or "What if" in title):
        assert html[title] == wanted[title]
        assert list(text[title]) == list(wanted[title])


def test_only_the_policies_that_were_asked_for_of_those_with_losses(area: AreaResult) -> None:
    """Bounds of the others are not shown either."""
    ranges = {
        f"policies.{name}.stale_slots_end": Range(number, 50 + number) for number, name in enumerate(area.policies)
    }
    lossy = dataclasses.replace(area, ranges=ranges, shown=("notify", "discard"))
    title = "Stale slots and compressed bytes, by policy"
    rows = in_text(text_of(result(lossy)), {title: {}})[title]
    assert rows["notify: slots, end"] == ["3", "53"] and rows["discard: slots, end"] == ["1", "51"]
    assert {name.split(":")[0] for name in rows if name} == {"notify", "discard", "duplicate"}


def test_ages_that_were_recorded(area: AreaResult) -> None:
    """The longest four, with what is not known of older entries; none of what was never in memory."""
    title = "What writing back idle entries would give, by how long they are idle"
    assert area.age is not None
    hours = dataclasses.replace(area.age, span=3601 * 10**9)
    said = text_of(result(dataclasses.replace(area, age=hours)))
    assert list(in_text(said, {title: {}})[title]) == ["", "1 min", "5 min", "15 min", "1 h"]
    for seconds, names in ((1200, ["15.0 s", "1 min", "5 min", "15 min"]), (11, ["937.5 ms", "3.8 s"])):
        shorter = dataclasses.replace(area, age=dataclasses.replace(hours, span=seconds * 10**9))
        assert list(in_text(text_of(result(shorter)), {title: {}})[title]) == ["", *names]
    assert (
        "Of 12 entries from before the recording, it is not known how long they had been idle: that counts from its "
        "start, and of 5 of them no bytes, as their size was not told."
    ) in " ".join(said.split())
    sized = dataclasses.replace(area, age=dataclasses.replace(hours, unsized=0))
    assert "that counts from its start." in " ".join(text_of(result(sized)).split())
    for age in (dataclasses.replace(hours, in_memory=0), dataclasses.replace(hours, span=9 * 10**8), None):
        assert title not in text_of(result(dataclasses.replace(area, age=age)))


# ------------------------------------------------------------------------------------------------------------ sentences


def sentences(report: TraceResult) -> str:
    return " ".join(text_of(report).split())


def test_headlines(area: AreaResult) -> None:
    """The figures, each in its place."""
    none, recovered, leaked = area.policies["none"].stale_compr_bytes, *(
        found["compr_bytes"] for found in (area.recovered, area.leaked)
    )  # fmt: skip
    observed = area.policies["observed"].stale_compr_bytes
    assert recovered is not None and leaked is not None
    live = area.live_compr_bytes_end
    share = percent(none.end / (none.end + live))
    said = sentences(result(area))
    assert (
        f"Stale slots would hold {size(none.end)} ({share} of the store) at the end without slot-free notifications; "
        f"notifications can give back {size(recovered.end)} of it, and {size(recovered.peak)} at the peak, "
        f"but missed {size(leaked.end)} ({size(leaked.peak)} at the peak)."
    ) in said
    nothing = dataclasses.replace(area, leaked={"compr_bytes": Integral(0, 9, 0, 0)}, miss_free=0)
    assert (
        f"at the end without slot-free notifications; notifications gave back {size(recovered.end)} of it, "
        f"and {size(recovered.peak)} at the peak."
    ) in sentences(result(nothing))
    untold = sentences(result(dataclasses.replace(area, notified=False)))
    share = percent(observed.end / (observed.end + live))
    assert (
        f"Stale slots hold {size(observed.end)} ({share} of the store) at the end, for this area gets no slot-free "
        f"notifications; they would give back {size(leaked.end)} of it, and {size(leaked.peak)} at the peak."
    ) in untold


def test_notes(area: AreaResult) -> None:
    said = sentences(result(area))
    twice = area.duplicate_compr_bytes
    assert "The store also holds mkswap's own page, which is no slot: 1 page, 74 B." in said
    assert "zram's own table" not in said
    table = sentences(result(dataclasses.replace(area, table_bytes=3 << 20)))
    assert "74 B. zram's own table of pages takes 3.0 MiB besides, however full it is." in table
    assert (
        f"Duplicates: {size(twice.end)} of live slots were in memory as well ({size(twice.peak)} at the peak)." in said
    )
    assert (
        f"{count(area.policies['observed'].stale_slots_end)} slots leaked at the end; of the first 3, 1 because the "
        "notification found the entry locked, the others because none came. "
        "The first: slot 7, freed 1.5 s after the start."
    ) in said


def test_heading(area: AreaResult) -> None:
    said = text_of(result(area, disk_area()))
    facts = dict(re.findall(r"^  (\w+) +(.+)$", said.split("Stale slots would")[0], re.MULTILINE))
    assert facts == {
        "host": "orion", "kernel": "6.12.57-amd64", "recorded": "2026-03-01 22:14:09 UTC", "duration": "4 min",
        "events": f"1,234,567 ({rate(1_234_567 / SECONDS)})", "lost": "0",
    }  # fmt: skip
    assert "/dev/zram0 (swap type 0)" in said and "/swap.img (swap type 1, activation 2)" in said
    assert "1,000,000 slots on a disk; no slot-free notifications reach it." in said


def test_the_table_of_notifications_says_how_many_were_timed(area: AreaResult) -> None:
    """All together, they take what they would at the mean of those."""
    title = "What notifications cost the tasks that free slots"
    timed = area.notification
    some = dataclasses.replace(area, notify_free=16 * timed.count, free_path=None)
    (rows,) = in_text(text_of(result(some)), {title: {}}).values()
    assert list(rows)[:3] == ["", "notifications", "of them timed"]
    assert rows["notifications"] == [count(16 * timed.count)]
    assert rows["of them timed"] == [count(timed.count)]
    assert rows["longest"] == [duration(timed.largest)]
    assert rows["all together, at the mean of those"] == [duration(16 * timed.total)]
    assert rows["share of one CPU"] == [percent(16 * timed.total / (SECONDS * 1e9))]


def test_the_table_of_notifications_has_what_was_timed(area: AreaResult) -> None:
    """Without the slot-free path if that was not, and none without notifications."""
    title = "What notifications cost the tasks that free slots"
    (rows,) = in_text(text_of(result(dataclasses.replace(area, free_path=None))), {title: {}}).values()
    assert list(rows) == ["", "notifications", "p50", "p99", "longest", "all together", "share of one CPU"]
    silent = dataclasses.replace(area, notification=Histogram(np.zeros_like(area.notification.counts)))
    assert title not in text_of(result(silent))


def test_times_are_told_as_soon_as_one_is_known(area: AreaResult) -> None:
    """Of slots that all are still in use, too, or that all were freed; without either there is no table."""
    zeros = np.zeros_like(area.lifetime.ended)
    nothing, running, over = Survival(zeros, zeros), Survival(zeros, zeros + 1), Survival(zeros + 1, zeros, 5)
    title = "How long slots are in use, and stay free"

    def rows(lifetime: Survival, time_to_reuse: Survival) -> dict[str, list[str]]:
        of = dataclasses.replace(area, lifetime=lifetime, time_to_reuse=time_to_reuse)
        return in_text(text_of(result(of)), {title: {}})[title]

    known = count(len(zeros))
    assert rows(running, nothing)["ended"] == rows(nothing, over)["still running at the end"] == ["0", "0"]
    assert rows(running, nothing)["still running at the end"] == [known, "0"]
    assert rows(nothing, running)["still running at the end"] == ["0", known]
    assert rows(over, nothing)["ended"] == [known, "0"] and rows(nothing, over)["ended"] == ["0", known]
    assert title not in text_of(result(dataclasses.replace(area, lifetime=nothing, time_to_reuse=nothing)))


def test_the_first_sentence_is_of_the_area_with_most_to_recover(area: AreaResult) -> None:
    """Else of the busiest one."""
    less, more = (
        dataclasses.replace(
            area, device=name, stores=stores, recovered={"compr_bytes": Integral(1, peak, 10**9, 10**9)}
        )
        for name, stores, peak in (("/dev/zram7", 9, 10), ("/dev/zram8", 5, 11))
    )
    idle, busy = disk_area("/dev/sda"), dataclasses.replace(disk_area("/dev/sdb"), stores=disk_area().stores + 1)
    for areas, first in (
        ((less, more, busy), "/dev/zram8"), ((more, less), "/dev/zram8"), ((idle, busy), "/dev/sdb"),
        ((busy, idle), "/dev/sdb"),
    ):  # fmt: skip
        assert re.search(r" (/dev/\w+)(?:, activation \d+)?: Stale slots ", sentences(result(*areas)))[1] == first  # type: ignore[index]


def test_damage_is_told_in_its_own_words(area: AreaResult) -> None:
    cut = result(area, complete=False)
    known = dataclasses.replace(cut, trace=cut.trace | {"damage": "the checksum of batch 3 is wrong"})
    assert "THE TRACE IS INCOMPLETE: the checksum of batch 3 is wrong. The figures cover" in sentences(known)
    assert "THE TRACE IS INCOMPLETE: the recorder was stopped before it could finish the file" in sentences(cut)
    assert "INCOMPLETE" not in sentences(result(area))


def test_an_area_of_which_nothing_was_predicted_has_no_headline_of_it(area: AreaResult) -> None:
    """Without the policy none there is nothing to compare with, and nothing is made up."""
    unknown = dataclasses.replace(area, policies={"notify": area.policies["notify"]})
    assert "Stale slots cost no memory that is known of: this area is on zram" in sentences(result(unknown))
