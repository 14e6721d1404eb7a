/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SWAPTRACE_POOLS_H
#define SWAPTRACE_POOLS_H
/* The pools of zsmalloc that compressed pages are in (mm/zsmalloc.c), as the recorder looks at them. */

#include "common.h"

#ifdef OFF_POOL_CLASSES
/* The chain length of each size class of a zsmalloc pool, in pages: what the recorder needs to model it. */
BPF_ARRAY(pool_classes, u32, POOL_CLASSES);

static inline void read_pool_classes(u64 pool)
{
	for (u32 i = 0; i < POOL_CLASSES; i++) {
		u32 index = i, pages = 0;
		u64 size_class = 0;

		READ(size_class, pool + OFF_POOL_CLASSES + 8 * i);
		if (size_class)
			READ(pages, size_class + OFF_CLASS_PAGES);
		pool_classes.update(&index, &pages);
	}
}
#endif

#ifdef OFF_ZRAM_POOL
/* The device that the recorder reads a page from: its pool is looked at. */
BPF_ARRAY(recorder_zram, u64, 1);

static inline void zram_read(u64 *zram)
{
	u32 zero = 0;

	recorder_zram.update(&zero, zram);
}

static inline void look_at_zram_pool(void)
{
	u32 zero = 0;
	u64 *zram = recorder_zram.lookup(&zero), pool = 0;

	if (!zram || !*zram)
		return;
	READ(pool, *zram + OFF_ZRAM_POOL);
	read_pool_classes(pool);
}
#else
static inline void zram_read(u64 *zram)
{
}

static inline void look_at_zram_pool(void)
{
}
#endif

#ifdef ZSWAP_POOLS
#define MAX_ZSWAP_POOLS 8

/* How many pools zswap has: a new one for each change of its compressor or allocator, while the old one has entries. */
BPF_ARRAY(zswap_pool_count, u32, 1);

/* Count them, and look at the size classes of the current one, the first in the list. */
static inline void look_at_zswap_pools(void)
{
	u64 next = 0, pool = 0;
	u32 zero = 0, count = 0;

	READ(next, ZSWAP_POOLS);
	pool = next - OFF_ZSWAP_POOL_LIST;
	for (u32 i = 0; i < MAX_ZSWAP_POOLS; i++) {
		if (!next || next == ZSWAP_POOLS)
			break;
		count += 1;
		READ(next, next);
	}
	zswap_pool_count.update(&zero, &count);
	READ(pool, pool + OFF_ZSWAP_POOL);
#ifdef OFF_ZPOOL_POOL
	READ(pool, pool + OFF_ZPOOL_POOL);
#endif
	read_pool_classes(pool);
}
#else
static inline void look_at_zswap_pools(void)
{
}
#endif

/* What the recorder asks for when it looks at the areas. */
static inline void look_at_pools(void)
{
	look_at_zram_pool();
	look_at_zswap_pools();
}

#endif
