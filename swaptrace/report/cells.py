"""Names in the cells of CSV files, which spreadsheets open."""

from __future__ import annotations

import re

_FORMULA = "=+-@＝＋－＠"  # noqa: RUF001  # spreadsheets take the wide ones for the same
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def safe(text: str) -> str:
    """A cell's text: without what is more than text to a spreadsheet or a terminal."""
    escaped = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return f"'{escaped}" if escaped.lstrip().startswith(tuple(_FORMULA)) else escaped
