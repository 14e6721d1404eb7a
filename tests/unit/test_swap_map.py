"""The kernel's swap maps, read from memory that is a file here, as each kind of kernel keeps them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from swaptrace.events import EventFlag, EventKind
from swaptrace.kernel.layout import SwapMapLayout
from swaptrace.machine.kernel_memory import KernelMemory
from swaptrace.machine.swap_map import CACHED, IN_USE, ZERO, areas_in_use, in_use_events, read_quiet, read_slots

BASE, OTHER = 0xFFFF_8880_0000_0000, 0xFFFF_C900_0000_0000  # the direct map, vmalloc
SLOTS = 20
THERE, IN_CACHE, OF_ZEROS = (int(said | IN_USE) for said in (IN_USE, CACHED, ZERO))
INFO = 0x1000
PFN = 0x1234 << 2 | 2


class Memory:
    """Two pieces of the kernel's memory, to be written to, and saved as /proc/kcore shows them."""

    def __init__(self) -> None:
        self.pieces = {BASE: bytearray(1 << 16), OTHER: bytearray(1 << 16)}

    def put(self, address: int, *values: int, kind: type = np.uint64) -> int:
        base = max(base for base in self.pieces if base <= address)
        data = np.array(values, kind).tobytes()
        self.pieces[base][address - base : address - base + len(data)] = data
        return address

    def save(self, path: Path) -> Path:
        head = np.zeros(8, np.uint64)
        head[4] = 64  # where the table of segments is
        table, place, body = [], 64 + 56 * 3, b""
        notes = np.array([4 | 0 << 32, place, 0, 0, 8, 8, 0], np.uint64)  # PT_NOTE, which is no memory
        for base, content in self.pieces.items():
            table.append(np.array([1 | 7 << 32, place + len(body), base, 0, len(content), len(content), 0], np.uint64))
            body += bytes(content)
        raw = bytearray(head.tobytes())
        raw[56:58] = (3).to_bytes(2, "little")
        path.write_bytes(bytes(raw) + notes.tobytes() + b"".join(part.tobytes() for part in table) + body)
        return path


def old(memory: Memory, counts: list[int], zeros: int | None = None) -> SwapMapLayout:
    """A kernel up to 6.12: a byte a slot; since 6.12 with a bit for zeros."""
    memory.put(BASE + INFO + 16, memory.put(OTHER + 0x100, *counts, kind=np.uint8))
    if zeros is not None:
        memory.put(BASE + INFO + 24, memory.put(OTHER + 0x200, zeros))
    memory.put(BASE + INFO + 48, SLOTS, kind=np.uint32)
    memory.put(BASE + INFO + 40, sum(count not in (0, 0x3F) for count in counts))
    return SwapMapLayout(0, 48, 40, 16, None if zeros is None else 24, 32, 8, 0, None)


def new(memory: Memory, words: list[int], counts: list[int] | None = None, in_use: int | None = None) -> SwapMapLayout:
    """A kernel with a swap table: clusters of 8 slots and 32 bytes, the table's pointer at 8; no table while free."""
    for number, first in enumerate(range(0, SLOTS, 8)):
        part = [*words[first : first + 8], *[0] * 8][:8]
        table = memory.put(BASE + 0x4000 + 64 * number, *part) if any(part) else 0
        memory.put(OTHER + 0x400 + 32 * number + 8, table)
    memory.put(BASE + INFO + 32, OTHER + 0x400)
    if counts is not None:
        memory.put(BASE + INFO + 16, memory.put(OTHER + 0x100, *counts, kind=np.uint8))
    memory.put(BASE + INFO + 48, SLOTS, kind=np.uint32)
    memory.put(BASE + INFO + 40, sum(map(bool, words)) - words.count(2**64 - 8) if in_use is None else in_use)
    return SwapMapLayout(0, 48, 40, None if counts is None else 16, None, 32, 32, 8, 8)


def read(memory: Memory, layout: SwapMapLayout, path: Path) -> list[int]:
    with KernelMemory(memory.save(path / "kcore")) as kcore:
        found = read_quiet(kcore, layout, BASE + INFO)
    assert found is not None
    return found.tolist()


def padded(values: list[int]) -> list[int]:
    return [*values, *[0] * (SLOTS - len(values))]


def test_a_byte_a_slot(tmp_path: Path) -> None:
    memory = Memory()
    # bad; free; once; cached and not counted; once and cached; shmem; continued
    layout = old(memory, padded([0x3F, 0, 1, 0x40, 0x41, 0xBF, 0x81]))
    assert read(memory, layout, tmp_path) == padded([0, 0, THERE, IN_CACHE, IN_CACHE, THERE, THERE])


def test_a_bit_for_zeros(tmp_path: Path) -> None:
    memory = Memory()
    layout = old(memory, padded([0x3F, 0, 1, 1, 0x41]), zeros=0b11011)  # of slots that are free, it says nothing
    assert read(memory, layout, tmp_path) == padded([0, 0, THERE, OF_ZEROS, IN_CACHE | OF_ZEROS])


def test_a_table_beside_the_map(tmp_path: Path) -> None:
    """6.18: the words are pages in the swap cache, or what is left of them; the map counts."""
    memory = Memory()
    page, shadow = BASE + 0x2000, 0x55
    layout = new(memory, padded([0, 0, page, shadow]), padded([0x3F, 0, 0x40, 1, 1]), in_use=3)
    assert read(memory, layout, tmp_path) == padded([0, 0, IN_CACHE, THERE, THERE])


def test_a_table_beside_a_map_that_counts_no_cached_ones(tmp_path: Path) -> None:
    """Between 6.18 and 7.3 a slot that is only cached is 0 in the map."""
    memory = Memory()
    layout = new(memory, padded([0, PFN, PFN, 1]), padded([0x3F, 0, 1, 1]), in_use=3)
    assert read(memory, layout, tmp_path) == padded([0, IN_CACHE, IN_CACHE, THERE])


def test_a_table_alone(tmp_path: Path) -> None:
    memory = Memory()
    once, zero = 1 << 60, 1 << 59
    words = [2**64 - 8, 0, once | 1, once | PFN, PFN, once | zero | 1, once | zero | PFN, once | 0x550 | 1]
    layout = new(memory, [*words, *[0] * 8, once | 1, 0, 0, 0])  # no table for the second cluster
    found = [0, 0, THERE, IN_CACHE, IN_CACHE, OF_ZEROS, IN_CACHE | OF_ZEROS, THERE]
    assert read(memory, layout, tmp_path) == [*found, *[0] * 8, THERE, 0, 0, 0]


def test_what_comes_and_goes_is_not_told(tmp_path: Path) -> None:
    memory = Memory()
    layout = old(memory, padded([0x3F, 1, 1]))
    memory.put(BASE + INFO + 40, 3)
    with KernelMemory(memory.save(tmp_path / "kcore")) as kcore:
        assert read_slots(kcore, layout, BASE + INFO).tolist() == padded([0, THERE, THERE])
        assert read_quiet(kcore, layout, BASE + INFO) is None


def test_how_many_are_in_use_has_a_mark_above_it(tmp_path: Path) -> None:
    memory = Memory()
    layout = old(memory, padded([0x3F, 1, 1]))
    memory.put(BASE + INFO + 40, 2 | 1 << 30)  # SWAP_USAGE_OFFLIST_BIT
    assert read(memory, layout, tmp_path) == padded([0, THERE, THERE])


def test_areas_that_are_on(tmp_path: Path) -> None:
    memory = Memory()
    layout = old(memory, padded([0x3F]))
    memory.put(BASE + 0x100, BASE + INFO, BASE + 0x2000, BASE + 0x3000, 0, BASE + 0x5000)
    for info, flags in ((INFO, 0b111), (0x2000, 0b110), (0x3000, 0b1)):
        memory.put(BASE + info, flags)
    with KernelMemory(memory.save(tmp_path / "kcore")) as kcore:
        assert areas_in_use(kcore, layout, BASE + 0x100) == {0: BASE + INFO, 2: BASE + 0x3000}


@pytest.mark.parametrize("address", [0, 0x1000, BASE - 1, BASE + (1 << 16), OTHER + (1 << 16), 2**64 - 1], ids=hex)
def test_what_is_no_memory_is_an_error(tmp_path: Path, address: int) -> None:
    with KernelMemory(Memory().save(tmp_path / "kcore")) as kcore, pytest.raises(OSError, match="no address"):
        kcore.pointer(address)


def test_no_kcore(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"\x7fELF")
    for name in ("none", "short"):
        with pytest.raises(OSError):
            KernelMemory(tmp_path / name)


def test_events_of_runs() -> None:
    slots = np.array([0, THERE, THERE, IN_CACHE, 0, OF_ZEROS, IN_CACHE | OF_ZEROS, *[THERE] * 70_000], np.uint8)
    events = in_use_events(5, slots, 99)
    flags = [0, EventFlag.CACHED, EventFlag.ZERO, EventFlag.CACHED | EventFlag.ZERO, 0, 0]
    assert events["slot"].tolist() == [1, 3, 5, 6, 7, 7 + 65_535]
    assert events["run"].tolist() == [2, 1, 1, 1, 65_535, 70_000 - 65_535]
    assert events["flags"].tolist() == flags
    assert set(events["kind"].tolist()) == {EventKind.IN_USE}
    assert (set(events["device"].tolist()), set(events["time"].tolist())) == ({5}, {99})


def test_no_slot_in_use() -> None:
    assert not len(in_use_events(0, np.zeros(9, np.uint8), 0))
