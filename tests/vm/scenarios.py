"""What all programs that run in a guest share: recordings, waiting, one thing after another."""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from multiprocessing.context import ForkProcess
from pathlib import Path

from swaptrace import cli
from swaptrace.record import recorder  # noqa: F401  (so that a fork of this process has it loaded)
from swaptrace.tracing.programs import compile_programs, import_bcc

SWAPTRACE = [sys.executable, "-m", "swaptrace"]


@cache
def warm_up() -> None:
    """Load BCC and its compiler into this process, once."""
    compile_programs(import_bcc(), "int nothing(void *context) { return 0; }").cleanup()


@contextlib.contextmanager
def recording(
    folder: Path, *options: str, trace: Path | None = None, results: Path | None = None
) -> Iterator[ForkProcess]:
    """`swaptrace record` into FOLDER/trace, until this is left, and results into a file, if one is given.

    record.err has what it says, record.status its status.

    The recorder is a fork of this process, which has loaded all that it needs: in an emulated guest, that takes a new
    process longer than all the rest. How a user starts it, other scenarios try.
    """
    warm_up()
    log = folder / "record.err"
    log.unlink(missing_ok=True)  # that of a recording before this one says the same
    summary = ["--summary", str(results)] if results is not None else []
    arguments = ["record", "-o", str(trace or folder / "trace"), *summary, *options]
    process = mp.get_context("fork").Process(target=run_logged, args=(log, arguments))
    process.start()
    assert process.pid is not None
    wait_for(lambda: says(log, "recording to") or not process.is_alive())
    try:
        yield process
    finally:
        if process.is_alive():
            os.kill(process.pid, signal.SIGINT)
        process.join(120)
        (folder / "record.status").write_text(str(process.exitcode))


def run_logged(log: Path, arguments: list[str]) -> None:
    """The command line, in this process, which it ends; what it says is in the log."""
    with log.open("w") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    cli.main(arguments)


def in_a_process(do: Callable[[], object]) -> None:
    """Do it in a fork of this process, and wait for its end. Raises RuntimeError if it fails."""
    process = mp.get_context("fork").Process(target=do)
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{do}: exit status {process.exitcode}")


def wait_for(condition: Callable[[], bool], seconds: float = 240, what: str = "the recorder did not start") -> None:
    """Raises TimeoutError, which says `what`, if the condition does not come true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.1)


def says(path: Path, text: str) -> bool:
    """Whether a file on a shared folder holds that text already."""
    try:
        return text in path.read_text()
    except OSError:  # 9p may say so of a file that grows between two looks at its size
        return False


def run_all(names: Iterable[str], things: Mapping[str, Callable[[], None]]) -> None:
    """Do the named things (all of them if there are no names), and say how long each took.

    One that fails does not keep the others from being done; in the end, the program fails.
    """
    failed = []
    for name in names or things:
        start = time.monotonic()
        try:
            things[name]()
        except Exception:
            traceback.print_exc()
            failed.append(name)
        print(f"{name}: {time.monotonic() - start:.1f} s", flush=True)
    if failed:
        sys.exit(f"failed: {' '.join(failed)}")
