"""Where the kernel keeps what the BPF programs read: constants computed from the running kernel's BTF.

Each constant has one or more places (`struct.member`), tried in order; a release is named where the place moved.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from swaptrace.live.btf import Btf, KernelTypes

__all__ = ["MAX_SWAP_TYPES", "MissingLayout", "fullness_rule", "layout"]

MAX_SWAP_TYPES = 32  # 1 << MAX_SWAPFILES_SHIFT (include/linux/swap.h)
ENTRY_TYPE_SHIFT = 58  # SWP_TYPE_SHIFT: BITS_PER_XA_VALUE - MAX_SWAPFILES_SHIFT (include/linux/swapops.h)

_KERNEL: dict[str, tuple[str, ...]] = {
    "OFF_TASK_FLAGS": ("task_struct.flags",),
    "OFF_TASK_STACK": ("task_struct.stack",),
    "OFF_SWAP_TYPE": ("swap_info_struct.type",),
    "OFF_SWAP_FLAGS": ("swap_info_struct.flags",),
    "OFF_SWAP_PRIO": ("swap_info_struct.prio",),
    "OFF_SWAP_PAGES": ("swap_info_struct.pages",),
    "OFF_SWAP_FILE": ("swap_info_struct.swap_file",),
    "OFF_BIO_OPF": ("bio.bi_opf",),
    "OFF_BIO_BDEV": ("bio.bi_bdev",),
    "OFF_BIO_SECTOR": ("bio.bi_iter.bi_sector",),
    "OFF_BIO_SIZE": ("bio.bi_iter.bi_size",),
    "OFF_BIO_FIRST": ("bio.bi_iter.bi_idx",),
    "OFF_BIO_VECTORS": ("bio.bi_io_vec",),
    "OFF_BDEV_DISK": ("block_device.bd_disk",),
    "OFF_DISK_PRIVATE": ("gendisk.private_data",),
    "OFF_DISK_MINOR": ("gendisk.first_minor",),
    # struct folio since 5.16, which has the field even where struct page lost it
    "OFF_PAGE_MEMCG": ("folio.memcg_data", "page.memcg_data", "page.mem_cgroup"),
    "OFF_MEMCG_CGROUP": ("mem_cgroup.css.cgroup",),
    "OFF_CGROUP_NODE": ("cgroup.kn",),
    "OFF_NODE_ID": ("kernfs_node.id",),
}
_KERNEL_SIZES = {"SIZE_BIO_VECTOR": "bio_vec", "SIZE_PT_REGS": "pt_regs"}

_ZRAM: dict[str, tuple[str, ...]] = {
    "OFF_ZRAM_TABLE": ("zram.table",),
    "OFF_ZRAM_DISK": ("zram.disk",),
    "OFF_ZRAM_FLAGS": ("zram_table_entry.flags", "zram_table_entry.attr.flags"),  # attr since 6.19 or so
    "OFF_ZRAM_HANDLE": ("zram_table_entry.handle",),
}
# The pool's size classes: without them, pools are not modelled, and all else is as it was.
_ZRAM_POOL = "zram.mem_pool"
_POOL = {"OFF_POOL_CLASSES": "zs_pool.size_class", "OFF_CLASS_PAGES": "size_class.pages_per_zspage"}
_ZRAM_SIZES = {"SIZE_ZRAM_ENTRY": "zram_table_entry"}


class MissingLayout(Exception):
    """The kernel's type information lacks these constants."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        super().__init__(", ".join(self.names))


def layout(types: KernelTypes, *, zram: bool) -> dict[str, int]:
    """All constants for the BPF programs, by name; those of the zram module if `zram` is set.

    Raises MissingLayout if the kernel does not tell one of them.
    """
    constants = _places(types.vmlinux, _KERNEL, _KERNEL_SIZES)
    constants["MAX_SWAP_TYPES"] = MAX_SWAP_TYPES
    constants["ENTRY_TYPE_SHIFT"] = ENTRY_TYPE_SHIFT
    constants["PAGE_SHIFT"] = os.sysconf("SC_PAGE_SIZE").bit_length() - 1
    if types.vmlinux.parameters("bpf_task_pt_regs") is not None:  # since 5.15
        constants["HAVE_TASK_PT_REGS"] = 1
    if zram:
        module = types.module("zram")
        if module is None:
            raise MissingLayout(_ZRAM)
        constants |= _places(module, _ZRAM, _ZRAM_SIZES) | _zram_flags(module) | _pool(types, module)
    return constants


def _zsmalloc(types: KernelTypes) -> Btf:
    """zsmalloc is a module of its own, or built in."""
    return types.module("zsmalloc") or types.vmlinux


def _pool(types: KernelTypes, zram: Btf) -> dict[str, int]:
    """Where the size classes of a store's pool are, and how many; nothing if the kernel does not tell."""
    pool, btf = zram.field(_ZRAM_POOL), _zsmalloc(types)
    fields = {name: btf.field(path) for name, path in _POOL.items()}
    classes = fields["OFF_POOL_CLASSES"]
    if pool is None or classes is None:
        return {}
    found = {name: field.offset for name, field in fields.items() if field is not None}
    if len(found) != len(_POOL):
        return {}
    return {"OFF_ZRAM_POOL": pool.offset, "POOL_CLASSES": classes.size // 8, **found}


def fullness_rule(types: KernelTypes) -> str:
    """The name of the kernel's rule in swaptrace.store.zsmalloc.FullnessRule: tenths since 6.4, quarters before."""
    return "TENTHS" if "ZS_INUSE_RATIO_0" in _zsmalloc(types).enum("fullness_group") else "QUARTERS"


def _places(btf: Btf, places: dict[str, tuple[str, ...]], sizes: dict[str, str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, paths in places.items():
        fields = (btf.field(path) for path in paths)
        field = next((f for f in fields if f is not None), None)
        if field is not None:
            found[name] = field.offset
    for name, struct in sizes.items():
        size = btf.size(struct)
        if size is not None:
            found[name] = size
    missing = [name for name in (*places, *sizes) if name not in found]
    if missing:
        raise MissingLayout(missing)
    return found


def _zram_flags(module: Btf) -> dict[str, int]:
    """enum zram_pageflags: bit numbers; below the lowest one lies the size (ZRAM_FLAG_SHIFT)."""
    flags = module.enum("zram_pageflags")
    missing = [name for name in ("ZRAM_SAME", "ZRAM_HUGE", "ZRAM_WB") if name not in flags]
    if missing:
        raise MissingLayout(missing)
    return {
        "ZRAM_FLAG_SHIFT": min(flags.values()),
        **{name: flags[name] for name in ("ZRAM_SAME", "ZRAM_HUGE", "ZRAM_WB")},
    }
