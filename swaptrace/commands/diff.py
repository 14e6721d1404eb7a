"""swaptrace diff"""

from __future__ import annotations

from pathlib import Path

import click

from swaptrace.commands.part import part_options
from swaptrace.commands.path import NamedPath
from swaptrace.errors import UsageProblem

_BETWEEN = "\0"  # in no argument of a process


class _TwoSides(click.Command):
    """One whose arguments may have a `--` between them; options are read on both sides of it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [_BETWEEN if argument == "--" else argument for argument in args])


@click.command("diff", cls=_TwoSides)
@click.argument("recordings", nargs=-1, required=True, metavar="A... [--] B...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "html"]),
    default="text",
    show_default=True,
)
@click.option("-o", "--output", type=NamedPath(), help="File (-: stdout).")
@part_options
@click.option("--all", "everything", is_flag=True, help="Show figures that have not changed, too.")
def command(
    recordings: tuple[str, ...],
    form: str,
    output: Path | None,
    since: float | str | None,
    until: float | str | None,
    devices: tuple[str, ...],
    everything: bool,
) -> int:
    """What has changed from A to B, per page stored and per second: two recordings, or files of results.

    With several runs of a side, put -- between the sides (A1 A2 A3 -- B1 B2 B3): then their spread is known, and a
    difference inside of it is called none.
    """
    from swaptrace.diff.command import diff
    from swaptrace.report.command import Selection

    a, b = _sides(recordings)
    diff(a, b, form, output, Selection(since, until, devices), everything)
    return 0


def _sides(recordings: tuple[str, ...]) -> tuple[list[Path], list[Path]]:
    """The files of each side."""
    if _BETWEEN not in recordings:
        if len(recordings) != 2:
            raise UsageProblem(
                f"which of these {len(recordings)} files are on which side?" if len(recordings) > 2
                else "there is but one file: nothing to compare it with",
                "give two files, or several with -- between the sides: A1 A2 -- B1 B2",
            )  # fmt: skip
        return [Path(recordings[0])], [Path(recordings[1])]
    cut = recordings.index(_BETWEEN)
    a, b = recordings[:cut], recordings[cut + 1 :]
    if not a or not b or _BETWEEN in b:
        raise UsageProblem("-- has to be once between two sides", "give files before and after it: A1 A2 -- B1 B2")
    return [*map(Path, a)], [*map(Path, b)]
