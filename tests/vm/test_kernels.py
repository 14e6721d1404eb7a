"""The table of kernels: what tests may know of them, and which image each of them is. No machine is booted."""

from __future__ import annotations

import ast
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import kernels
import pins
import pytest
from kernels import KERNELS, Feature, Kernel, Part, PrivateApt, SetupError, fetch, of_release, unpinned
from pins import PINS, Package

KERNEL_TESTS = Path(__file__).resolve().parents[1] / "kernel"
VERSION = re.compile(r"\b[4-9]\.\d{1,2}\b")


def strings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Those that a program can act on: all but the docstrings."""
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node


@pytest.mark.parametrize("path", sorted(KERNEL_TESTS.glob("*.py")), ids=lambda path: path.name)
def test_kernel_tests_ask_for_no_version(path: Path) -> None:
    """They ask for what a kernel has (Feature), or for the part of the tests that it runs (Part)."""
    found = [(node.lineno, node.value) for node in strings(ast.parse(path.read_text())) if VERSION.search(node.value)]
    assert found == []


def test_versions_are_noticed() -> None:
    """Or the test above would pass whatever they ask for."""
    tree = ast.parse("""
def f(kernel, release):
    'Up to 6.12.'  # 6.12
    return kernel in ("5.10", "all") or release.startswith("6.1.") or f"linux-7.3" in kernel
""")
    assert [node.value for node in strings(tree) if VERSION.search(node.value)] == ["6.1.", "5.10", "linux-7.3"]


@pytest.mark.parametrize("part", Part)
def test_each_part_runs_on_some_kernel(part: Part) -> None:
    assert any(part in kernel.parts for kernel in KERNELS.values())


@pytest.mark.parametrize("feature", Feature)
def test_features_tell_kernels_apart(feature: Feature) -> None:
    """What all have, or none has, no test needs to ask for."""
    assert len({feature in kernel.has for kernel in KERNELS.values()}) == 2


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=list(KERNELS))
def test_running_kernels_are_known(kernel: Kernel) -> None:
    assert of_release(f"{kernel.release}.0-1-amd64") is kernel


# ----------------------------------------------------------------------------------------------------------------- pins

PINNED, NEWEST = (
    Package("linux-image-6.12.1-amd64", f"6.12.1-{n}", sha256(b"6.12.1-%d" % n).hexdigest()) for n in (1, 2)
)
ROW = KERNELS["6.12"]


def image(version: str, magic: bytes = b"HdrS") -> bytes:
    """The start of one, with what it says of itself."""
    text = f"6.12.1-amd64 (somebody) #1 SMP PREEMPT_DYNAMIC Debian {version} (2026-01-01)".encode()
    start = bytearray(0x1000)
    start[0x202:0x206] = magic
    struct.pack_into("<H", start, 0x20E, 0x800)
    start[0xA00 : 0xA00 + len(text)] = text
    return bytes(start)


@dataclass
class Archive(PrivateApt):
    """In place of apt: what the mirror and the snapshot have."""

    folder: Path
    suite: str
    snapshot: str | None = None
    mirror: str = field(init=False)
    has: ClassVar[dict[str, list[Package]]] = {}

    def __post_init__(self) -> None:
        self.mirror = self.snapshot or "mirror"
        if self.mirror not in self.has:
            raise SetupError(f"{self.mirror} has no {self.suite}", "try another")

    def offers(self, packages: list[Package]) -> bool:
        return set(packages) <= set(self.has[self.mirror])

    def package(self, name: str) -> Package:
        return max(self.has[self.mirror], key=lambda package: package.version)

    def package_names(self, prefix: str) -> list[str]:
        return [package.name for package in self.has[self.mirror]]

    def depends(self, package: str) -> list[str]:
        return []

    def download(self, packages: list[Package]) -> list[Path]:
        self.folder.mkdir()
        (deb := self.folder / "image.deb").write_text(packages[0].version)
        return [deb]


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Package]]:
    """What the archives have: `mirror`, and what the variable names."""

    def unpack(command: list[str], what: str) -> str:
        _, _, deb, root = command
        boot = Path(root, "boot")
        boot.mkdir(parents=True)
        (boot / "vmlinuz-6.12.1-amd64").write_bytes(image(Path(deb).read_text()))
        return ""

    monkeypatch.setattr(pins, "PINS", tmp_path / "pins.toml")
    pins.write({ROW.release: [PINNED]})
    monkeypatch.setattr(kernels, "PrivateApt", Archive)
    monkeypatch.setattr(kernels, "_run", unpack)
    monkeypatch.setattr(kernels, "_complete", lambda root: None)
    monkeypatch.setattr(Archive, "has", {"mirror": [PINNED, NEWEST]})
    monkeypatch.setenv("SWAPTRACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SWAPTRACE_DEBIAN_SNAPSHOT", raising=False)
    return Archive.has


Said = pytest.CaptureFixture[str]


def warnings(said: Said) -> list[str]:
    return [line for line in said.readouterr().err.splitlines() if line.startswith("vm: warning: ")]


def test_each_kernel_is_pinned() -> None:
    pinned = pins.read()
    assert list(pinned) == list(KERNELS)
    for release, packages in pinned.items():
        assert KERNELS[release].image_pattern().fullmatch(packages[0].name)
        assert len({package.version for package in packages}) == 1
        assert all(re.fullmatch("[0-9a-f]{64}", package.sha256) for package in packages)


def test_pins_are_written_as_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = pins.read()
    monkeypatch.setattr(pins, "PINS", tmp_path / "pins.toml")
    pins.write(pinned)
    assert pins.PINS.read_text() == PINS.read_text()


def test_an_image_tells_its_package(tmp_path: Path) -> None:
    for content, version in ((image("6.12.1-1~bpo13+1"), "6.12.1-1~bpo13+1"), (image("1", b"ELF "), ""), (b"", "")):
        (tmp_path / "vmlinuz").write_bytes(content)
        assert pins.image_version(tmp_path / "vmlinuz") == version


def test_the_pinned_image_is_fetched_not_the_newest(archive: dict[str, list[Package]], capsys: Said) -> None:
    assert fetch(ROW).package_version == PINNED.version
    assert warnings(capsys) == []
    archive["mirror"] = []
    assert fetch(ROW, renew=True).package_version == PINNED.version  # nobody is asked again


@pytest.mark.parametrize("mirror", [{"mirror": [NEWEST]}, {}], ids=["package", "whole release"])
def test_a_snapshot_has_what_the_mirror_has_no_more(
    archive: dict[str, list[Package]], mirror: dict[str, list[Package]], monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    archive.clear()
    archive.update({"then": [PINNED], **mirror})
    monkeypatch.setenv("SWAPTRACE_DEBIAN_SNAPSHOT", "then")
    assert fetch(ROW).package_version == PINNED.version
    assert warnings(capsys) == []


def test_a_release_that_has_left_the_mirror_is_an_error_of_set_up(archive: dict[str, list[Package]]) -> None:
    archive.clear()
    with pytest.raises(SetupError, match="mirror has no trixie"):
        fetch(ROW)


def test_the_newest_is_fetched_never_silently(archive: dict[str, list[Package]], capsys: Said) -> None:
    """And said again at each use."""
    archive["mirror"] = [NEWEST]
    assert fetch(ROW).package_version == NEWEST.version
    gone, in_use = warnings(capsys)
    assert (
        f"{PINNED.name} {PINNED.version}, is gone" in gone and f"used instead: {NEWEST.name} {NEWEST.version}" in gone
    )
    assert in_use.startswith(f"vm: warning: {unpinned(ROW)}")
    assert fetch(ROW).package_version == NEWEST.version
    assert warnings(capsys) == [in_use]


def test_a_cached_kernel_that_is_not_the_pinned_one_is_said_and_can_be_replaced(
    archive: dict[str, list[Package]], capsys: Said
) -> None:
    archive["mirror"] = [NEWEST]
    fetch(ROW)
    archive["mirror"] = [PINNED, NEWEST]
    capsys.readouterr()
    assert fetch(ROW).package_version == NEWEST.version
    (said,) = warnings(capsys)
    assert f"in the cache is {NEWEST.version}, not {PINNED.version}" in said and "--fetch" in said
    assert fetch(ROW, renew=True).package_version == PINNED.version
    assert warnings(capsys) == []
    assert unpinned(ROW) == ""


def test_a_cached_kernel_is_kept_where_the_pinned_one_is_gone(archive: dict[str, list[Package]], capsys: Said) -> None:
    archive["mirror"] = [NEWEST]
    fetch(ROW)
    capsys.readouterr()
    newer = replace(NEWEST, version="6.12.1-3")
    archive["mirror"] = [newer]
    assert fetch(ROW, renew=True).package_version == NEWEST.version
    assert "is gone" in warnings(capsys)[0]


def test_a_package_that_was_replaced_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "debs").mkdir()
    apt = PrivateApt.__new__(PrivateApt)
    apt.mirror, apt._folder = "mirror", tmp_path
    monkeypatch.setattr(apt, "_apt", lambda *_, cwd: (cwd / "image.deb").write_text(PINNED.version), raising=False)
    assert apt.download([PINNED]) == [tmp_path / "debs" / "image.deb"]
    with pytest.raises(SetupError, match=rf"{PINNED.name} on mirror has another SHA-256"):
        apt.download([replace(PINNED, sha256="0" * 64)])


def test_pinning_takes_the_newest(archive: dict[str, list[Package]]) -> None:
    """Of the releases that are asked for; the others stay."""
    pins.write({"6.1": [NEWEST], ROW.release: [PINNED]})
    kernels.pin([ROW.release])
    assert pins.read() == {"6.1": [NEWEST], ROW.release: [NEWEST]}
