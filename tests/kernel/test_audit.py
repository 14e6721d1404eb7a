"""The audit on real swap areas: one virtual machine per kernel does the rigs of guest_audit.py.

Every rig must be given the right cause, and the remedy that the audit advises must remove the finding. What the audit
says of a moment is compared with what the rig knows: how many pages were swapped out, and that nobody has them now.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.advice_table import Tried
from tests.kernel.conftest import CHECKOUT, Part, kernels_for, run_in_guest
from tests.kernel.guest_advice import FEW, SCENES

sys.path.insert(0, str(CHECKOUT / "tests" / "vm"))
import mdadm

PAGES = 1499  # of a workload, guest_audit.py
CLUSTER = 512
AUDIT_KERNELS = kernels_for(Part.AUDIT)
TIMEOUT = 3600


@dataclass
class Step:
    """One audit: its JSON, and what the rig knew."""

    report: dict[str, Any]
    facts: dict[str, Any]

    @property
    def ids(self) -> list[str]:
        return [finding["id"] for finding in self.report["findings"]]

    @property
    def area(self) -> dict[str, Any]:
        return dict(self.report["areas"][0])

    @property
    def stored(self) -> int:
        """The kernel's own count of entries."""
        return int(self.facts["mm_stat"][0]) // 4096

    @property
    def stale(self) -> int:
        return int(self.area["stale_entries_at_least"])


@dataclass
class AuditGuest:
    folder: Path

    def steps(self, rig: str) -> dict[str, Step]:
        path = self.folder / f"{rig}.json"
        assert path.exists(), f"the guest did not get as far as {rig}; see {self.folder}/guest.log"
        steps = json.loads(path.read_text())["steps"]
        return {name: Step(report, facts) for name, report, facts in steps}

    def scene(self, name: str) -> list[dict[str, Any]]:
        """What became of each piece of advice."""
        path = self.folder / f"scene-{name}.json"
        assert path.exists(), f"the guest did not get as far as scene {name}; see {self.folder}/guest.log"
        return list(json.loads(path.read_text())["tried"])

    def output(self, name: str) -> str:
        return (self.folder / name).read_text()


def scenes() -> list[str]:
    """All of them where kernels were chosen, few else."""
    return list(SCENES) if os.environ.get("SWAPTRACE_KERNELS") else list(FEW)


def boot(kernel: str) -> AuditGuest:
    """Boot once and do all rigs and scenes."""
    folder = CHECKOUT / "build" / "kernel-audit" / kernel
    programs = mdadm.fetch() if any("md" in name.split() for name in scenes()) else folder
    run_in_guest(kernel, folder, "tests/kernel/guest_audit.py", TIMEOUT, str(programs), *scenes())
    return AuditGuest(folder)


def machines() -> dict[str, Callable[[], AuditGuest]]:
    return {kernel: partial(boot, kernel) for kernel in AUDIT_KERNELS}


@pytest.fixture(scope="module", params=AUDIT_KERNELS)
def audited(request: pytest.FixtureRequest, boots: dict[tuple[str, str], Future[AuditGuest]]) -> AuditGuest:
    return boots[__name__, request.param].result()


def test_zram_itself_is_clean(audited: AuditGuest) -> None:
    step = audited.steps("zram")["before"]
    assert (step.ids, step.report["clean"], step.area["notified"]) == ([], True, True)
    # the process that lives, mkswap's page, and slots that wait in the slot caches, their entries still held
    assert 201 <= step.area["entries"] == step.stored <= step.area["slots_in_use"] + 1
    assert step.stale == 0
    assert step.facts["partition"] != 0  # zram takes no partitions


@pytest.mark.parametrize(
    ("rig", "finding", "discards"),
    [
        ("file", "stale-behind-file", False),
        ("file-discard", "stale-behind-file", True),
        ("file-pages", "stale-behind-file", True),
        ("file-once", "stale-behind-file", False),
        ("loop", "stale-behind-loop", False),
        ("dm", "stale-behind-dm", False),
        ("dm-discard", "stale-behind-dm", True),
    ],
)
def test_area_that_gets_no_notifications(audited: AuditGuest, rig: str, finding: str, discards: bool) -> None:
    steps = audited.steps(rig)
    assert (steps["fresh"].ids, steps["fresh"].stale) == ([finding], 0)
    before = steps["before"]
    assert (before.ids[0], before.area["notified"]) == (finding, False)
    # dropped clusters leave holes: with chains of 8 pages more of them than with chains of 4
    assert set(before.ids[1:]) <= ({"pool-fragmented"} if discards else set())
    # nobody has any of these pages: all entries but mkswap's are stale, or wait in the slot caches (then in use)
    entries = before.area["entries"] - 1
    in_use = dict(before.area["in_use"])
    in_use.pop("cached")
    assert sum(in_use.values()) == before.area["slots_in_use"]
    assert before.stale == before.area["stale_entries"] == entries - in_use["with_entry"]
    if discards:
        assert before.stale <= entries <= PAGES - CLUSTER  # whole clusters were dropped, and only those
    else:
        assert before.facts["paged_out"] <= entries <= PAGES
        assert 0 < before.stale <= PAGES


@pytest.mark.parametrize("rig", ["file", "file-discard", "file-pages", "file-once", "loop", "dm", "dm-discard"])
def test_remedies(audited: AuditGuest, rig: str) -> None:
    steps = audited.steps(rig)
    # discarding drops what is stale, and cures nothing
    assert (steps["discarded"].area["entries"], steps["discarded"].stale) == (1, 0)
    assert len(steps["discarded"].ids) == 1
    after = steps["after"]
    assert (after.ids, after.report["clean"]) == ([], True)
    assert (after.area["path"], after.area["notified"]) == ("/dev/zram0", True)
    # the same workload again, and nothing stays but mkswap's page and what the slot caches hold (up to 6.12)
    assert after.facts["paged_out"] > PAGES / 2
    assert after.stored - 1 <= after.area["slots_in_use"]


def test_disk_is_clean_and_zswap_before_it_only_informs(audited: AuditGuest) -> None:
    steps = audited.steps("disk")
    assert (steps["before"].ids, steps["before"].area["notified"]) == ([], None)
    assert (steps["zswap"].ids, steps["zswap"].report["clean"]) == (["zswap-enabled"], True)


def test_zswap_before_zram(audited: AuditGuest) -> None:
    steps = audited.steps("zswap-zram")
    assert (steps["before"].ids, steps["after"].ids) == (["zswap-before-zram"], [])


def test_size_of_zswap(audited: AuditGuest) -> None:
    """Up to 5.18, /proc/meminfo does not have it."""
    step = audited.steps("disk")["zswap"]
    pool, pages = step.facts["zswap"]
    found = step.report["zswap"]
    assert (found["pool_bytes"], found["stored_bytes"]) == (pool, pages * 4096)
    assert pages >= 100  # of a process that lives


def test_tables_are_what_vmalloc_says(audited: AuditGuest) -> None:
    for rig in ("file", "loop", "dm"):
        for step in audited.steps(rig).values():
            assert sorted(store["table_bytes"] for store in step.report["stores"]) == step.facts["tables"] != []


@pytest.mark.parametrize("name", scenes())
def test_printed_commands(audited: AuditGuest, name: str, record_property: Callable[[str, object], None]) -> None:
    """Run as they are printed, they come to their end, and the finding is gone (or else what was stale)."""
    scene, finding = SCENES[name], SCENES[name].finding
    tried = audited.scene(name)
    assert tried
    for found in tried:
        advice, before, after = found["advice"], found["before"], found["after"]
        record_property("tried", table_row := Tried(audited.folder.name, finding, scene.stacking, found))
        assert found["status"] == 0, f"{advice['commands']}: {found['errors']}"
        assert finding in [each["id"] for each in before["findings"]]
        assert (finding in [each["id"] for each in after["findings"]]) != advice["cures"], advice["commands"]
        held_before, held_after = table_row.pages
        written = after["pages_written"] - before["pages_written"] if scene.drops == 0 else 0
        assert held_after <= held_before - scene.drops + written, advice["commands"]
        if not advice["cures"]:  # on btrfs, it is not known which entries are the area's
            assert after["areas"][0]["stale_entries_at_least"] in (0, None)
        if any("reset" in command or command.startswith("rm ") for command in advice["commands"]):
            assert " is lost" in advice["sentence"] or " is deleted" in advice["sentence"]
        for command in advice["commands"]:
            if "remount,discard" in command:
                point = shlex.split(command)[-1].replace(" ", "\\040")
                mount = next(line for line in after["mountinfo"].splitlines() if f" {point} " in line)
                assert "discard" in mount.split(" - ")[1], mount
    if name == "crowded":
        assert_the_new_device_came_first(*tried)


def assert_the_new_device_came_first(found: dict[str, Any]) -> None:
    """Where swapoff does not fit: and the new device took what the old area had."""
    evidence = found["before"]["findings"][0]["evidence"]
    assert 0 < evidence["swapoff_room_bytes"] < evidence["swapoff_needs_bytes"]
    assert found["advice"]["commands"][0].startswith("new=")
    after = found["after"]["areas"][0]
    assert (after["path"], after["notified"]) == ("/dev/zram1", True)
    assert after["slots_in_use"] > 0


def test_data_left_behind_on_the_device(audited: AuditGuest) -> None:
    steps = audited.steps("left-behind")
    assert steps["before"].ids == ["stale-left-behind"]
    assert steps["before"].stale == steps["before"].stored - 1 >= PAGES
    assert steps["after"].ids == []


def test_deleted_swap_file(audited: AuditGuest) -> None:
    steps = audited.steps("deleted-file")
    assert (steps["before"].ids, steps["after"].ids) == (["freed-blocks-kept"], [])
    evidence = steps["before"].report["findings"][0]["evidence"]
    assert PAGES / 2 < evidence["freed_entries_at_least"] <= PAGES + 1
    assert steps["after"].stored <= steps["before"].stored - PAGES / 2


def test_device_that_nobody_uses(audited: AuditGuest) -> None:
    steps = audited.steps("nobody")
    assert (steps["before"].ids, steps["after"].ids) == (["store-without-user"], [])
    assert steps["before"].report["findings"][0]["evidence"]["entries"] == steps["before"].stored > PAGES / 2
    assert steps["after"].stored == 0


@pytest.mark.parametrize(
    ("rig", "finding", "stays"),
    [
        ("fragmented", "pool-fragmented", False),
        ("disk-first", "disk-before-zram", False),
        ("never-written-back", "backing-device-unused", True),
        ("refused", "failed-writes", True),
    ],
)
def test_commands_of_rules(audited: AuditGuest, rig: str, finding: str, stays: bool) -> None:
    """Run as they are printed. Where the finding stays, the advice says so: what is marked is written back later, and a
    counter stays as it is."""
    steps = audited.steps(rig)
    (found,) = (each for each in steps["before"].report["findings"] if each["id"] == finding)
    assert (finding in steps["mended"].ids) == stays
    assert found["advice"][0]["cures"] is False or not stays


def test_a_compacted_pool(audited: AuditGuest) -> None:
    """What is stored stays; whole pages of memory are given back."""
    before, mended = (audited.steps("fragmented")[step] for step in ("before", "mended"))
    for name, same in (("compr_data_size", True), ("mem_used_total", False)):
        place = ("orig_data_size", "compr_data_size", "mem_used_total").index(name)
        sizes = [int(step.facts["mm_stat"][place]) for step in (before, mended)]
        assert sizes[0] == sizes[1] if same else sizes[0] > sizes[1]


def test_zram_before_the_disk(audited: AuditGuest) -> None:
    before, mended = (audited.steps("disk-first")[step] for step in ("before", "mended"))
    assert [area["path"] for area in before.report["areas"]] == ["/dev/ram0", "/dev/zram0"]
    priorities = {area["path"]: area["priority"] for area in mended.report["areas"]}
    assert priorities == {"/dev/ram0": 10, "/dev/zram0": 11}


def test_what_is_marked_is_written_back_later(audited: AuditGuest) -> None:
    """All that a process has there, and mkswap's page."""
    later = audited.steps("never-written-back")["later"]
    assert "backing-device-unused" not in later.ids
    assert int(later.facts["bd_stat"][2]) == later.facts["kept"] + 1 == 301


def test_refused_writes_are_the_kernels(audited: AuditGuest) -> None:
    """And the limit is twice what it was."""
    before, mended = (audited.steps("refused")[step] for step in ("before", "mended"))
    (found,) = (each for each in before.report["findings"] if each["id"] == "failed-writes")
    assert found["evidence"]["failed_writes"] == int(before.facts["io_stat"][1]) > 0
    assert [int(step.facts["mm_stat"][3]) for step in (before, mended)] == [2 << 20, 4 << 20]


def test_traced(audited: AuditGuest) -> None:
    """Exact: all of the file's slots that the kernel freed became stale, all of zram's were notified."""
    report = json.loads(audited.output("traced.out"))
    facts = audited.steps("traced")["before"].facts
    areas = {area["path"]: area["traced"] for area in report["areas"]}
    file, zram = areas["/tmp/mnt/a swap file"], areas[facts["second"]]
    assert audited.output("traced.status") == "1"
    assert report["traced_s"] is not None
    assert file["lost_events"] == 0
    assert file["notifications"] == file["discarded"] == 0
    assert 0 < file["became_stale"] <= file["frees"]
    assert zram["frees"] == zram["notifications"] > 0
    assert zram["became_stale"] == zram["missed"] == 0
    assert [finding["id"] for finding in report["findings"]] == ["stale-behind-file"]
    # what the kernel holds in the file's pages besides mkswap's: stale, or waiting in the slot caches (then in use)
    evidence = report["findings"][0]["evidence"]
    assert evidence["stale_entries_at_least"] <= file["became_stale"] <= evidence["entries"] - 1


def test_text_fits_80_columns(audited: AuditGuest) -> None:
    for path in audited.folder.glob("*.txt"):
        lines = path.read_text().splitlines()
        assert lines[0].startswith("swaptrace audit: ")
        assert max(map(len, lines)) <= 80


def test_command_line(audited: AuditGuest) -> None:
    """The same words, but for the memory that is available at that moment."""

    def words(name: str) -> str:
        return re.sub(r"[\d.]+ [KMG]iB are available", "... are available", " ".join(audited.output(name).split()))

    assert words("file-text.out") == words("file-before.txt")
    assert (audited.output("file-text.status"), audited.output("file-text.err")) == ("1", "")
