"""The kernel's own zsmalloc: its document, and how it makes size classes, compiled here for any chain length.

Both come from Debian's linux-source packages, which are fetched once, as kernels are.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kernels import KERNELS, PrivateApt, SetupError, cache_folder, fetched_once

_CODE, _DOCUMENT, _VERSION = "mm/zsmalloc.c", "Documentation/mm/zsmalloc.rst", "version"

# What the kernel's code needs around it. The chain is what Kconfig or, before 6.3, a constant says; nothing else that
# it takes depends on the machine, as long as pages have 4 KiB.
_BEFORE = """\
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#define PAGE_SIZE 4096UL
#define ZS_MAX_PAGES_PER_ZSPAGE CHAIN
#define ZS_HANDLE_SIZE sizeof(unsigned long)
#define ZS_MIN_ALLOC_SIZE 32
#define ZS_MAX_ALLOC_SIZE PAGE_SIZE
#define ZS_SIZE_CLASS_DELTA (PAGE_SIZE >> 8)
#define ZS_SIZE_CLASSES ((ZS_MAX_ALLOC_SIZE - ZS_MIN_ALLOC_SIZE + ZS_SIZE_CLASS_DELTA - 1) / ZS_SIZE_CLASS_DELTA + 1)
#define is_power_of_2(n) (((n) & ((n) - 1)) == 0)
#define kzalloc(size, flags) calloc(1, size)
#define kzalloc_obj(type) calloc(1, sizeof(type))
#define spin_lock_init(lock)
#define INIT_LIST_HEAD(list)
enum { ZS_EMPTY, ZS_INUSE_RATIO_0 = 0, NR_ZS_FULLNESS = 0, NR_FULLNESS_GROUPS = 0 };
struct size_class { int size, objs_per_zspage, pages_per_zspage; unsigned int index; };
static struct { struct size_class *size_class[ZS_SIZE_CLASSES]; } whole, *pool = &whole;
static size_t huge_class_size;
"""
_MAIN = """\
int main(void)
{
	int i;
	struct size_class *prev_class = NULL;

%s
	for (i = 0; i < (int)ZS_SIZE_CLASSES; i++)
		if ((int)pool->size_class[i]->index == i)
			printf("%%d %%d\\n", pool->size_class[i]->size, pool->size_class[i]->pages_per_zspage);
	return 0;
err:
	return 1;
}
"""


@dataclass(frozen=True)
class Row:
    """A row of the document's table: what pools with chains of so many pages are like."""

    chain: int
    classes: int
    watermark: int  # the size of the largest class that is not one of whole pages, bytes


@dataclass(frozen=True)
class Source:
    """What a release's package has of zsmalloc."""

    package: str
    version: str
    code: str
    document: str


def fetch(release: str) -> Source:
    """That of a release which is in the table of kernels."""
    folder = fetched_once(cache_folder() / "sources" / release, partial(_download, release))
    package, version = (folder / _VERSION).read_text().split()
    return Source(package, version, (folder / _CODE).read_text(), (folder / _DOCUMENT).read_text())


def _download(release: str, staging: Path) -> Path:
    name = f"linux-source-{release}"
    print(f"vm: fetching {name} (once)", flush=True)
    apt = PrivateApt(staging / "apt", KERNELS[release].suite)
    package = apt.package(name)
    (deb,) = apt.download([package])
    found = staging / "root"
    found.mkdir()
    wanted = [f"{name}/{path}" for path in (_CODE, _DOCUMENT)]
    # Not the package as a whole: it is ten times as large as what it holds, and holds 80,000 files.
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as files:
        unpack = ["tar", "-xO", f"./usr/src/{name}.tar.xz"]
        with subprocess.Popen(unpack, stdin=files.stdout, stdout=subprocess.PIPE) as packed:
            inner = ["tar", "-xJ", "-C", str(found), "--strip-components=1", *wanted]
            subprocess.run(inner, stdin=packed.stdout, check=True)
    (found / _VERSION).write_text(f"{package.name} {package.version}\n")
    return found


def documented(document: str) -> list[Row]:
    """The table at the end of the document; none if it has none."""
    lines = iter(document.splitlines())
    for line in lines:
        if "number of size classes" in line:
            break
    rows = []
    for line in lines:
        if not (found := re.fullmatch(r"\s+(\d+)\s+(\d+)\s+(\d+)", line)):
            break
        rows.append(Row(*map(int, found.groups())))
    return rows


def listed(document: str, chain: int) -> list[tuple[int, int]]:
    """The largest classes that the document shows for a chain length, if it does: (bytes, pages of a zspage) each."""
    _, _, after = document.partition(f"For zspage chain size of {chain},")
    block = re.match(r".*?\n  \.\.\.\n(.*?)\n  \.\.\.\n", after, re.DOTALL)
    rows = [line.split() for line in block[1].splitlines()] if block else []
    return [(int(row[1]), int(row[-2])) for row in rows]


def size_classes(code: str, chain: int) -> list[tuple[int, int]]:
    """What the code makes of that chain length: (bytes, pages of a zspage) of each size class. Pages of 4 KiB.

    Raises SetupError if the code is not what it was when this was written, or if there is no compiler.
    """
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "classes"
        command = ["gcc", "-w", "-x", "c", f"-DCHAIN={chain}", "-o", str(program), "-"]
        try:
            subprocess.run(command, input=program_of(code), text=True, capture_output=True, check=True)
            said = subprocess.run([program], text=True, capture_output=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError) as error:
            raise SetupError(
                f"the size classes of mm/zsmalloc.c could not be worked out: {error}",
                "see whether gcc is there, and what kernel_source.py takes from that file",
            ) from None
    return [(int(size), int(pages)) for size, pages in (line.split() for line in said.splitlines())]


def program_of(code: str) -> str:
    """A program of the kernel's two functions and the loop that makes a pool's classes."""
    chain = _block(code, r"^static int (?:calculate_zspage_chain_size|get_pages_per_zspage)\(int class_size\)\n\{", "}")
    merge = _block(code, r"^static bool can_merge\([^{]*\{", "}")
    create = _block(code, r"^struct zs_pool \*zs_create_pool\([^{]*\{", "}")
    loop = _block(create, r"^\tfor \(i = ZS_SIZE_CLASSES - 1; i >= 0; i--\) \{", "\t}")
    return f"{_BEFORE}\n{chain}\n{merge}\n{_MAIN % loop}"


def _block(code: str, beginning: str, end: str) -> str:
    """From a line that begins so to the line that is its end."""
    found = re.search(f"{beginning}.*?\\n{end}\\n", code, re.DOTALL | re.MULTILINE)
    if found is None:
        raise SetupError(
            f"mm/zsmalloc.c has nothing like {beginning!r}", "see what kernel_source.py takes from that file"
        )
    return found[0]
