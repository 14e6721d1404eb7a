"""What paths of memory cgroups tell: as those managers name theirs, under systemd and without it."""

from __future__ import annotations

import pytest

from swaptrace.report.containers import label

ID = "3f2a9c0d1e4b" + "5" * 52
UID, UNDERSCORED = "8b1f2c3d-0a1b-4c2d-9e3f-5a6b7c8d9e0f", "8b1f2c3d_0a1b_4c2d_9e3f_5a6b7c8d9e0f"
SLICE = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UNDERSCORED}.slice"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", ""),
        ("/limited", ""),
        ("/system.slice", "system.slice"),
        ("/system.slice/nginx.service", "nginx.service"),
        ("/system.slice/nginx.service/worker", "nginx.service/worker"),
        (r"/system.slice/dev-disk-by\x2duuid-1.swap", "dev-disk-by-uuid-1.swap"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox-12.scope", "app-firefox-12.scope"),
        (f"/system.slice/docker-{ID}.scope", "docker 3f2a9c0d1e4b"),
        (f"/docker/{ID}", "docker 3f2a9c0d1e4b"),
        (f"/docker/{ID}/init", "docker 3f2a9c0d1e4b/init"),
        (f"/machine.slice/libpod-{ID}.scope", "podman 3f2a9c0d1e4b"),
        (f"/machine.slice/libpod-conmon-{ID}.scope", "podman 3f2a9c0d1e4b"),
        (f"/libpod_parent/libpod-{ID}", "podman 3f2a9c0d1e4b"),
        (SLICE, f"pod {UID}"),
        (f"{SLICE}/cri-containerd-{ID}.scope", f"pod {UID}, container 3f2a9c0d1e4b"),
        (f"{SLICE}/crio-{ID}.scope", f"pod {UID}, container 3f2a9c0d1e4b"),
        (f"/kubepods/burstable/pod{UID}", f"pod {UID}"),
        (f"/kubepods/burstable/pod{UID}/{ID}", f"pod {UID}, container 3f2a9c0d1e4b"),
        (f"/kubepods.slice/kubepods-pod{UNDERSCORED}.slice/docker-{ID}.scope", f"pod {UID}, docker 3f2a9c0d1e4b"),
        ("/lxc/web", "lxc web"),
        ("/lxc.payload.web", "lxc web"),
        ("/lxc.payload.web/system.slice/cron.service", "cron.service"),
        (r"/machine.slice/machine-qemu\x2d1\x2dguest.scope", "machine qemu-1-guest"),
    ],
)
def test_label(path: str, words: str) -> None:
    assert label(path) == words


def test_what_looks_like_one_and_is_none() -> None:
    assert label(f"/docker-{ID[:-1]}.service-x") == ""
    assert label(f"/{ID[:20]}") == ""
