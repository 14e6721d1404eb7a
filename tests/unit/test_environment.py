"""What recording needs: each lack of it is named, with a remedy, before anything is compiled."""

from __future__ import annotations

from pathlib import Path

import pytest

from swaptrace.errors import EnvironmentProblem
from swaptrace.live import environment
from swaptrace.live.environment import features_off, missing_views, require, requirements
from swaptrace.live.trampolines import preempts_itself


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has all that can be seen in /proc and /sys; the tests take things away."""
    monkeypatch.setattr(environment.os, "geteuid", lambda: 0)
    monkeypatch.setattr(environment, "_bcc", lambda: environment.Requirement("bcc", "BCC"))
    for name, text in {
        "sys/bus/event_source/devices/kprobe/type": "6\n",
        "sys/kernel/security/lockdown": "[none] integrity confidentiality\n",
        "sys/kernel/btf/vmlinux": "",
        "sys/module/zram/initstate": "live\n",
        "sys/kernel/debug/zram/zram0/block_state": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_nothing_is_missing(machine: Path) -> None:
    require(machine)
    assert [need.name for need in requirements(machine) if not need.met] == []
    assert missing_views(machine) == []


def test_not_root(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.os, "geteuid", lambda: 1000)
    with pytest.raises(EnvironmentProblem, match="needs root") as caught:
        require(machine)
    assert caught.value.remedy.startswith("run: sudo /")
    assert caught.value.exit_status == 3


@pytest.mark.parametrize(
    ("path", "text", "what", "remedy"),
    [
        ("sys/bus/event_source/devices/kprobe/type", None, "this kernel has no kprobes", "CONFIG_KPROBES=y"),
        ("sys/kernel/btf/vmlinux", None, "no type information", "CONFIG_DEBUG_INFO_BTF=y"),
        ("sys/kernel/security/lockdown", "none integrity [confidentiality]\n", "locked down", "lockdown="),
    ],
)
def test_a_kernel_that_cannot(machine: Path, path: str, text: str | None, what: str, remedy: str) -> None:
    if text is None:
        (machine / path).unlink()
    else:
        (machine / path).write_text(text)
    with pytest.raises(EnvironmentProblem, match=what) as caught:
        require(machine)
    assert remedy in caught.value.remedy


def test_lockdown_for_integrity_does_no_harm(machine: Path) -> None:
    (machine / "sys/kernel/security/lockdown").write_text("none [integrity] confidentiality\n")
    require(machine)


def test_a_kernel_whose_zram_does_not_write_back(machine: Path) -> None:
    """Devices tell, by a file that they have: without it, nothing is missed; without a device, nobody knows."""
    assert "zram writeback" not in features_off(machine)
    device = machine / "sys/block/zram0"
    device.mkdir(parents=True)
    assert "CONFIG_ZRAM_WRITEBACK" in features_off(machine)["zram writeback"]
    (device / "backing_dev").write_text("none\n")
    assert "zram writeback" not in features_off(machine)


def test_what_it_can_do_without_is_said(machine: Path) -> None:
    (machine / "sys/kernel/debug/zram/zram0/block_state").unlink()
    assert "mount -t debugfs" in missing_views(machine)[0]
    (machine / "sys/module/zram/initstate").unlink()
    (machine / "sys/module/zram").rmdir()
    assert "modprobe zram" in missing_views(machine)[0]
    require(machine)


@pytest.mark.parametrize(
    ("modes", "version", "expected"),
    [
        ("none (voluntary) full lazy\n", "#1 SMP PREEMPT_DYNAMIC", False),
        ("(none) voluntary full\n", "#1 SMP PREEMPT_DYNAMIC", False),
        ("none voluntary full (lazy)\n", "#1 SMP PREEMPT_DYNAMIC", True),
        ("none voluntary (full)\n", "#1 SMP PREEMPT_DYNAMIC", True),
        (None, "#1 SMP PREEMPT_DYNAMIC", True),
        (None, "#1 SMP PREEMPT_RT", True),
        (None, "#1 SMP Debian", False),
    ],
)
def test_whether_the_kernel_preempts_itself(tmp_path: Path, modes: str | None, version: str, expected: bool) -> None:
    if modes is not None:
        (tmp_path / "sys/kernel/debug/sched").mkdir(parents=True)
        (tmp_path / "sys/kernel/debug/sched/preempt").write_text(modes)
    assert preempts_itself(tmp_path, version) == expected


def test_device_numbers_that_stand_for_zswap_are_refused(machine: Path) -> None:
    """An event has 8 bits for a store; those from 128 on are zswap's."""
    for number in (0, 127):
        _device(machine, number)
    require(machine)
    _device(machine, 128)
    with pytest.raises(EnvironmentProblem, match="/dev/zram128 has the device number 128") as caught:
        require(machine)
    assert caught.value.exit_status == 3
    assert caught.value.remedy.endswith("echo 128 > /sys/class/zram-control/hot_remove")


def _device(machine: Path, number: int) -> Path:
    device = machine / f"sys/block/zram{number}"
    device.mkdir(parents=True)
    (device / "dev").write_text(f"251:{number}\n")
    return device


def test_recompression_is_said_where_it_is_set_up(machine: Path) -> None:
    """The file is there on every kernel that could, and is empty until an algorithm is chosen."""
    device = _device(machine, 3)
    (device / "recompress").write_text("")
    (device / "recomp_algorithm").write_text("")
    assert missing_views(machine) == []
    (device / "recomp_algorithm").write_text("#1: lzo lzo-rle lz4 [zstd]\n")
    assert [sentence.split(" (")[0] for sentence in missing_views(machine)] == ["zram3: it recompresses pages"]
