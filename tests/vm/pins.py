"""Which images are booted: packages with version and SHA-256, so that a checkout finds the same ones a year later.

The table is pins.toml; ``python tests/vm/kernels.py --pin`` writes it anew.
"""

from __future__ import annotations

import re
import struct
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

__all__ = ["PINS", "Package", "differing", "image_version", "read", "write"]

PINS = Path(__file__).with_name("pins.toml")

_HEADING = """\
# The packages of each kernel that is booted, its image first. Written by: python tests/vm/kernels.py --pin
"""
_REAL_MODE = 1 << 16  # bytes of an image, of which the first part tells of the rest


@dataclass(frozen=True)
class Package:
    """A .deb: its name, its version and the SHA-256 of the file."""

    name: str
    version: str
    sha256: str


def read() -> dict[str, list[Package]]:
    """The packages of each release, its image first."""
    table = tomllib.loads(PINS.read_text(encoding="utf-8"))
    return {release: [Package(**row) for row in rows] for release, rows in table.items()}


def write(pins: Mapping[str, Sequence[Package]]) -> None:
    """The table for read()."""
    rows = [
        f'\n[["{release}"]]\nname = "{package.name}"\nversion = "{package.version}"\nsha256 = "{package.sha256}"\n'
        for release, packages in pins.items()
        for package in packages
    ]
    PINS.write_text(_HEADING + "".join(rows), encoding="utf-8")


def differing(debs: Sequence[Path], packages: Sequence[Package]) -> list[str]:
    """Names of packages whose file is not among these."""
    found = {sha256(deb.read_bytes()).hexdigest() for deb in debs}
    return [package.name for package in packages if package.sha256 not in found]


def image_version(image: Path) -> str:
    """The version of the package that an x86 image comes from; empty if it does not tell.

    Its header has the place of a text with all that `uname -v` says (Documentation/arch/x86/boot.rst of the kernel's
    sources, kernel_version).
    """
    with image.open("rb") as file:
        start = file.read(_REAL_MODE)
    if start[0x202:0x206] != b"HdrS":
        return ""
    place = struct.unpack_from("<H", start, 0x20E)[0] + 0x200
    found = re.search(r"Debian (\S+)", start[place : start.find(b"\0", place)].decode(errors="replace"))
    return found[1] if found else ""
