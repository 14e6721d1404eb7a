"""swaptrace mark"""

from __future__ import annotations

import click


@click.command("mark")
@click.argument("text", nargs=-1, required=True)
def command(text: tuple[str, ...]) -> int:
    """Put a mark with this TEXT into every recording that is going on.

    It is shown in reports and charts, and --since and --until take it.
    """
    from swaptrace.marks import set_mark

    set_mark(" ".join(text))
    return 0
