"""The commands that README.md and docs/ tell of: each is a line of a block without a language."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAM = re.compile(r"(?:sudo )?(?:~/swaptrace/bin/|\.venv/bin/)swaptrace(?= )")


def documented() -> list[str]:
    """All of them, each once."""
    return sorted({command for page in PAGES for command in commands(page.read_text(encoding="utf-8"))})


def as_root() -> list[str]:
    """Those that run swaptrace as root, each once, wherever it is installed."""
    found = [command for command in documented() if command.startswith("sudo ") and PROGRAM.match(command)]
    return list({PROGRAM.sub("", command): command for command in found}.values())


def commands(text: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    blocks = [block for language, block in fenced if not language]
    lines = (re.sub(r"\s+# .*", "", line).strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
