"""swaptrace record"""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from swaptrace.commands.path import NamedPath
from swaptrace.commands.seconds import Seconds

_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?")


def _labels(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """KEY=VALUE, each key once: letters, digits, and . _ / - between them, as in Kubernetes' labels."""
    found: dict[str, str] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not _KEY.fullmatch(key):
            raise click.BadParameter(f"{value!r} is not KEY=VALUE, with letters and digits in KEY")
        if key in found:
            raise click.BadParameter(f"{key} is given twice")
        found[key] = text
    return found


@click.command("record", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("-o", "--output", type=NamedPath(), help="Where events go.  [default: swap.trace, or none]")
@click.option("-d", "--duration", type=Seconds(zero=False), help="Stop after that many seconds.")
@click.option(
    "--summary",
    is_flag=False,
    flag_value=Path("swap.summary"),
    type=NamedPath(),
    metavar="[FILE]",
    help="Keep a file of results up to date, for as long as you like: each minute, on SIGUSR1, and at the end.  "
    "[default: swap.summary]  Without -o, no events are kept.",
)
@click.option("--age", is_flag=True, help="Of --summary: follow how long entries are idle, too.")
@click.option("--force", is_flag=True, help="Overwrite the output files.")
@click.option(
    "--ring",
    "ring_mib",
    type=click.IntRange(1, 1024),
    help="Ring buffer, MiB: a power of two.  [default: by memory size]",
)
@click.option(
    "--label",
    "labels",
    metavar="KEY=VALUE",
    multiple=True,
    callback=_labels,
    help="Say something of the machine or the run, to find it again by: kept in the files.",
)
@click.option(
    "--time-frees",
    is_flag=True,
    help="Time the kernel's slot-free path, and every notification in it (costs a further probe).",
)
@click.option("--kprobes", is_flag=True, help="Use kprobes even where BPF trampolines, which cost less, would do.")
@click.argument("arguments", metavar="[-- COMMAND ARGS...]", nargs=-1, type=click.UNPROCESSED)
def command(
    output: Path | None,
    duration: float | None,
    summary: Path | None,
    age: bool,
    force: bool,
    ring_mib: int | None,
    labels: dict[str, str],
    time_frees: bool,
    kprobes: bool,
    arguments: tuple[str, ...],
) -> int:
    """Record swap events: until COMMAND ends, for a time (-d), or until Ctrl-C.

    Exits with COMMAND's status if that is not 0.
    """
    from swaptrace.tracing.footprint import frugal_arrow

    if output is None and summary is None:
        output = Path("swap.trace")
    if age and summary is None:
        raise click.UsageError("--age is of the results that --summary keeps; of events, swaptrace report --age tells")
    if output is not None and summary is not None and os.path.realpath(output) == os.path.realpath(summary):
        raise click.UsageError(f"events and results cannot both go to {output}: give -o and --summary a file each")
    if ring_mib and ring_mib & (ring_mib - 1):  # which the kernel refuses
        lower = 1 << ring_mib.bit_length() - 1
        raise click.UsageError(f"--ring {ring_mib} is not a power of two: give {lower} or {2 * lower}")
    with frugal_arrow():
        from swaptrace.record.recorder import record
    ring_bytes = ring_mib << 20 if ring_mib else None
    return record(
        output,
        summary,
        arguments,
        duration=duration,
        force=force,
        ring_bytes=ring_bytes,
        labels=labels,
        time_frees=time_frees,
        kprobes=kprobes,
        ages=age,
    )
