"""swaptrace audit"""

from __future__ import annotations

import click

from swaptrace.commands.exact import bytes_option
from swaptrace.commands.seconds import Seconds
from swaptrace.units import exact_bytes


@click.command("audit")
@click.option(
    "--trace", "seconds", type=Seconds(zero=False), metavar="SECONDS",
    help="Trace for that long first: exact figures of what was freed and became stale. Needs root.",
)  # fmt: skip
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@bytes_option
def command(seconds: float | None, form: str, exact: bool) -> int:
    """Tell whether this machine's swap areas keep stale data in memory, why, and what to do.

    Changes nothing. Exit status 0 if all is well, 1 if something should be mended, 3 if it cannot be told here.
    """
    import json

    from swaptrace.audit.audit import audit

    with exact_bytes(exact):
        result = audit(seconds)
        if form == "json":
            from swaptrace.audit.as_json import as_json

            print(json.dumps(as_json(result), indent=1, allow_nan=False))
        else:
            from swaptrace.audit.text import print_audit
            from swaptrace.console import Console

            print_audit(result, Console())
    return 0 if result.clean else 1
