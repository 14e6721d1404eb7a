"""Marks: from whoever sets one to the recorder, into the file, and out of it again as a moment."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from swaptrace import marks
from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Store
from swaptrace.cli import cli
from swaptrace.errors import EnvironmentProblem, UsageProblem
from swaptrace.events import EventBatch, Mark, empty
from swaptrace.marks import LONGEST, Listener, as_mark, set_mark
from swaptrace.record.recorder import Marked
from swaptrace.report.as_json import as_json
from swaptrace.report.charts import CHARTS
from swaptrace.report.command import Selection, analyse
from swaptrace.report.html import write_html
from swaptrace.report.plot import Plot, Rule
from swaptrace.report.words import heading
from swaptrace.results.file import encode, read_results
from swaptrace.running import run
from swaptrace.stopping import Stop
from swaptrace.trace.reader import TraceReader
from swaptrace.trace.stream import StreamFile
from swaptrace.trace.writer import TraceWriter
from tests.unit.builders import START, batch, free, header, store, trailer, zram_area
from tests.unit.test_running import Source

HEADER = header([zram_area("/dev/zram0", 0, 64, 0)], [Store(0, "zram0", 64, counters={"pages_stored": 0})])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(marks, "_PATIENCE", 0.3)
    return tmp_path / "run"


def told(listener: Listener, do: Callable[[], object]) -> tuple[list[Mark], object]:
    """What the recorder takes while that is done beside it, and what comes of it."""
    done: list[object] = []

    def beside() -> None:
        try:
            done.append(do())
        except Exception as error:
            done.append(error)

    thread = threading.Thread(target=beside)
    thread.start()
    taken: list[Mark] = []
    while thread.is_alive():
        taken += listener.take()
        thread.join(0.01)
    return taken, done[0]


def test_a_recorder_is_told(folder: Path) -> None:
    with Listener(folder) as listener:
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        taken, number = told(listener, lambda: set_mark("the build begins", folder))
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        assert number == 1
        assert [mark.text for mark in taken] == ["the build begins"]
        assert before < taken[0].time < after
        assert listener.take() == ()
    assert list(folder.iterdir()) == []


def test_only_its_owner_may(folder: Path) -> None:
    with Listener(folder):
        (path,) = folder.iterdir()
        assert path.stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o022 == 0


def test_who_called_sudo_owns_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owned: list[tuple[int, int]] = []
    monkeypatch.setenv("SUDO_UID", "1234")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, user, group: owned.append((user, group)))
    with Listener(folder):
        assert owned == [(1234, -1)]


def test_nothing_is_recorded(folder: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="no recording is going on"):
        set_mark("here", folder)


def test_a_killed_recorder_has_left_its_socket(folder: Path) -> None:
    with Listener(folder) as listener:
        assert listener._socket is not None
        listener._socket.close()
        with pytest.raises(EnvironmentProblem, match="no recording is going on"):
            set_mark("here", folder)
        with Listener(folder) as next_one:  # of the same number
            assert next_one.why_not is None


def test_a_recorder_that_does_not_answer(folder: Path) -> None:
    with Listener(folder), pytest.raises(EnvironmentProblem, match="did not answer"):
        set_mark("here", folder)


def test_a_text_of_nothing(folder: Path) -> None:
    with pytest.raises(UsageProblem, match="needs a text"):
        set_mark(" \n\t ", folder)


def test_there_is_an_end_to_marks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "MOST", 2)
    with Listener(folder) as listener:
        for _ in range(2):
            assert told(listener, lambda: set_mark("again", folder))[1] == 1
        taken, error = told(listener, lambda: set_mark("again", folder))
        assert taken == []
        assert "2 marks already" in str(error)


def test_where_nobody_can_listen_recording_goes_on(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with Listener(tmp_path / "run") as listener:
        assert "marks cannot be set" in str(listener.why_not)
        assert listener.take() == ()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("plain", "plain"),
        ("  two\n lines\t", "two lines"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("ä" * 300, "ä" * (LONGEST // 2)),
        ("a" + "ä" * 300, "a" + "ä" * ((LONGEST - 1) // 2)),  # no half letters
        ("\udcff", ""),
    ],
)
def test_texts(text: str, kept: str) -> None:
    assert as_mark(text) == kept


def test_the_loop_hands_marks_on() -> None:
    """With what the source has at that moment, and at the end, too."""

    class Asked(Listener):
        def __init__(self) -> None:
            self.left = [(), (Mark(START + 5, "one"),), (), (Mark(START + 9, "two"),)]

        def take(self) -> tuple[Mark, ...]:
            return self.left.pop(0)

    seen: list[EventBatch] = []
    stop = Stop()
    sink = Analysis(HEADER)
    sink.feed = seen.append  # type: ignore[method-assign]
    run(Marked(Source(stop), Asked()), [sink], stop)
    assert [[mark.text for mark in batch.marks] for batch in seen] == [[], ["one"], [], ["two"], [], []]
    assert [len(batch) for batch in seen] == [1, 1, 1, 0, 1, 1]


MARKS = (Mark(START + 2_000_000_000, "begin"), Mark(START + 6_000_000_000, "end"), Mark(START + 8_000_000_000, "begin"))


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Ten seconds; a page is stored in each of the first eight, the first is freed in the ninth."""
    writer = TraceWriter(tmp_path / "trace", HEADER)
    for second in range(8):
        mine = tuple(mark for mark in MARKS if mark.time == START + second * 10**9)
        stored = batch([store(START + second * 10**9 + 1, 0, 1 + second, 100)])
        writer.feed(EventBatch(stored.events, marks=mine))
    writer.feed(EventBatch(empty(), marks=MARKS[2:]))  # nothing else has happened
    writer.feed(batch([free(START + 8_500_000_000, 0, 1)]))
    writer.close(trailer(START + 10 * 10**9))
    return tmp_path / "trace"


def test_marks_are_kept_and_shown(recorded: Path) -> None:
    assert tuple(mark for batch in TraceReader(recorded) for mark in batch.marks) == MARKS
    result = analyse(recorded)
    shown = [{"time_s": 2.0, "text": "begin"}, {"time_s": 6.0, "text": "end"}, {"time_s": 8.0, "text": "begin"}]
    assert as_json(result)["trace"]["marks"] == shown
    assert dict(heading(result))["marks"] == "2.0 s begin, 6.0 s end, 8.0 s begin"


def test_results_keep_them(recorded: Path, tmp_path: Path) -> None:
    result = analyse(recorded)
    (tmp_path / "results").write_bytes(encode(HEADER, result))
    assert read_results(StreamFile(tmp_path / "results")).trace["marks"] == result.trace["marks"]


@pytest.mark.parametrize(
    ("since", "until", "stores", "marked"),
    [
        ("begin", None, 6, ["begin", "end", "begin"]),
        (None, "end", 6, ["begin", "end"]),
        ("begin", "end", 4, ["begin", "end"]),
        ("mark:begin", 5.0, 3, ["begin"]),
        ("end", None, 2, ["end", "begin"]),
    ],
    ids=str,
)
def test_from_mark_to_mark(
    recorded: Path, since: str | float | None, until: str | float | None, stores: int, marked: list[str]
) -> None:
    result = analyse(recorded, Selection(since=since, until=until))
    assert result.areas[0].stores == stores
    assert [mark["text"] for mark in result.trace["marks"]] == marked


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--since", "nowhere"], 'its marks: "begin", "end"'),
        (["--since", "end", "--until", "begin"], "nothing lies between them"),
        (["--since", ""], "empty"),
        (["--since", "25:00"], "no such time"),
        (["--until", "2020-01-01"], "nor a mark of the recording"),
        (["--until", "2020-01-01 12:00"], "before the recording began"),
        (["--since", "2030-01-01 12:00"], "nothing was recorded after"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_moments_that_are_none(recorded: Path, options: list[str], said: str) -> None:
    result = CliRunner().invoke(cli, ["report", str(recorded), *options])
    assert result.exit_code == 2 or isinstance(result.exception, UsageProblem)
    problem = result.exception
    assert said in (f"{problem.what} {problem.remedy}" if isinstance(problem, UsageProblem) else result.output)


@pytest.fixture
def in_newfoundland(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The recording began there on 2023-11-14 at 18:43:20 (UTC: 22:13:20)."""
    monkeypatch.setenv("TZ", "NST3:30NDT,M3.2.0,M11.1.0")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("since", "stores"),
    [
        ("18:43", 8), ("18:43:20", 8), ("18:43:25", 3), ("18:43:24.5", 3), ("2023-11-14 18:43:25", 3),
        ("2023-11-14T18:43:25", 3), ("22:13:25Z", 3), ("2023-11-14T23:13:25+01:00", 3), ("2023-11-14 18:43", 8),
    ],
)  # fmt: skip
def test_times_of_a_clock(recorded: Path, in_newfoundland: None, since: str, stores: int) -> None:
    """Local ones, unless they name a zone."""
    assert analyse(recorded, Selection(since=since)).areas[0].stores == stores


@pytest.mark.parametrize("since", ["9:00", "18:42"])
def test_a_time_that_comes_after_the_end(recorded: Path, in_newfoundland: None, since: str) -> None:
    """The first such time since the start is beyond the recording: that of the day before is not meant."""
    with pytest.raises(UsageProblem, match=f"nothing was recorded after --since {since}: the recording is 10.0 s long"):
        analyse(recorded, Selection(since=since))


def test_a_time_of_the_next_day(tmp_path: Path, in_newfoundland: None) -> None:
    """Of a recording that began at 23:59:58: 0:00:02 is four seconds later."""
    began = HEADER.start_realtime + (5 * 3600 + 16 * 60 + 38) * 10**9
    writer = TraceWriter(tmp_path / "trace", header(HEADER.start.areas, HEADER.start.stores, start_realtime=began))
    writer.feed(batch([store(START + second * 10**9 + 1, 0, 1 + second, 100) for second in range(8)]))
    writer.close(trailer(START + 10 * 10**9))
    assert analyse(tmp_path / "trace", Selection(since="0:00:02")).areas[0].stores == 4


def rules(plot: Plot) -> list[list[tuple[float, str]]]:
    return [[(mark.at, mark.label) for mark in panel.marks if isinstance(mark, Rule)] for panel in plot.panels]


def test_charts_show_them_where_it_is_about_time(recorded: Path) -> None:
    """In the unit of the axis; and nowhere else."""
    area, marks = analyse(recorded).areas[0], [(2.0, "begin"), (6.0, "end"), (11.0, "too late"), (-1.0, "too early")]
    seen = set()
    for chart in CHARTS:
        before, after = chart.plot(area), chart.plot(area).marked(marks)
        for panel, plain, found in zip(after.panels, rules(before), rules(after), strict=True):
            timely = panel.x.together
            seen.add(timely)
            assert found == plain + ([(2.0, "begin"), (6.0, "end")] if timely else [])
            assert not timely or panel.x.label == "seconds since the start"
    assert seen == {True, False}


@pytest.mark.parametrize(("seconds", "at"), [(0.05, 50.0), (590.0, 590.0), (600.0, 10.0), (3 * 3600.0, 3.0)])
def test_a_mark_at_the_end_of_any_axis(recorded: Path, seconds: float, at: float) -> None:
    area = analyse(recorded).areas[0]
    longer = replace(
        area, series=replace(area.series, time=np.linspace(1, seconds * 1e9, len(area.series.time)).astype(int))
    )
    (content,) = (chart for chart in CHARTS if chart.name == "content")
    found = rules(content.plot(longer).marked([(seconds, "last")]))
    assert ("last" in {label for each in found for _, label in each}) and found[0][-1][0] == pytest.approx(at)


def test_the_page_shows_them(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a part lie after the beginning of that part."""
    drawn: dict[str, Plot] = {}
    monkeypatch.setattr("swaptrace.report.interactive.embedded", lambda plots: drawn.update(plots) or "")
    write_html(analyse(recorded, Selection(since=4.0)), tmp_path / "page")
    timely = [rules(plot)[0] for plot in drawn.values() if plot.panels[0].x.together]
    assert timely and all(found[-2:] == [(2.0, "end"), (4.0, "begin")] for found in timely)
