"""The errors that a user can cause. Each says what is wrong and what to do, and has the exit status of its kind.

They are caught in one place (swaptrace.cli), which prints the two lines to stderr: nothing else prints errors.
"""

from __future__ import annotations

import contextlib
import errno
import sys

#: What a write fails with where there is no room for it, or the disk has a fault.
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def to_stderr(text: str) -> None:
    """Print it there, if anybody listens still: a terminal that was closed is no reason to lose a recording."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


class Problem(Exception):
    """Something is wrong that the user can mend. `what` and `remedy` are one sentence each."""

    exit_status = 1

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


class UsageProblem(Problem):
    """The command line asks for something that cannot be done: exit status 2."""

    exit_status = 2


class EnvironmentProblem(Problem):
    """This machine, kernel or set of rights does not allow it: exit status 3."""

    exit_status = 3


class BadInput(Problem):
    """An input file is not what it should be: exit status 4."""

    exit_status = 4
