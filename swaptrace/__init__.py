"""swaptrace: how much memory stale swap slots hold, and how much of it slot-free notifications give back."""

from __future__ import annotations


def version() -> str | None:
    """The installed release; None if the package's metadata are not there."""
    from importlib import metadata

    try:
        return metadata.version("swaptrace")
    except metadata.PackageNotFoundError:
        return None
