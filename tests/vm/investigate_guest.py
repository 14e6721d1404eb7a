"""The guest's side of an investigation. Usage: investigate_guest.py NAME FOLDER: what it finds is in FOLDER then."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    name, folder = sys.argv[1:]
    import_module(f"investigations.{name.replace('-', '_')}_guest").do(Path(folder))
