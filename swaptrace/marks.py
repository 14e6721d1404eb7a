"""Marks: what somebody wants to find again in a recording that goes on. Recorders listen, and `swaptrace mark` tells
all of them.

Each recorder has a socket of its own in a folder that only root writes to, and which its owner, too, may write to: who
called sudo. A message is the text; the answer comes when the mark has its time, so that what is done after
`swaptrace mark` is after it in the recording.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path

from swaptrace.errors import EnvironmentProblem, UsageProblem
from swaptrace.events import Mark

FOLDER = Path("/run/swaptrace")
#: Of a text, bytes; and of a recording, marks: they are kept in memory, and drawn in charts.
LONGEST, MOST = 200, 1000
_FULL = "full"
_PATIENCE = 5.0  # seconds: a recorder looks about ten times a second
_HURRY, _AT_ONCE = 0.02, 8  # seconds that a recorder waits for a text, and how many it takes between two looks


class Listener:
    """A recorder's end. Use: `with Listener() as listener`, then take() again and again.

    why_not: why nobody can set marks, a sentence; None if all is well. A recording does without.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._path = folder / f"record-{os.getpid()}"
        self._socket: socket.socket | None = None
        self._taken = 0
        self.why_not: str | None = None

    def __enter__(self) -> Listener:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)  # of an earlier process with this number
            old = os.umask(0o177)
            try:
                listening.bind(str(self._path))
            finally:
                os.umask(old)
            owner = os.environ.get("SUDO_UID", "")
            if os.geteuid() == 0 and owner.isdecimal():
                os.chown(self._path, int(owner), -1)
            listening.listen()
        except OSError as error:
            listening.close()
            self.why_not = f"marks cannot be set: {self._path}: {error.strerror or error}"
        else:
            self._socket = listening
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            with contextlib.suppress(OSError):
                self._path.unlink()

    def take(self) -> tuple[Mark, ...]:
        """The marks that were set since the last call, in order; does not wait."""
        found: list[Mark] = []
        while len(found) < _AT_ONCE and (peer := self._next()) is not None:
            with peer, contextlib.suppress(OSError):  # who has gone meanwhile, or says nothing
                peer.settimeout(_HURRY)
                text = as_mark(peer.recv(4 * LONGEST).decode(errors="replace"))
                if text and self._taken < MOST:
                    found.append(Mark(time.clock_gettime_ns(time.CLOCK_MONOTONIC), text))
                    self._taken += 1
                    peer.send(b"set")
                else:
                    peer.send(_FULL.encode())
        return tuple(found)

    def _next(self) -> socket.socket | None:
        if self._socket is None:
            return None
        try:
            return self._socket.accept()[0]
        except OSError:  # nobody, or one who has gone
            return None


def as_mark(text: str) -> str:
    """A text as it is kept: one line, and no longer than LONGEST bytes."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line.encode(errors="replace")[:LONGEST].decode(errors="ignore")


def set_mark(text: str, folder: Path = FOLDER) -> int:
    """Put a mark into every recording that this user may; in how many.

    Raises UsageProblem for a text of nothing, EnvironmentProblem if there is no recording, or none takes it.
    """
    wanted = as_mark(text)
    if not wanted:
        raise UsageProblem("a mark needs a text", 'give one: swaptrace mark "the build begins"')
    answers = [_told(path, wanted) for path in sorted(folder.glob("record-*"))]
    told = [answer for answer in answers if answer is not None]
    if told.count("set"):
        return told.count("set")
    if _FULL in told:
        raise EnvironmentProblem(f"the recording has {MOST} marks already", "start another recording")
    if "refused" in told:
        raise EnvironmentProblem(
            "the recording is another user's", "run this as who started it, or as root: sudo swaptrace mark ..."
        )
    if "late" in told:
        raise EnvironmentProblem(
            f"the recorder did not answer within {_PATIENCE:g} s", "try again, or see whether it still runs"
        )
    raise EnvironmentProblem("no recording is going on", "start one: sudo swaptrace record")


def _told(path: Path, text: str) -> str | None:
    """A recorder's answer; None if there is none any more: what a killed one left."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
        peer.settimeout(_PATIENCE)
        try:
            peer.connect(str(path))
            peer.send(text.encode())
            return peer.recv(16).decode(errors="replace") or None
        except PermissionError:
            return "refused"
        except TimeoutError:
            return "late"
        except OSError:
            return None
