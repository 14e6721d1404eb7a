"""Which zram devices a selftest that was killed has left."""

from __future__ import annotations

from pathlib import Path

import pytest

from swaptrace.record.spare import LABEL, label_of, leftovers

PAGE = 4096


def swap_page(label: bytes) -> bytes:
    page = bytearray(PAGE)
    page[1052 : 1052 + len(label)] = label
    page[-10:] = b"SWAPSPACE2"
    return bytes(page)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("swaptrace.machine.sysfs.PAGE_SIZE", PAGE)
    return tmp_path


def device(
    root: Path, number: int, page: bytes = b"", disksize: int = 64 << 20, stored: int = 0, holder: str = ""
) -> None:
    folder = root / f"block/zram{number}"
    (folder / "holders").mkdir(parents=True)
    (folder / "dev").write_text(f"252:{number}\n")
    (folder / "disksize").write_text(f"{disksize}\n")
    (folder / "mm_stat").write_text(f"{stored} 0 0 0 0 0 0 0 0\n")
    if holder:
        (folder / "holders" / holder).touch()
    (root / "dev").mkdir(exist_ok=True)
    (root / f"dev/zram{number}").write_bytes(page)


def found(root: Path, noted: int | None = None) -> list[int]:
    return leftovers(noted, root / "block", root / "dev")


def test_label_fits() -> None:
    assert len(LABEL) < 16  # or mkswap cuts it


def test_labels(machine: Path) -> None:
    for number, page in enumerate((swap_page(LABEL.encode()), swap_page(b"mine"), bytes(PAGE), b"")):
        device(machine, number, page)
    assert [label_of(machine / f"dev/zram{number}") for number in range(5)] == [LABEL, "mine", "", "", ""]


def test_a_labelled_device_is_a_selftests(machine: Path) -> None:
    device(machine, 0, swap_page(b"zram0"))
    device(machine, 3, swap_page(LABEL.encode()), stored=4096)
    device(machine, 12, swap_page(LABEL.encode()))
    assert found(machine) == [3, 12]


def test_a_noted_device_is_if_nobody_uses_it(machine: Path) -> None:
    device(machine, 1)
    assert found(machine) == []
    assert found(machine, 1) == [1]
    assert found(machine, 2) == []
    device(machine, 2, disksize=0)
    assert found(machine, 2) == [2]


@pytest.mark.parametrize("used", [{"stored": 4096}, {"disksize": 1 << 30}, {"holder": "dm-0"}])
def test_a_noted_device_that_is_anothers_by_now(machine: Path, used: dict[str, int]) -> None:
    device(machine, 1, **used)  # type: ignore[arg-type]
    assert found(machine, 1) == []
