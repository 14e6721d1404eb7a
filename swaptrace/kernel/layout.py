"""Where the kernel keeps what the BPF programs read: constants computed from the running kernel's BTF.

Each constant has one or more places (`struct.member`), tried in order; a release is named where the place moved.
Where the kernel has no type information for its modules, a row for zram is assumed (`assumed_zram`), which the recorder
compares with what the kernel says of the same entries (tracing/assumed.py) before it records anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from swaptrace.areas import ZSWAP_STORES
from swaptrace.kernel.btf import Btf, KernelTypes

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
    "OFF_BIO_SECTOR": ("bio.bi_iter.bi_sector",),
    "OFF_BIO_SIZE": ("bio.bi_iter.bi_size",),
    "OFF_BIO_FIRST": ("bio.bi_iter.bi_idx",),
    "OFF_BIO_VECTORS": ("bio.bi_io_vec",),
    "OFF_BDEV_DISK": ("block_device.bd_disk",),
    "OFF_DISK_PRIVATE": ("gendisk.private_data",),
    "OFF_DISK_MINOR": ("gendisk.first_minor",),
}
# A bio's disk: directly up to 5.11, through its block device later.
_BIO_DISK = {"OFF_BIO_BDEV": "bio.bi_bdev", "OFF_BIO_DISK": "bio.bi_disk"}
# What recording can do without. Memory cgroups: CONFIG_MEMCG. struct folio since 5.16, which has the field even where
# struct page lost it; 5.10 has mem_cgroup.
_MEMORY_CGROUP: dict[str, tuple[str, ...]] = {
    "OFF_PAGE_MEMCG": ("folio.memcg_data", "page.memcg_data", "page.mem_cgroup"),
    "OFF_OBJCG_MEMCG": ("obj_cgroup.memcg",),
    "OFF_MEMCG_SUBSYSTEM": ("mem_cgroup.css.ss",),
    "OFF_MEMCG_CGROUP": ("mem_cgroup.css.cgroup",),
    "OFF_MEMCG_SERIAL": ("mem_cgroup.css.serial_nr",),
    "OFF_CGROUP_NODE": ("cgroup.kn",),
    "OFF_NODE_ID": ("kernfs_node.id",),
}
# By which swap_range_free() (mm/swapfile.c) finds out whom to notify.
_NOTIFIED: dict[str, tuple[str, ...]] = {
    "OFF_SWAP_BDEV": ("swap_info_struct.bdev",),
    "OFF_DISK_FUNCTIONS": ("gendisk.fops",),
    "OFF_FUNCTIONS_NOTIFY": ("block_device_operations.swap_slot_free_notify",),
}
# A folio's order: the low byte of _flags_1, if it is a large one (folio_large_order(), include/linux/mm.h).
_FOLIO: dict[str, tuple[str, ...]] = {"OFF_FOLIO_FLAGS": ("folio.flags",), "OFF_FOLIO_ORDER": ("folio._flags_1",)}
# Slots by cluster: where the kernel tells how many a cluster has, by the size of its table (since 6.18).
_CLUSTERS: dict[str, tuple[str, ...]] = {"OFF_SWAP_CLUSTERS": ("swap_info_struct.cluster_info",)}
_SMALL_CLUSTER = 256
_CLUSTER_TABLE = "swap_table.entries"
_KERNEL_SIZES = {"SIZE_BIO_VECTOR": "bio_vec", "SIZE_PT_REGS": "pt_regs"}

_ZRAM: dict[str, tuple[str, ...]] = {
    "OFF_ZRAM_TABLE": ("zram.table",),
    "OFF_ZRAM_DISK": ("zram.disk",),
    "OFF_ZRAM_FLAGS": ("zram_table_entry.flags", "zram_table_entry.attr.flags"),  # attr: 7.3
    "OFF_ZRAM_HANDLE": ("zram_table_entry.handle",),
}
_ZRAM_SIZES = {"SIZE_ZRAM_ENTRY": "zram_table_entry"}

# drivers/block/zram/zram_drv.h of 5.10, with CONFIG_ZRAM_MEMORY_TRACKING, on 64-bit machines with pages of 4 KiB
_ASSUMED_ZRAM = {
    "OFF_ZRAM_TABLE": 0,
    "OFF_ZRAM_DISK": 24,
    "OFF_ZRAM_HANDLE": 0,
    "OFF_ZRAM_FLAGS": 8,
    "SIZE_ZRAM_ENTRY": 24,
    "ZRAM_FLAG_SHIFT": 24,
    "ZRAM_SAME": 25,
    "ZRAM_WB": 26,
    "ZRAM_CHOSEN": 27,
    "ZRAM_HUGE": 28,
}
# mm/zsmalloc.c of 5.10; size_class begins with a spinlock, which debugging options make larger
_ASSUMED_POOL = {"OFF_ZRAM_POOL": 8, "OFF_POOL_CLASSES": 8, "POOL_CLASSES": 255, "OFF_CLASS_PAGES": 80}
_ASSUMED_SPINLOCK = 4
_ZSWAP: dict[str, tuple[str, ...]] = {
    "OFF_SWAP_ENTRY": ("folio.swap", "page.private"),  # a field of its own since 6.6
    "OFF_ZSWAP_LENGTH": ("zswap_entry.length",),
    "OFF_ZSWAP_HANDLE": ("zswap_entry.handle",),
    "OFF_ZSWAP_PLACE": ("zswap_entry.swpentry", "zswap_entry.offset"),
}

# The pool's size classes: without them, pools are not modelled, and all else is as it was.
_POOL = {"OFF_POOL_CLASSES": "zs_pool.size_class", "OFF_CLASS_PAGES": "size_class.pages_per_zspage"}
_ZRAM_POOL = {"OFF_ZRAM_POOL": "zram.mem_pool"}
# zpool, a layer between zswap and its allocators, is gone since 6.18
_ZSWAP_POOLS = (
    {"OFF_ZSWAP_POOL_LIST": "zswap_pool.list", "OFF_ZSWAP_POOL": "zswap_pool.zs_pool"},
    {"OFF_ZSWAP_POOL_LIST": "zswap_pool.list", "OFF_ZSWAP_POOL": "zswap_pool.zpool", "OFF_ZPOOL_POOL": "zpool.pool"},
)


class _Habit(NamedTuple):
    """What a kernel does, told by the fields that came and went with it. has: all of these; lacks: any of these."""

    has: tuple[str, ...]
    lacks: tuple[str, ...]


#: Where a CPU looks for its next cluster. 9a42aed48421 ("mm, swap: prefer nonfull over free clusters", 6.18): among the
#: free ones first if the area discards (SWP_PAGE_DISCARD), among those partly in use first if not; until then all areas
#: took free ones first. nonfull_clusters is the list of the latter, since 6.12. frag_cluster_nr came with it, and went
#: by the patch just before, "mm, swap: remove fragment clusters counter" of the same series.
_SLOTS_BY_DISCARD = _Habit(has=("swap_info_struct.nonfull_clusters",), lacks=("swap_info_struct.frag_cluster_nr",))


class MissingLayout(Exception):
    """The kernel's type information lacks these constants."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        super().__init__(", ".join(self.names))


def layout(types: KernelTypes, *, zram: bool, zswap: bool = False, zswap_pools: int = 0) -> dict[str, int]:
    """All constants for the BPF programs, by name; those of the zram module and of zswap if they are asked for.

    zswap_pools: the address of zswap's list of pools, if they are zsmalloc's; 0 if not, or if it is not known.

    Raises MissingLayout if the kernel does not tell one of them.
    """
    kernel = types.vmlinux
    constants = _places(kernel, _KERNEL, _KERNEL_SIZES) | _bio_disk(kernel) | _without_need(kernel)
    constants["MAX_SWAP_TYPES"] = MAX_SWAP_TYPES
    constants["ENTRY_TYPE_SHIFT"] = ENTRY_TYPE_SHIFT
    constants["PAGE_SHIFT"] = os.sysconf("SC_PAGE_SIZE").bit_length() - 1
    if kernel.parameters("bpf_task_pt_regs") is not None:  # since 5.15
        constants["HAVE_TASK_PT_REGS"] = 1
    if zram:
        module = types.module("zram")
        if module is not None:
            constants |= _places(module, _ZRAM, _ZRAM_SIZES) | _zram_flags(module)
            constants |= _pool(types, module, _ZRAM_POOL)
        elif (assumed := assumed_zram(types)) is not None:
            constants |= assumed | {"ASSUMED_ZRAM": 1}
        else:
            raise MissingLayout(_ZRAM)
    if zswap:
        constants |= _zswap(kernel)
    if zswap and zswap_pools:
        found = (_pool(types, kernel, places) for places in _ZSWAP_POOLS)
        pools = next((places for places in found if places), {})
        constants |= {**pools, "ZSWAP_POOLS": zswap_pools} if pools else {}
    return constants


def _zswap(kernel: Btf) -> dict[str, int]:
    """zswap's entries, and what some allocators keep before the page.

    The entries have the offset alone (seen: 5.10, 6.1) until 0bb488498c98 ("mm: zswap: remove zswap_header"), 6.5.
    """
    constants = _places(kernel, _ZSWAP, {}) | {"ZSWAP_STORES": ZSWAP_STORES}
    if kernel.field("zswap_entry.swpentry") is None:
        constants["ZSWAP_PLACE_IS_OFFSET"] = 1
    evictable, header = kernel.field("zpool.evictable"), kernel.size("zswap_header")
    if evictable is not None and header is not None:
        constants |= {"OFF_ZPOOL_EVICTABLE": evictable.offset, "SIZE_ZSWAP_HEADER": header}
    return constants


def assumed_zram(types: KernelTypes) -> dict[str, int] | None:
    """The constants of a zram module without type information; None if it has some, or no row fits this kernel.

    The kernels that have a bio's disk in the bio itself (up to 5.11) have all had this zram since 5.1 or before.
    """
    kernel = types.vmlinux
    page_size = os.sysconf("SC_PAGE_SIZE")
    if types.module("zram") is not None or kernel.field(_BIO_DISK["OFF_BIO_DISK"]) is None or page_size != 4096:
        return None
    pool = _ASSUMED_POOL if kernel.size("spinlock") == _ASSUMED_SPINLOCK else {}
    return _ASSUMED_ZRAM | pool


def zram_entry_size(types: KernelTypes) -> int | None:
    """Bytes of an entry of zram's table; None if the kernel does not tell, and no row is assumed for it."""
    size = (types.module("zram") or types.vmlinux).size(_ZRAM_SIZES["SIZE_ZRAM_ENTRY"])
    return size if size is not None else (assumed_zram(types) or {}).get("SIZE_ZRAM_ENTRY")


def _bio_disk(kernel: Btf) -> dict[str, int]:
    for name, path in _BIO_DISK.items():
        field = kernel.field(path)
        if field is not None:
            return {name: field.offset}
    raise MissingLayout(_BIO_DISK)


def _without_need(kernel: Btf) -> dict[str, int]:
    """What recording can do without: of each group all constants, or none."""
    found: dict[str, int] = {}
    for group in (_MEMORY_CGROUP, _NOTIFIED):
        with suppress(MissingLayout):
            found |= _places(kernel, group, {})
    head = kernel.enum("pageflags").get("PG_head")
    with suppress(MissingLayout):
        if head is not None:
            found |= _places(kernel, _FOLIO, {}) | {"FOLIO_HEAD": head}
    table = kernel.field(_CLUSTER_TABLE)
    with suppress(MissingLayout):
        if table is not None:
            sizes = {"SIZE_SWAP_CLUSTER": "swap_cluster_info"}
            found |= _places(kernel, _CLUSTERS, sizes) | {"CLUSTER_SLOTS": table.size // 8}
    return found


def _zsmalloc(types: KernelTypes) -> Btf:
    """zsmalloc is a module of its own, or built in."""
    return types.module("zsmalloc") or types.vmlinux


def _pool(types: KernelTypes, owner: Btf, places: dict[str, str]) -> dict[str, int]:
    """Where the size classes of a store's pool are, and how many; nothing if the kernel does not tell."""
    btf = _zsmalloc(types)
    fields = {name: btf.field(path) for name, path in _POOL.items()}
    classes = fields["OFF_POOL_CLASSES"]
    fields |= {name: owner.field(path) for name, path in places.items()}
    found = {name: field.offset for name, field in fields.items() if field is not None}
    if classes is None or len(found) != len(fields):
        return {}
    return {"POOL_CLASSES": classes.size // 8, **found}


#: Positions by order of huge page, 1 if those are not swapped whole (SWAP_NR_ORDERS, include/linux/swap.h): of rotating
#: disks since 6.15, of each processor from 6.9 to 6.14.
_POSITIONS = ("swap_sequential_cluster.next", "percpu_cluster.next")
_SINGLE_POSITION = "percpu_cluster.index"  # the structure as it was until 6.8


def cluster_slots(types: KernelTypes, huge_slots: int, *, splits: bool) -> int:
    """SWAPFILE_CLUSTER (mm/swap.h, before in mm/swapfile.c): huge_slots with CONFIG_THP_SWAP, 256 without.

    huge_slots: pages of a huge page, which swap in one piece only with that option. splits: whether the kernel has
    split_swap_cluster(), which is there with that option only, until 6.9 or later.
    """
    kernel = types.vmlinux
    table = kernel.field(_CLUSTER_TABLE)
    if table is not None:
        return table.size // 8
    found = next((field for path in _POSITIONS if (field := kernel.field(path)) is not None), None)
    if found is not None and kernel.field(_SINGLE_POSITION) is None:
        return huge_slots if found.size > 4 else _SMALL_CLUSTER
    return huge_slots if splits else _SMALL_CLUSTER


class SwapMapLayout(NamedTuple):
    """Where a swap_info_struct has what is said of each slot (swaptrace.machine.swap_map): offsets in bytes.

    flags, slots, in_use: of the area's own flags, of how many slots it has, and how many are in use. swap_map, zeromap:
    None where there is none. clusters: of the pointer to its clusters, which have cluster_size bytes and cluster_slots
    slots each. table: of a cluster's swap table, in the cluster; None before 6.18.
    """

    flags: int
    slots: int
    in_use: int
    swap_map: int | None
    zeromap: int | None
    clusters: int
    cluster_size: int
    cluster_slots: int
    table: int | None


def swap_map_layout(types: KernelTypes) -> SwapMapLayout | None:
    """None if the kernel's type information does not tell of what is known here."""
    kernel = types.vmlinux

    def offset(path: str) -> int | None:
        field = kernel.field(path)
        return field.offset if field is not None else None

    flags, slots, in_use, clusters = (
        offset(f"swap_info_struct.{name}") for name in ("flags", "max", "inuse_pages", "cluster_info")
    )
    swap_map, table = offset("swap_info_struct.swap_map"), kernel.field(_CLUSTER_TABLE)
    if flags is None or slots is None or in_use is None or clusters is None or (swap_map is None and table is None):
        return None
    return SwapMapLayout(
        flags=flags,
        slots=slots,
        in_use=in_use,
        swap_map=swap_map,
        zeromap=offset("swap_info_struct.zeromap"),
        clusters=clusters,
        cluster_size=kernel.size("swap_cluster_info") or 0,
        cluster_slots=table.size // 8 if table is not None else 0,
        table=offset("swap_cluster_info.table") if table is not None else None,
    )


def fullness_rule(types: KernelTypes) -> str:
    """The name of the kernel's rule in swaptrace.engine.zsmalloc.FullnessRule: tenths since 6.4, quarters before."""
    return "TENTHS" if "ZS_INUSE_RATIO_0" in _zsmalloc(types).enum("fullness_group") else "QUARTERS"


def slots_by_discard(types: KernelTypes) -> bool:
    """Whether this kernel takes other slots in an area that discards its free clusters than in one that does not."""
    return _does(types.vmlinux, _SLOTS_BY_DISCARD)


def _does(kernel: Btf, habit: _Habit) -> bool:
    there = [kernel.field(path) is not None for path in habit.has]
    return all(there) and all(kernel.field(path) is None for path in habit.lacks)


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
    chosen = "ZRAM_UNDER_WB" if "ZRAM_UNDER_WB" in flags else "ZRAM_PP_SLOT"  # for writeback; the former until 6.12
    known = {name: name for name in ("ZRAM_SAME", "ZRAM_HUGE", "ZRAM_WB")} | {"ZRAM_CHOSEN": chosen}
    missing = [flag for flag in known.values() if flag not in flags]
    if missing:
        raise MissingLayout(missing)
    found = {"ZRAM_FLAG_SHIFT": min(flags.values()), **{name: flags[flag] for name, flag in known.items()}}
    slot = module.field("zram_pp_slot.index")
    return found | ({} if slot is None else {"OFF_PP_SLOT_INDEX": slot.offset})
