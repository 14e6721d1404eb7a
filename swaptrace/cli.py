"""The command line: one module per command in swaptrace.commands, imported when that command is called."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from swaptrace import version
from swaptrace.errors import NO_ROOM, EnvironmentProblem, Problem, to_stderr
from swaptrace.stopping import Stopped

#: What each command does, in one sentence.
_COMMANDS = {
    "check": "Tell whether this kernel can be traced, how, and what is missing.",
    "selftest": "Swap a private workload through a spare zram device and compare with the kernel's counters.",
    "record": "Record swap events to a trace file.",
    "mark": "Put a mark into a recording that is going on.",
    "report": "Report what a trace says: text, JSON, or charts in an HTML page.",
    "diff": "Compare two recordings, or several runs of each: what has changed, and by how much.",
    "export": "Write a recording as Parquet, CSV, a Perfetto trace or OpenMetrics.",
    "audit": "Judge this machine's swap areas: what is stale, why, and what to do about it.",
}


class _ReaderGone(Exception):
    """Who reads the output has closed it (`| head`). No OSError: of those click says by itself that it failed."""


@contextlib.contextmanager
def _output() -> Iterator[None]:
    """All that is printed here has reached its reader at the end.

    Raises _ReaderGone where there is none any more, EnvironmentProblem where there is no room for it.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise _ReaderGone from None
    except OSError as error:
        if error.errno not in NO_ROOM or error.filename is not None:  # some other file's
            raise
        _print_nothing_more()
        raise EnvironmentProblem(
            f"cannot write the output: {error.strerror}", "free some room there, or write to another place"
        ) from None


def _print_nothing_more() -> None:
    """What is still to be written, Python writes at its end: not to where that failed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Commands(click.Group):
    """Loads a command's module only when it is called: --help and usage errors stay instant."""

    summaries = _COMMANDS

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        with _output():  # --help prints here
            return super().make_context(*arguments, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _output():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"swaptrace.commands.{cmd_name}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"swaptrace, version {version() or '(not known: its package has no metadata)'}")
        ctx.exit()


_ENDS = """
Exit status: 0 fine, 1 the command's own negative answer, 2 wrong usage, 3 this machine cannot do it (not root, no
kprobes, no BCC), 4 not a readable trace.

Environment: NO_COLOR, if it is not empty, takes the colours from what is printed; TZ is the zone of times.
"""


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_ENDS)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """How much memory do stale swap slots hold, and how much of it do slot-free notifications give back?"""


def _open_streams() -> None:
    """Where stdin, stdout or stderr is closed (`>&-`), it is /dev/null: what is opened next would take its place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def _no_memory() -> int:
    """Says so on stderr. Returns the exit status: the machine cannot do it."""
    to_stderr(
        "swaptrace: this machine has too little memory for that\n"
        "free some, or raise the limit (ulimit -v, the memory cgroup's)"
    )
    return EnvironmentProblem.exit_status


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; the only place that prints errors and chooses exit statuses."""
    _open_streams()
    try:
        status = cli.main(arguments, prog_name="swaptrace", standalone_mode=False)
    except click.ClickException as error:
        with contextlib.suppress(OSError):
            error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):  # before signals() has taken over, or after it
        status = 130
    except Stopped as stopped:
        to_stderr(f"swaptrace: stopped by {stopped.name}")
        status = stopped.exit_status
    except Problem as problem:
        to_stderr(f"swaptrace: {problem.what}\n{problem.remedy}")
        status = problem.exit_status
    except MemoryError:
        status = _no_memory()
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        status = _no_memory()
    except _ReaderGone:  # it has what it wanted
        _print_nothing_more()
        status = 0
    sys.exit(status)
