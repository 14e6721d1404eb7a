"""swaptrace: how much memory stale swap slots hold, and how much of it slot-free notifications give back.

As a library: `swaptrace.open("x.swaptrace")`, see docs/api.md. Importing this loads nothing else of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from swaptrace.api import Recording

__all__ = ["open", "version"]


def version() -> str | None:
    """The installed release; None if the package's metadata are not there."""
    from importlib import metadata

    try:
        return metadata.version("swaptrace")
    except metadata.PackageNotFoundError:
        return None


def open(
    path: str | os.PathLike[str],
    *,
    since: float | str | None = None,
    until: float | str | None = None,
    devices: Sequence[str] = (),
) -> Recording:
    """A recording, to be read as tables: of a trace, or of a file of results.

    since and until: only this part of it: seconds after its start, a time ("14:05"), or a mark. devices: only these
    swap areas (/dev/zram0) or stores (zram0). Raises swaptrace.errors.BadInput (a Problem, with `what`
    and `remedy`) for what is no recording.
    """
    from pathlib import Path

    from swaptrace.api import Recording

    return Recording(Path(path), since=since, until=until, devices=devices)
