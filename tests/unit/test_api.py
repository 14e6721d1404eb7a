"""import swaptrace: a recording as tables, which are those that export writes."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_cli import loaded_by
from test_hostile import REFUSED, changed, write

import swaptrace
from swaptrace.analysis.analysis import Analysis
from swaptrace.api import Recording
from swaptrace.errors import BadInput, Problem, UsageProblem
from swaptrace.export.command import Wanted, export
from swaptrace.report.command import Selection
from swaptrace.results.file import encode
from swaptrace.tables.rows import TABLES
from swaptrace.trace.reader import TraceReader
from tests.data.documents import API
from tests.unit.fixtures import DATA, TRACE

GOLDEN = DATA / "format2" / TRACE
PARTS = [{}, {"since": 20.0, "until": 40.0}, {"devices": ["zram0"]}]


@pytest.mark.parametrize("how", PARTS, ids=str)
def test_tables_are_those_that_export_writes(tmp_path: Path, how: dict[str, object]) -> None:
    recording = swaptrace.open(GOLDEN, **how)  # type: ignore[arg-type]
    selection = Selection(**{name: tuple(value) if isinstance(value, list) else value for name, value in how.items()})  # type: ignore[arg-type]
    export(GOLDEN, Wanted("parquet", tmp_path / "out", selection=selection))
    written = {name: pq.read_table(tmp_path / "out" / f"{name}.parquet") for name in TABLES}
    assert recording.events().read_all().to_pylist() == written["events"].to_pylist()
    for name in ("lifetimes", "series", "areas"):
        frame = getattr(recording, name)()
        assert list(frame.columns) == written[name].column_names
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
        assert len(rows) > 10
        assert rows == [
            {column: pd.Timestamp(value) if column == "time" else value for column, value in row.items()}
            for row in written[name].to_pylist()
        ]


def test_types_are_pandas_own() -> None:
    recording = swaptrace.open(str(GOLDEN))
    lives, areas = recording.lifetimes(), recording.areas()
    assert {str(kind) for kind in lives.dtypes} == {"category", "Int64", "boolean"}
    assert (lives.freed_ns - lives.stored_ns).min() >= 0 and lives.same.any()
    value = areas[(areas.figure == "stores") & (areas.generation == 0)].value
    assert areas.value.dtype == np.float64 and value.tolist() == [1390, 391]
    assert str(recording.series().time.dtype) == "datetime64[ns, UTC]"


def test_events_come_batch_by_batch() -> None:
    """And may be asked for again."""
    recording = swaptrace.open(GOLDEN)
    for _ in range(2):
        reader = recording.events()
        assert isinstance(reader, pa.RecordBatchReader)
        assert sum(batch.num_rows for batch in reader) == sum(len(batch) for batch in TraceReader(GOLDEN))


@pytest.mark.parametrize("since", [20, 20.0, np.float32(20)])
def test_seconds_may_be_any_number(since: float) -> None:
    areas = swaptrace.open(GOLDEN, since=since, until=40).areas()
    pd.testing.assert_frame_equal(areas, swaptrace.open(GOLDEN, since=20.0, until=40.0).areas())


@pytest.mark.parametrize("since", [-1, float("nan"), float("inf"), 1e300])
def test_what_is_no_number_of_seconds(since: float) -> None:
    """At once, not at the first table."""
    with pytest.raises(UsageProblem, match="no number of seconds"):
        swaptrace.open(GOLDEN, since=since)


def test_one_device_may_be_named_alone() -> None:
    alone, listed = (swaptrace.open(GOLDEN, devices=devices).events().read_all() for devices in ("zram0", ["zram0"]))
    assert alone.equals(listed) and alone.num_rows > 100


@pytest.mark.parametrize(
    ("how", "what"), [({"devices": ["nope"]}, "no swap area nope"), ({"since": 1e8}, "nothing was recorded after")]
)
def test_all_tables_refuse_the_same(how: dict[str, Any], what: str) -> None:
    recording = swaptrace.open(GOLDEN, **how)
    for table in (lambda: recording.events().read_all(), recording.lifetimes, recording.areas):
        with pytest.raises(UsageProblem, match=what):
            table()


def test_categories_are_names_that_there_are() -> None:
    """Not what a column of another kind of event would be called: durations, say, as cgroups."""
    events = swaptrace.open(GOLDEN).events().read_all().unify_dictionaries()
    for column in ("cgroup", "process", "flags", "store"):
        table = events[column]
        assert set(table.chunk(0).dictionary.to_pylist()) == set(table.to_pylist()) - {None}, column


def test_header_and_warnings(tmp_path: Path) -> None:
    recording = swaptrace.open(GOLDEN)
    assert recording.header.labels == {"made": "golden"} and recording.warnings() == []
    assert repr(recording) == f"swaptrace.open({str(GOLDEN)!r})"
    cut = tmp_path / "cut"
    cut.write_bytes(GOLDEN.read_bytes()[:60_000])
    assert any("INCOMPLETE" in warning for warning in swaptrace.open(cut).warnings())
    assert 0 < swaptrace.open(cut).events().read_all().num_rows < recording.events().read_all().num_rows


def test_results_have_no_events(tmp_path: Path) -> None:
    reader, path = TraceReader(GOLDEN), tmp_path / "results"
    analysis = Analysis(reader.header)
    for batch in reader:
        analysis.feed(batch)
    path.write_bytes(encode(reader.header, analysis.finish(reader.trailer)))
    recording, whole = swaptrace.open(path), swaptrace.open(GOLDEN)
    pd.testing.assert_frame_equal(recording.series(), whole.series())
    pd.testing.assert_frame_equal(recording.areas(), whole.areas())
    for ask in (recording.events, recording.lifetimes):
        with pytest.raises(UsageProblem, match="holds results, without events"):
            ask()
    with pytest.raises(UsageProblem, match="--since"):
        swaptrace.open(path, since=1).areas()


def test_what_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("nothing of the kind\n")
    for path in (tmp_path / "text", tmp_path / "missing", tmp_path):
        with pytest.raises(BadInput) as raised:
            swaptrace.open(path)
        assert str(path) in raised.value.what and raised.value.remedy
    with pytest.raises(Problem, match="no swap area /dev/none"):
        swaptrace.open(GOLDEN, devices=["/dev/none"]).areas()


@pytest.mark.parametrize(("where", "value", "words"), REFUSED[::5], ids=str)
def test_hostile_files(tmp_path: Path, where: str, value: object, words: str) -> None:
    """Whatever is asked first, it is a BadInput: through Arrow's reader as well."""
    write(tmp_path / "trace", changed(where, value))
    for ask in ("events", "lifetimes", "series", "areas"):
        with pytest.raises(BadInput, match=words):
            found = getattr(swaptrace.open(tmp_path / "trace"), ask)()
            found.read_all() if ask == "events" else None


def test_importing_it_loads_nothing() -> None:
    loaded = loaded_by("swaptrace")
    assert [name for name in loaded if name.startswith("swaptrace")] == ["swaptrace"]
    assert not loaded & {"numpy", "pandas", "pyarrow", "msgspec", "click"}


def test_opening_loads_neither_pandas_nor_the_engine() -> None:
    code = f"import sys, swaptrace; swaptrace.open({str(GOLDEN)!r}).header; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert "pyarrow" in loaded and not loaded & {"pandas", "swaptrace.engine", "swaptrace.report.command"}


def test_it_is_typed() -> None:
    """For others' mypy, too: py.typed is there, and is installed."""
    root = API.parents[1]
    assert (root / "swaptrace/py.typed").exists()
    packaged = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert packaged["swaptrace"] == ["py.typed"]
    asked = [member for name, member in vars(Recording).items() if callable(member) and not name.startswith("_")]
    for function in (swaptrace.open, *asked):
        assert "return" in function.__annotations__


def test_the_documents_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("swap.trace").write_bytes(GOLDEN.read_bytes())
    (code,) = re.findall(r"```python\n(.*?)```", API.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    out = capsys.readouterr().out
    assert out.startswith("6.12") and "/dev/zram0" in out and "exit" in out
    assert names["stores"] == sum(len(batch) for batch in TraceReader(GOLDEN))


def test_what_is_documented_is_there() -> None:
    """Every function and attribute of a recording, and no other."""
    text = API.read_text(encoding="utf-8")
    (table,) = re.findall(r"\| \| gives \|\n(.*?)\n\n", text, re.DOTALL)
    named = {name for line in table.splitlines()[1:] for name in re.findall(r"`(\w+)(?:\(\))?`", line.split("|")[1])}
    recording = swaptrace.open(GOLDEN)
    assert named | {"path"} == {name for name in dir(recording) if not name.startswith("_")}
