"""Debian kernels to boot: one table, fetched once with apt, unpacked into a cache.

Nothing is installed on the machine: apt works on lists and a status file of its own, and the
packages are unpacked with ``dpkg -x``. No root is needed.
"""

from __future__ import annotations

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
]

CHECKOUT = Path(__file__).resolve().parents[2]

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR_VARIABLE = "SWAPTRACE_DEBIAN_MIRROR"
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
    """A row of the table: the newest ``release``.x kernel image that ``suite`` offers."""

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


# To add a kernel, add a row. Suites that have left the mirrors need SWAPTRACE_DEBIAN_MIRROR set
# to an archive that still has them.
_SINCE_6_1 = Feature.MODULE_TYPES | Feature.ZSWAP_FIGURES
_SINCE_6_12 = _SINCE_6_1 | Feature.ZERO_MAP
_SINCE_6_18 = _SINCE_6_12 | Feature.PREEMPTION
KERNELS: dict[str, Kernel] = {
    kernel.release: kernel
    for kernel in (
        Kernel("5.10", "bullseye", "swap_range_free", Feature.NONE, Part.DEGRADED | Part.LTP),
        Kernel("6.1", "bookworm", "swap_range_free", _SINCE_6_1 | Feature.READ_BACK_TWICE, Part.AREAS | Part.STRESS),
        Kernel("6.12", "trixie", "swap_entry_range_free", _SINCE_6_12, Part.AREAS | Part.AUDIT | Part.ZSWAP, "trixie"),
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


def cache_folder() -> Path:
    """Where kernels are kept."""
    return Path(os.environ.get("SWAPTRACE_CACHE") or CHECKOUT / "build" / "cache").resolve()


def cached(kernel: Kernel) -> UnpackedKernel | None:
    """The unpacked kernel, or None if it was never fetched."""
    root = cache_folder() / "kernels" / kernel.release
    images = sorted((root / "boot").glob("vmlinuz-*"))
    return UnpackedKernel(root, images[-1].name.removeprefix("vmlinuz-")) if images else None


def fetch(kernel: Kernel) -> UnpackedKernel:
    """The unpacked kernel, downloaded if it is not in the cache yet."""
    # Without the lock at first: a cache that is complete may be read-only.
    found = cached(kernel)
    if found is not None:
        return found
    with locked(cache_folder() / "kernels" / f"{kernel.release}.lock"):
        if cached(kernel) is None:
            _download(kernel, cache_folder() / "kernels" / kernel.release)
    found = cached(kernel)
    if found is None:
        raise SetupError(f"Linux {kernel.release} has vanished from the cache", "try again")
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
    """Download and unpack a kernel; ``target`` appears complete or not at all."""
    _say(f"fetching Linux {kernel.release} from Debian {kernel.suite} (once)")
    with tempfile.TemporaryDirectory(prefix=f"{kernel.release}.", dir=target.parent) as name:
        staging = Path(name)
        apt = PrivateApt(staging / "apt", kernel.suite)
        packages = _with_split_packages(apt, _newest_image(apt, kernel))
        unpacked = staging / "root"
        for deb in apt.download(packages):
            _run(["dpkg", "-x", str(deb), str(unpacked)], "unpacking a kernel package")
            deb.unlink()
        _complete(unpacked)
        unpacked.chmod(0o755)
        unpacked.rename(target)
    _say(f"unpacked {' '.join(packages)}")


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

    def __init__(self, folder: Path, suite: str) -> None:
        if not KEYRING.exists():
            raise SetupError(
                f"{KEYRING} is missing: Debian's packages cannot be verified",
                "install the package debian-archive-keyring",
            )
        self.mirror = _debian_mirror()
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

    def download(self, packages: list[str]) -> list[Path]:
        """Download packages; the .deb files."""
        debs = self._folder / "debs"
        self._apt("apt-get", "-q", "download", *packages, cwd=debs)
        return sorted(debs.glob("*.deb"))

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
