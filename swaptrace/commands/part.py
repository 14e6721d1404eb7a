"""--since, --until and --device, of the commands that read recordings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from swaptrace.commands.seconds import Moment

_since = click.option(
    "--since",
    type=Moment(zero=True),
    help="Count only from then on: seconds after the start, a time (14:05, 2026-03-01 14:05:30), or a mark.",
)
_until = click.option("--until", type=Moment(zero=False), help="Stop then.")
_device = click.option(
    "--device", "devices", multiple=True, help="Only that swap area (/dev/zram0) or store (zram0); repeatable."
)


def part_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What part of a recording: called with since, until (float | str | None) and devices, as Selection has them."""
    return _since(_until(_device(command)))
