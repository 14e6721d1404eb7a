"""The manual's pages, and what completes the commands in bash, zsh and fish: of what click knows of them.

python -m swaptrace.manual PREFIX writes them below PREFIX/share, where shells and man look for them.
"""

from __future__ import annotations

import os
import re
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from swaptrace import version
from swaptrace.cli import cli

_NAME = "swaptrace"
#: Where each shell looks for the completion of a command.
COMPLETIONS = {
    "bash": "bash-completion/completions/swaptrace",
    "zsh": "zsh/site-functions/_swaptrace",
    "fish": "fish/vendor_completions.d/swaptrace.fish",
}


@dataclass(frozen=True)
class Page:
    """What is told of one command. options, commands: (how it is written, what it is), as --help has them.

    sections: by heading, what its help ends with.
    """

    name: str
    summary: str
    usage: str
    paragraphs: list[str]
    options: list[tuple[str, str]]
    commands: list[tuple[str, str]]
    sections: dict[str, str]

    @property
    def file(self) -> str:
        """Its name without the manual's section: `swaptrace-report`."""
        return self.name.replace(" ", "-")


def pages() -> Iterator[Page]:
    """That of swaptrace itself, then one for each command."""
    context = click.Context(cli, info_name=_NAME, **cli.context_settings)
    yield _page(context, cli.help or "", list(cli.summaries.items()))
    for name, summary in cli.summaries.items():
        command = cli.get_command(context, name)
        assert command is not None
        yield _page(click.Context(command, info_name=name, parent=context), summary, [])


def _page(context: click.Context, summary: str, commands: list[tuple[str, str]]) -> Page:
    command = context.command
    records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    ends = (paragraph.partition(": ") for paragraph in _paragraphs(command.epilog))
    return Page(
        name=context.command_path,
        summary=summary,
        usage=" ".join(command.collect_usage_pieces(context)),
        paragraphs=_paragraphs(command.help),
        options=[(written, " ".join(what.split())) for written, what in filter(None, records) if what],
        commands=commands,
        sections={heading: text for heading, _, text in ends},
    )


def _paragraphs(text: str | None) -> list[str]:
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text or "") if part.strip()]


# -- for man


def man(page: Page, others: list[str], date: str) -> str:
    """The page in roff. others: names of the pages to see also."""
    title = f'.TH "{_roff(page.file.upper())}" 1 "{date}" "{_roff(f"{_NAME} {version()}".strip())}" "{_NAME}"'
    summary = page.summary[0].lower() + page.summary[1:].rstrip(".")
    options = [line for written, what in page.options for line in (".TP", _written(written), *_text(what))]
    commands = [line for name, what in page.commands for line in (".TP", rf"\fB{_roff(name)}\fR", *_text(what))]
    sections = {
        "NAME": _text(f"{page.file} - {summary}"),
        "SYNOPSIS": [rf"\fB{_roff(page.name)}\fR {_roff(page.usage)}"],
        "DESCRIPTION": [line for paragraph in page.paragraphs for line in (".PP", *_text(paragraph))][1:],
        "COMMANDS": commands,
        "OPTIONS": options,
        **{heading.upper(): _text(text) for heading, text in page.sections.items()},
        "SEE ALSO": [rf"\fB{_roff(name)}\fR(1)," for name in others[:-1]] + [rf"\fB{_roff(others[-1])}\fR(1)"],
    }
    lines = [line for heading, body in sections.items() if body for line in (f".SH {heading}", *body)]
    return "\n".join([title, *lines, ""])


def _written(option: str) -> str:
    """An option as it is written: itself bold, what it takes in italics."""
    words = [rf"\fB{_roff(word)}\fR" if word.startswith("-") else rf"\fI{_roff(word)}\fR" for word in option.split()]
    return " ".join(words).replace(r",\fR", r"\fR,")


def _text(text: str) -> list[str]:
    """Words, in lines that are not too long to be read."""
    return [_roff(line) for line in textwrap.wrap(text, 72, break_long_words=False, break_on_hyphens=False)]


def _roff(text: str) -> str:
    """Text that is nothing but text to roff."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("~", r"\(ti").replace("^", r"\(ha")
    return rf"\&{text}" if text.startswith((".", "'")) else text


# -- for docs/


def markdown(page: Page) -> str:
    """The page as a section of a document."""
    parts = [f"## {page.name}", f"```text\n{page.name} {page.usage}\n```", *page.paragraphs]
    for heading, rows in (("command", page.commands), ("option", page.options)):
        if rows:
            parts.append("\n".join([f"| {heading} | what |", "|---|---|", *(_row(*row) for row in rows)]))
    return "\n\n".join([*parts, *(f"{heading}: {text}" for heading, text in page.sections.items())]) + "\n"


def _row(written: str, what: str) -> str:
    return "| `{}` | {} |".format(*(cell.replace("|", r"\|") for cell in (written, what)))


# -- for shells


def completion(shell: str) -> str:
    """A script of that shell (a key of COMPLETIONS), which asks swaptrace itself at each TAB."""
    found = get_completion_class(shell)
    assert found is not None
    return found(cli, {}, _NAME, f"_{_NAME.upper()}_COMPLETE").source()


def write(prefix: Path) -> list[Path]:
    """All files below PREFIX/share. Returns them."""
    date = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))
    made = list(pages())
    files = {f"man/man1/{page.file}.1": man(page, [p.file for p in made if p is not page], date) for page in made}
    files |= {place: completion(shell) for shell, place in COMPLETIONS.items()}
    for place, text in files.items():
        path = prefix / "share" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [prefix / "share" / place for place in files]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m swaptrace.manual PREFIX")
    print(*write(Path(sys.argv[1])), sep="\n")
