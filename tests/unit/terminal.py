"""Commands with terminals for their stdout and stderr, as somebody who sits there has them."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

__all__ = ["Screen", "terminal"]

#: What says how a terminal, or who uses it, wants it: nothing of the machine's own gets into a test.
_WISHES = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM")


class Screen:
    """A pseudo-terminal of 80 columns that keeps what is written to it."""

    def __init__(self) -> None:
        self._ours, self.theirs = os.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._parts: list[bytes] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self._ours, 1 << 16)
            except OSError:  # nobody has the other end any more
                return
            self._parts.append(part)

    def text(self) -> str:
        """All of it; the other end is closed."""
        os.close(self.theirs)
        self._reader.join(60)
        os.close(self._ours)
        return b"".join(self._parts).decode().replace("\r\n", "\n")


def terminal(*arguments: object, cwd: Path | None = None, code: str = "", **env: str) -> tuple[int, str, str]:
    """(exit status, what is on stdout's terminal, on stderr's) of swaptrace; of Python code, if there is any."""
    out, err = Screen(), Screen()
    clean = {name: value for name, value in os.environ.items() if name not in (*_WISHES, "COLUMNS", "LINES")}
    command = [sys.executable, *(["-c", code] if code else ["-m", "swaptrace"]), *map(str, arguments)]
    done = subprocess.run(command, stdout=out.theirs, stderr=err.theirs, cwd=cwd, timeout=120,
                          env=clean | {"TERM": "xterm-256color"} | env)  # fmt: skip
    return done.returncode, out.text(), err.text()
