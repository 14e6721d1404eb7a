"""Memory that the kernel refuses, wherever a report asks for it: two lines and a status, and no damage is told."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from swaptrace.cli import main
from tests.unit.fixtures import DATA, TRACE

ERRORS: list[Callable[[], BaseException]] = [
    MemoryError,
    lambda: OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    lambda: pa.ArrowMemoryError("malloc of size 64 failed"),
]
PLACES = {
    "open": "pathlib.Path.open",
    "header": "pyarrow.ipc.open_stream",
    "map": "mmap.mmap",
    "batch": "swaptrace.trace.reader.TraceReader._batch",
    "analysis": "swaptrace.analysis.analysis.Analysis._take_in",
    "write": "pathlib.Path.write_text",
}


@pytest.mark.parametrize("error", ERRORS, ids=["memory", "kernel", "arrow"])
@pytest.mark.parametrize("place", PLACES)
def test_two_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str,
    error: Callable[[], BaseException],
) -> None:  # fmt: skip
    def refuse(*_: Any, **__: Any) -> Any:
        raise error()

    monkeypatch.setattr(PLACES[place], refuse)
    with pytest.raises(SystemExit) as raised:
        main(["report", str(DATA / "6.12" / TRACE), "--format", "json", "-o", str(tmp_path / "out")])
    monkeypatch.undo()
    said = capsys.readouterr().err
    assert raised.value.code == 3
    assert said.splitlines() == [
        "swaptrace: this machine has too little memory for that",
        "free some, or raise the limit (ulimit -v, the memory cgroup's)",
    ]
    assert not (tmp_path / "out").exists()
