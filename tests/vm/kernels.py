"""Debian kernels to boot: one table, fetched once with apt, unpacked into a cache.

Run as a program, with --pin: pins those that are the newest now, for all who fetch them later (pins.py).

Nothing is installed on the machine: apt works on lists and a status file of its own, and the
packages are unpacked with ``dpkg -x``. No root is needed.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Flag, auto
from pathlib import Path

import pins
from pins import Package

__all__ = [
    "CHECKOUT",
    "KERNELS",
    "Feature",
    "Kernel",
    "Part",
    "PrivateApt",
    "SetupError",
    "UnpackedKernel",
    "cache_folder",
    "cached",
    "fetch",
    "fetched_once",
    "of_release",
    "unpinned",
]

CHECKOUT = Path(__file__).resolve().parents[2]

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR_VARIABLE = "SWAPTRACE_DEBIAN_MIRROR"
SNAPSHOT_VARIABLE = "SWAPTRACE_DEBIAN_SNAPSHOT"  # an archive as it was once, which has what the mirrors have no more
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


class SetupError(Exception):
    """The machine lacks something; ``advice`` is the sentence that says what to do."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.advice = advice


class Feature(Flag):
    """What some kernels have, or do, and others not: tests ask for these, never for a release."""

    NONE = 0
    MODULE_TYPES = auto()  # type information of modules: how zram's structures and functions are made
    PREEMPTION = auto()  # preempts itself in the mode that it boots with, even where a program of a trampoline runs
    ZERO_MAP = auto()  # pages of zeros are not written: the swap map alone knows of them
    ZSWAP_FIGURES = auto()  # zswap in /proc/meminfo and in memory cgroups
    SLOT_CACHE = auto()  # each processor keeps slots to give out, and slots that were given back
    READ_BACK_TWICE = auto()  # zram_rw_page() is tried first, counts, and cannot read what is on the backing device


class Part(Flag):
    """Parts of tests/kernel that are not run on all kernels unless kernels are chosen, or it would take too long."""

    NONE = 0
    WHOLE = auto()  # recordings: what is more about processes and devices than about the kernel
    DEGRADED = auto()  # recordings where the kernel does not tell everything: one that tells of its modules, one not
    AREAS = auto()  # areas of every kind: on two, for they hang on functions that differ
    AUDIT = auto()
    ZSWAP = auto()
    STRESS = auto()
    USERLAND = auto()  # another release's BCC
    LTP = auto()  # not among the tests that are run by default


@dataclass(frozen=True)
class Kernel:
    """A row of the table: the ``release``.x kernel image of ``suite`` that is pinned."""

    release: str
    suite: str
    slot_free: str  # the function that frees slots
    has: Feature
    parts: Part = Part.NONE
    userland: str | None = None  # the Debian release whose BCC it is tried with

    def image_pattern(self) -> re.Pattern[str]:
        """Match names of image packages, whatever the point release and the ABI number.

        The flavours (rt, cloud) and the debug packages are left out: their names have one hyphen
        more.
        """
        return re.compile(rf"linux-image-{re.escape(self.release)}[.][\d.]+([-+][\w.+~]+)?-amd64")


# To add a kernel, add a row, and pin its image. Suites that have left the mirrors need SWAPTRACE_DEBIAN_MIRROR set
# to an archive that still has them.
_SLOTS = Feature.SLOT_CACHE  # until 6.13
_SINCE_6_1 = Feature.MODULE_TYPES | Feature.ZSWAP_FIGURES
_SINCE_6_12 = _SINCE_6_1 | Feature.ZERO_MAP
_SINCE_6_18 = _SINCE_6_12 | Feature.PREEMPTION
KERNELS: dict[str, Kernel] = {
    kernel.release: kernel
    for kernel in (
        Kernel("5.10", "bullseye", "swap_range_free", _SLOTS, Part.DEGRADED | Part.LTP),
        Kernel(
            "6.1",
            "bookworm",
            "swap_range_free",
            _SLOTS | _SINCE_6_1 | Feature.READ_BACK_TWICE,
            Part.AREAS | Part.STRESS,
        ),
        Kernel(
            "6.12",
            "trixie",
            "swap_entry_range_free",
            _SLOTS | _SINCE_6_12,
            Part.AREAS | Part.AUDIT | Part.ZSWAP,
            "trixie",
        ),
        Kernel("6.18", "trixie-backports", "swap_entries_free", _SINCE_6_18),
        Kernel(
            "7.3",
            "trixie-backports",
            "__swap_cluster_free_entries",
            _SINCE_6_18,
            Part.WHOLE | Part.DEGRADED | Part.USERLAND | Part.LTP,
            "forky",
        ),
    )
}


def of_release(release: str) -> Kernel:
    """The row of a running kernel, by what `uname -r` says."""
    return next(kernel for kernel in KERNELS.values() if release.startswith(f"{kernel.release}."))


@dataclass(frozen=True)
class UnpackedKernel:
    """A kernel in the cache: ``root``/boot/vmlinuz-``version`` and its modules."""

    root: Path
    version: str

    @property
    def image(self) -> Path:
        """The file to boot."""
        return self.root / "boot" / f"vmlinuz-{self.version}"

    @property
    def package_version(self) -> str:
        """Of the Debian package that it comes from; empty if the image does not tell."""
        return pins.image_version(self.image)


def cache_folder() -> Path:
    """Where kernels are kept."""
    return Path(os.environ.get("SWAPTRACE_CACHE") or CHECKOUT / "build" / "cache").resolve()


def cached(kernel: Kernel) -> UnpackedKernel | None:
    """The unpacked kernel, or None if it was never fetched."""
    root = cache_folder() / "kernels" / kernel.release
    images = sorted((root / "boot").glob("vmlinuz-*"))
    return UnpackedKernel(root, images[-1].name.removeprefix("vmlinuz-")) if images else None


def unpinned(kernel: Kernel) -> str:
    """In which way the kernel in the cache is not the pinned one; empty if it is, or if there is none."""
    found = cached(kernel)
    pinned = pins.read().get(kernel.release)
    if found is None or (pinned and found.package_version == pinned[0].version):
        return ""
    name = f"Linux {kernel.release} in the cache is {found.package_version or found.version}"
    return f"{name}, not {pinned[0].version}, which is pinned" if pinned else f"{name}; none is pinned"


def fetch(kernel: Kernel, *, renew: bool = False) -> UnpackedKernel:
    """The unpacked kernel, downloaded if it is not in the cache yet.

    renew: also if the one in the cache is not the pinned one. Else that is said, at each use.
    """

    def wanted() -> bool:
        return cached(kernel) is None or (renew and bool(unpinned(kernel)))

    # Without the lock at first: a cache that is complete may be read-only.
    if wanted():
        with locked(cache_folder() / "kernels" / f"{kernel.release}.lock"):
            if wanted():
                _download(kernel, cache_folder() / "kernels" / kernel.release)
    found = cached(kernel)
    if found is None:
        raise SetupError(f"Linux {kernel.release} has vanished from the cache", "try again")
    if said := unpinned(kernel):
        _say(f"warning: {said} (to fetch that: tests/vm/run --kernel {kernel.release} --fetch)")
    return found


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock, so that two runs at once download a thing only once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as error:
        raise SetupError(
            f"cannot write to the cache: {error}",
            "set SWAPTRACE_CACHE to a folder that you may write to",
        ) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fetched_once(target: Path, make: Callable[[Path], Path]) -> Path:
    """A folder of the cache, made now if it is not there: complete or not at all.

    make: given an empty folder beside it, fills it, and returns what of it is to be kept.
    """
    # Without the lock at first: a cache that is complete may be read-only.
    if not target.exists():
        with locked(target.with_suffix(".lock")):
            if not target.exists():
                with tempfile.TemporaryDirectory(prefix=f"{target.name}.", dir=target.parent) as staging:
                    root = make(Path(staging))
                    root.chmod(0o755)
                    root.rename(target)
    return target


def _download(kernel: Kernel, target: Path) -> None:
    """Download and unpack a kernel; ``target`` appears complete or not at all.

    The pinned one, from the mirror or from the snapshot, or else, as is said, the newest, unless another is there.
    """
    _say(f"fetching Linux {kernel.release} from Debian {kernel.suite} (once)")
    with tempfile.TemporaryDirectory(prefix=f"{kernel.release}.", dir=target.parent) as name:
        staging = Path(name)
        pinned = pins.read().get(kernel.release)
        apt, packages = _source(kernel, staging, pinned)
        if packages != pinned:
            instead = "what is in the cache" if target.exists() else f"{packages[0].name} {packages[0].version}"
            _say(f"warning: {_gone(kernel, pinned)}; used instead: {instead}")
            if target.exists():
                return
        unpacked = staging / "root"
        for deb in apt.download(packages):
            _run(["dpkg", "-x", str(deb), str(unpacked)], "unpacking a kernel package")
            deb.unlink()
        _complete(unpacked)
        unpacked.chmod(0o755)
        if target.exists():
            target.rename(staging / "before")
        unpacked.rename(target)
    _say(f"unpacked {' '.join(package.name for package in packages)}")


def _source(kernel: Kernel, staging: Path, pinned: list[Package] | None) -> tuple[PrivateApt, list[Package]]:
    """Where to download a kernel from, and what: the pinned packages, or the newest ones if nobody has those."""
    snapshot = os.environ.get(SNAPSHOT_VARIABLE)
    archives = []
    try:
        archives.append(PrivateApt(staging / "mirror", kernel.suite))
    except SetupError:
        if not snapshot:
            raise  # or else the whole suite may have left the mirror
    if pinned and archives and archives[0].offers(pinned):
        return archives[0], pinned
    if snapshot:
        archives.append(PrivateApt(staging / "snapshot", kernel.suite, snapshot))
        if pinned and archives[-1].offers(pinned):
            return archives[-1], pinned
    return archives[0], _newest(archives[0], kernel)


def _gone(kernel: Kernel, pinned: list[Package] | None) -> str:
    """Why the newest image is fetched."""
    if not pinned:
        return f"no image of Linux {kernel.release} is pinned"
    tried = "and the snapshot have" if os.environ.get(SNAPSHOT_VARIABLE) else "has"
    return (
        f"the pinned image of Linux {kernel.release}, {pinned[0].name} {pinned[0].version}, is gone: "
        f"the mirror {tried} it no more ({SNAPSHOT_VARIABLE} can name an archive that does)"
    )


def _newest(apt: PrivateApt, kernel: Kernel) -> list[Package]:
    """The packages of the newest image of the row's release."""
    return [apt.package(name) for name in _with_split_packages(apt, _newest_image(apt, kernel))]


def pin(releases: list[str]) -> None:
    """Pin the newest images that the mirror has of these releases."""
    pinned = pins.read()
    for release in releases:
        with tempfile.TemporaryDirectory() as folder:
            kernel = KERNELS[release]
            pinned[release] = _newest(PrivateApt(Path(folder, "mirror"), kernel.suite), kernel)
        _say(f"pinned {pinned[release][0].name} {pinned[release][0].version}")
    pins.write({release: pinned[release] for release in KERNELS if release in pinned})


def _newest_image(apt: PrivateApt, kernel: Kernel) -> str:
    """The name of the newest image package of the row's release."""
    pattern = kernel.image_pattern()
    names = [name for name in apt.package_names("linux-image-") if pattern.fullmatch(name)]
    if not names:
        raise SetupError(
            f"Debian {kernel.suite} on {apt.mirror} has no kernel {kernel.release}",
            f"set {MIRROR_VARIABLE} to a mirror or archive that has one",
        )
    return max(names, key=_natural)


def _with_split_packages(apt: PrivateApt, image: str) -> list[str]:
    """The packages that make up an image.

    From 6.19 on Debian's image package is empty and depends on linux-binary-* and
    linux-modules-*; before that it holds everything and depends on neither.
    """
    version = image.removeprefix("linux-image-")
    parts = re.compile(r"linux-(image|binary|modules)-" + re.escape(version) + r"(-unsigned)?")
    found = [image]
    for name in found:
        found += [d for d in apt.depends(name) if parts.fullmatch(d) and d not in found]
    return found


def _natural(name: str) -> list[int]:
    """Sort key that orders 6.1.0-9 before 6.1.0-10."""
    return [int(number) for number in re.findall(r"\d+", name)]


def _complete(root: Path) -> None:
    """Index the modules, and put the image where it was before the packages were split."""
    _merge_lib(root)
    for modules in (root / "lib" / "modules").iterdir():
        _run(["depmod", "-b", str(root), modules.name], "indexing kernel modules")
        image = root / "boot" / f"vmlinuz-{modules.name}"
        if not image.exists() and (modules / "vmlinuz").exists():
            image.parent.mkdir(exist_ok=True)
            image.hardlink_to(modules / "vmlinuz")
        if not image.exists():
            raise SetupError(
                f"the packages of Linux {modules.name} hold no image where one is expected",
                "their layout has changed: see _complete in tests/vm/kernels.py",
            )


def _merge_lib(root: Path) -> None:
    """Give the tree both lib/modules and usr/lib/modules, as one folder.

    Debian moved modules from the one to the other, and builds of kmod look only at one.
    """
    usr_lib = root / "usr" / "lib"
    usr_lib.mkdir(parents=True, exist_ok=True)
    lib = root / "lib"
    if lib.is_dir():
        shutil.copytree(lib, usr_lib, symlinks=True, dirs_exist_ok=True, copy_function=shutil.move)
        shutil.rmtree(lib)
    lib.symlink_to("usr/lib")


class PrivateApt:
    """apt with lists, status and cache of its own, for one suite."""

    def __init__(self, folder: Path, suite: str, snapshot: str | None = None) -> None:
        """snapshot: an archive as it was once, in place of the mirror; what it says of itself may have expired."""
        if not KEYRING.exists():
            raise SetupError(
                f"{KEYRING} is missing: Debian's packages cannot be verified",
                "install the package debian-archive-keyring",
            )
        self.mirror = snapshot or _debian_mirror()
        self._folder = folder
        for part in ("lists/partial", "cache/archives/partial", "debs"):
            (folder / part).mkdir(parents=True)
        (folder / "status").touch()
        sources = folder / "sources.list"
        sources.write_text(f"deb [arch=amd64 signed-by={KEYRING}] {self.mirror} {suite} main\n")
        settings = {
            "APT::Architecture": "amd64",
            "APT::Default-Release": "",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Acquire::Check-Valid-Until": "false" if snapshot else "true",
            "Dir::State": str(folder),
            "Dir::State::lists": str(folder / "lists"),
            "Dir::State::status": str(folder / "status"),
            "Dir::Cache": str(folder / "cache"),
            "Dir::Etc::sourcelist": str(sources),
            "Dir::Etc::sourceparts": "-",
            "Dir::Etc::preferences": "-",
            "Dir::Etc::preferencesparts": "-",
        }
        if os.geteuid() == 0:
            # apt would drop to a user who cannot write here, and warn about it.
            settings["APT::Sandbox::User"] = "root"
        self._options = [f"-o{key}={value}" for key, value in settings.items()]
        self._apt("apt-get", "-q", "update", "--error-on=any")

    def _apt(self, tool: str, *arguments: str, cwd: Path | None = None) -> str:
        return _run([tool, *self._options, *arguments], f"{tool} for {self.mirror}", cwd)

    def package_names(self, prefix: str) -> list[str]:
        """Names of the packages that start with ``prefix``."""
        return self._apt("apt-cache", "pkgnames", prefix).split()

    def depends(self, package: str) -> list[str]:
        """Names of the packages that ``package`` depends on."""
        output = self._apt("apt-cache", "depends", "--important", package)
        return re.findall(r"Depends: (\S+)", output)

    def offers(self, packages: list[Package]) -> bool:
        """Whether all of these can be downloaded, in these versions."""
        rows = self._apt("apt-cache", "madison", *(package.name for package in packages)).splitlines()
        offered = {tuple(word.strip() for word in row.split("|")[:2]) for row in rows}
        return all((package.name, package.version) in offered for package in packages)

    def package(self, name: str) -> Package:
        """The newest package of that name."""
        record = self._apt("apt-cache", "show", "--no-all-versions", name)
        fields = dict(line.split(": ", 1) for line in record.splitlines() if re.match(r"\w+: ", line))
        return Package(name, fields["Version"], fields["SHA256"])

    def download(self, packages: list[Package]) -> list[Path]:
        """Download packages; the .deb files, to the byte those that are asked for."""
        debs = self._folder / "debs"
        names = [f"{package.name}={package.version}" for package in packages]
        self._apt("apt-get", "-q", "download", *names, cwd=debs)
        found = sorted(debs.glob("*.deb"))
        if others := pins.differing(found, packages):
            raise SetupError(
                f"{' and '.join(others)} on {self.mirror} has another SHA-256 than the pinned one",
                "the file was damaged or replaced; 'git log tests/vm/pins.toml' says when it was pinned",
            )
        return found

    def download_with_dependencies(self, packages: list[str]) -> list[Path]:
        """Download packages and all that they depend on, as if nothing were installed; the .deb files."""
        self._apt("apt-get", "-q", "-y", "--no-install-recommends", "--download-only", "install", *packages)
        return sorted((self._folder / "cache" / "archives").glob("*.deb"))


def _debian_mirror() -> str:
    """The mirror that this machine itself uses."""
    chosen = os.environ.get(MIRROR_VARIABLE)
    if chosen:
        return chosen
    rows = _run(
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(SITE)|$(RELEASE)|$(ORIGIN)",
            "Identifier: Packages",
        ],
        "reading apt's configuration",
    )
    targets = [row.split("|") for row in rows.splitlines() if row.count("|") == 2]
    suites = {kernel.suite for kernel in KERNELS.values()} | {"sid", "forky", _own_suite()}
    for site, release, origin in targets:
        # Origin is only known after an update; a fresh container has no lists yet.
        if release in suites and origin in ("Debian", ""):
            return site
    raise SetupError(
        "apt is not configured with a Debian mirror on this machine",
        f"set {MIRROR_VARIABLE} to the address of one",
    )


def _own_suite() -> str:
    """The code name of the running distribution."""
    match = re.search(r"^VERSION_CODENAME=(\w+)", _read("/etc/os-release"), re.MULTILINE)
    return match.group(1) if match and "ID=debian" in _read("/etc/os-release") else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _run(command: list[str], what: str, cwd: Path | None = None) -> str:
    """Run a command; its standard output. On failure show what it said."""
    environment = os.environ | {"LC_ALL": "C", "PATH": f"{os.environ.get('PATH', '')}:{SBIN}"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd, check=False)
    except FileNotFoundError:
        raise SetupError(f"{command[0]} is missing", "run this on Debian, and 'make setup' first") from None
    if done.returncode != 0:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        for line in said[-5:]:
            print(line, file=sys.stderr)
        raise SetupError(f"{what} failed", "see the lines above; is there a network connection?")
    return done.stdout


def _say(text: str) -> None:
    print(f"vm: {text}", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """The program; its exit status."""
    parser = argparse.ArgumentParser(prog="tests/vm/kernels.py", description="Debian kernels to boot.")
    parser.add_argument("--pin", action="store_true", required=True, help="pin the newest images that the mirror has")
    parser.add_argument("releases", nargs="*", metavar="RELEASE", help=f"of {', '.join(KERNELS)}; all if none is given")
    options = parser.parse_args(arguments)
    if unknown := [release for release in options.releases if release not in KERNELS]:
        parser.error(f"there is no row for {', '.join(unknown)}")
    try:
        pin(options.releases or list(KERNELS))
    except SetupError as error:
        _say(f"error: {error.problem}")
        _say(error.advice)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
