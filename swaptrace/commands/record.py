"""swaptrace record"""

from __future__ import annotations

from pathlib import Path

import click

from swaptrace.commands.seconds import Seconds

__all__ = ["command"]


@click.command("record", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("swap.trace"), show_default=True)
@click.option("-d", "--duration", type=Seconds(zero=False), help="Stop after that many seconds.")
@click.option("--force", is_flag=True, help="Overwrite the output file.")
@click.option(
    "--ring",
    "ring_mib",
    type=click.IntRange(1, 1024),
    help="Ring buffer, MiB: a power of two.  [default: by memory size]",
)
@click.option("--time-frees", is_flag=True, help="Time the kernel's slot-free path, too (costs a further probe).")
@click.option("--kprobes", is_flag=True, help="Use kprobes even where BPF trampolines, which cost less, would do.")
@click.option("--summary", is_flag=True, help="Let the kernel add up: no events are kept, memory stays constant.")
@click.argument("arguments", metavar="[-- COMMAND ARGS...]", nargs=-1, type=click.UNPROCESSED)
def command(
    output: Path,
    duration: float | None,
    force: bool,
    ring_mib: int | None,
    time_frees: bool,
    kprobes: bool,
    summary: bool,
    arguments: tuple[str, ...],
) -> int:
    """Record swap events: until COMMAND ends, for a time (-d), or until Ctrl-C.

    Exits with COMMAND's status if that is not 0.
    """
    from swaptrace.live.footprint import frugal_arrow

    if summary and (ring_mib or time_frees):
        raise click.UsageError("--summary keeps no events: neither --ring nor --time-frees goes with it")
    if ring_mib and ring_mib & (ring_mib - 1):  # which the kernel refuses
        lower = 1 << ring_mib.bit_length() - 1
        raise click.UsageError(f"--ring {ring_mib} is not a power of two: give {lower} or {2 * lower}")
    with frugal_arrow():
        from swaptrace.live.recorder import record
    if summary:
        from swaptrace.live.summary import record_summary

        return record_summary(output, arguments, duration=duration, force=force, kprobes=kprobes)
    ring_bytes = ring_mib << 20 if ring_mib else None
    return record(
        output,
        arguments,
        duration=duration,
        force=force,
        ring_bytes=ring_bytes,
        time_frees=time_frees,
        kprobes=kprobes,
    )
