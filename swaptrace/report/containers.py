"""What a memory cgroup's path tells of whose it is: a container, a pod, a unit. No daemon is asked.

Each row is how one manager names its cgroups, under systemd and without it:
docs.docker.com/engine/containers/runmetrics, docs.podman.io (--cgroup-manager), kubernetes' pkg/kubelet/cm
(cgroup_manager_linux.go), linuxcontainers.org (lxc.cgroup.dir), systemd.unit(5) and systemd-machined(8).
"""

from __future__ import annotations

import re

_ID = r"(?P<id>[0-9a-f]{12})[0-9a-f]{52}"

#: How a component of a path names something, and what it is called then.
_COMPONENTS = [
    (re.compile(pattern), words)
    for pattern, words in (
        (rf"docker-{_ID}\.scope", "docker {id}"),
        (rf"libpod-(?:conmon-)?{_ID}(?:\.scope)?", "podman {id}"),
        (rf"(?:cri-containerd|containerd)-{_ID}\.scope", "container {id}"),
        (rf"crio-(?:conmon-)?{_ID}(?:\.scope)?", "container {id}"),
        (
            r"(?:kubepods(?:-\w+)?-)?pod(?P<uid>[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})(?:\.slice)?",
            "pod {uid}",
        ),
        (r"lxc\.payload\.(?P<name>.+)", "lxc {name}"),
        (r"machine-(?P<name>.+)\.scope", "machine {name}"),
        (r"(?P<name>.+\.(?:service|scope|socket|mount|swap|slice))", "{name}"),
    )
]
#: Under these, a bare identifier or name is a container.
_BARE = re.compile(_ID)
_PARENTS = {"docker": "docker {id}", "libpod_parent": "podman {id}", "lxc": "lxc {id}"}
_POD = "pod "


def label(path: str) -> str:
    """What a cgroup's path is called; empty if it tells no more than it says."""
    parts = [part for part in path.split("/") if part]
    found = [_named(part, before) for part, before in zip(parts, ["", *parts], strict=False)]
    names = [name for name in found if name]
    if not names:
        return ""
    pods = [name for name in names if name.startswith(_POD)]
    container = names[-1] if found[-1] and not names[-1].startswith(_POD) else ""
    if pods:
        return f"{pods[-1]}, {container}" if container and not container.endswith(".slice") else pods[-1]
    rest = parts[max(number for number, name in enumerate(found) if name) + 1 :]
    return "/".join([names[-1], *rest])


def _named(part: str, before: str) -> str:
    """What one component names. before: the one above it."""
    if before == "lxc":
        return f"lxc {part}"
    if bare := _BARE.fullmatch(part):
        words = _PARENTS.get(before, "container {id}")
        return words.format(id=bare["id"])
    for pattern, words in _COMPONENTS:
        if found := pattern.fullmatch(part):
            return words.format(**{name: _unescaped(value) for name, value in found.groupdict().items()})
    return ""


def _unescaped(name: str) -> str:
    r"""systemd.unit(5): `\x2d` is a hyphen. Kubernetes writes a pod's hyphens as underscores under systemd."""
    text = re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), name)
    is_uid = re.fullmatch(r"[0-9a-f]{8}(_[0-9a-f]{4}){3}_[0-9a-f]{12}", text)
    return text.replace("_", "-") if is_uid else text
