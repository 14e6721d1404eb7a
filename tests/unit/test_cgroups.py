"""Paths of memory cgroups by the numbers that events have: on folders, whose inode numbers are real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from swaptrace.machine.cgroups import Cgroups, hierarchy


def number(folder: Path) -> int:
    return folder.stat().st_ino & 0xFFFFFFFF


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0"], "sys/fs/cgroup"),
        (
            [
                "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0",
                "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu,cpuacct 0 0",
                "cgroup /sys/fs/cgroup/my\\040memory cgroup rw,memory 0 0",
            ],
            "sys/fs/cgroup/my memory",
        ),
        (["cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0", "proc /proc proc rw 0 0"], None),
    ],
)
def test_hierarchy_with_the_memory_controller(tmp_path: Path, lines: list[str], expected: str | None) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mounts").write_text("\n".join([*lines, ""]))
    assert hierarchy(tmp_path) == (None if expected is None else tmp_path / expected)


def test_paths_are_told_once_each(tmp_path: Path) -> None:
    """Nested ones, the root, and one that came later; 0 is no cgroup, and another number none that there is."""
    pod = tmp_path / "kube.slice" / "pod1"
    pod.mkdir(parents=True)
    cgroups = Cgroups(lambda: tmp_path)
    unknown = max(map(number, (tmp_path, pod, pod.parent))) + 1000
    assert cgroups.paths_of([0, number(pod), unknown]) == {number(pod): "/kube.slice/pod1"}
    assert cgroups.paths_of([number(pod), number(tmp_path), number(pod.parent), unknown]) == {
        number(tmp_path): "/",
        number(pod.parent): "/kube.slice",
    }
    late = tmp_path / ".late.scope"
    late.mkdir()
    assert cgroups.paths_of([number(late)]) == {number(late): "/.late.scope"}
    assert cgroups.paths_of([number(late), number(pod)]) == {}


def test_a_cgroup_that_is_gone_keeps_its_path(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir(), second.mkdir()
    numbers = number(first), number(second)
    cgroups = Cgroups(lambda: tmp_path)
    assert cgroups.paths_of(numbers[:1]) == {numbers[0]: "/a"}
    first.rmdir(), second.rmdir()
    assert cgroups.paths_of(numbers) == {numbers[1]: "/b"}


def test_without_a_hierarchy_there_are_no_paths() -> None:
    assert Cgroups(lambda: None).paths_of([0, 5]) == {}
