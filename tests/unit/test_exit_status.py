"""record's exit status: the command's own, as a shell gives it, and 0 if the recording ended first."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from swaptrace.running import end_of

_ENDED = "command ended"


def ended(code: str) -> subprocess.Popen[bytes]:
    """A process that has come to its end."""
    child = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    child.wait(timeout=60)
    return child


@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_the_commands_own(status: int) -> None:
    assert end_of(ended(f"raise SystemExit({status})"), _ENDED) == status


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGHUP, 129), (signal.SIGABRT, 134), (signal.SIGKILL, 137), (signal.SIGSEGV, 139), (signal.SIGTERM, 143)],
)
def test_that_of_a_command_that_a_signal_killed(number: int, status: int) -> None:
    """128 and the signal's number."""
    no_core = "import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))"
    assert end_of(ended(f"{no_core}; os.kill(os.getpid(), {int(number)})"), _ENDED) == status


def test_a_recording_that_ended_first() -> None:
    """The command is asked to go, and its status is not the recording's."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    begin = time.monotonic()
    assert end_of(child, "duration") == 0
    assert child.poll() is not None and time.monotonic() - begin < 30


def test_ctrl_c_reaches_the_command_too() -> None:
    assert end_of(ended("import os, signal; os.kill(os.getpid(), signal.SIGINT)"), "SIGINT") == 0


def test_without_a_command() -> None:
    assert end_of(None, "duration") is None
