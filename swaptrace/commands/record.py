"""swaptrace record"""

from __future__ import annotations

from pathlib import Path

import click

from swaptrace.commands.seconds import Seconds


@click.command("record", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Where events go.  [default: swap.trace, or none]"
)
@click.option("-d", "--duration", type=Seconds(zero=False), help="Stop after that many seconds.")
@click.option(
    "--summary",
    is_flag=False,
    flag_value=Path("swap.summary"),
    type=click.Path(path_type=Path),
    metavar="[FILE]",
    help="Keep a file of results up to date, for as long as you like: each minute, on SIGUSR1, and at the end.  "
    "[default: swap.summary]  Without -o, no events are kept.",
)
@click.option("--force", is_flag=True, help="Overwrite the output files.")
@click.option(
    "--ring",
    "ring_mib",
    type=click.IntRange(1, 1024),
    help="Ring buffer, MiB: a power of two.  [default: by memory size]",
)
@click.option("--time-frees", is_flag=True, help="Time the kernel's slot-free path, too (costs a further probe).")
@click.option("--kprobes", is_flag=True, help="Use kprobes even where BPF trampolines, which cost less, would do.")
@click.argument("arguments", metavar="[-- COMMAND ARGS...]", nargs=-1, type=click.UNPROCESSED)
def command(
    output: Path | None,
    duration: float | None,
    summary: Path | None,
    force: bool,
    ring_mib: int | None,
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
    if output is not None and summary is not None and output.absolute() == summary.absolute():
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
        time_frees=time_frees,
        kprobes=kprobes,
    )
