/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SWAPTRACE_CGROUPS_H
#define SWAPTRACE_CGROUPS_H
/* The memory cgroup that a page is charged to. */

#include "common.h"
#include "threads.h"

#ifdef OFF_PAGE_MEMCG
/* A mem_cgroup tells what it is: its subsystem is the memory controller. */
static inline bool is_memory_cgroup(u64 memcg)
{
	u64 subsystem = 0;

	READ(subsystem, memcg + OFF_MEMCG_SUBSYSTEM);
	return subsystem == MEMORY_SUBSYSTEM;
}

/*
 * The inode number of the memory cgroup that a page is charged to: 0 if it is charged to none. The page has a pointer
 * to the group, or (7.x; before that for the kernel's own pages) to an obj_cgroup that has it: looking tells which.
 */
static inline u32 cgroup_number(u64 memcg, struct last_cgroup *last)
{
	u64 serial = 0, cgroup = 0, node = 0, id = 0;
	bool direct;

	memcg &= ~7ULL; /* flags (include/linux/memcontrol.h) */
	if (!memcg)
		return 0;
	READ(serial, memcg + OFF_MEMCG_SERIAL);
	if (last->serial == serial && last->memcg == memcg)
		return last->id;
	direct = is_memory_cgroup(memcg);
	if (!direct) {
		READ(memcg, memcg + OFF_OBJCG_MEMCG);
		if (!is_memory_cgroup(memcg))
			return 0;
	}
	READ(cgroup, memcg + OFF_MEMCG_CGROUP);
	READ(node, cgroup + OFF_CGROUP_NODE);
	READ(id, node + OFF_NODE_ID);
	if (direct) {
		last->serial = serial;
		last->id = id;
		last->memcg = memcg;
	}
	return id;
}

/* That of a page. */
static inline u32 memory_cgroup_of(u64 page, struct thread *here)
{
	u64 memcg = 0;

	READ(memcg, page + OFF_PAGE_MEMCG);
	return cgroup_number(memcg, &here->last_cgroup);
}

/* That of a page or folio that is an argument of the function. */
static inline u32 memory_cgroup_of_argument(u64 page, struct thread *here)
{
	u64 memcg = 0;

	LOAD(memcg, page + OFF_PAGE_MEMCG);
	return cgroup_number(memcg, &here->last_cgroup);
}
#else
static inline u32 memory_cgroup_of(u64 page, struct thread *here)
{
	return 0;
}

static inline u32 memory_cgroup_of_argument(u64 page, struct thread *here)
{
	return 0;
}
#endif

#endif
