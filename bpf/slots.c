/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Slots that the kernel allocates and frees (mm/swapfile.c), and why it frees them.
 *
 * Every kernel calls the function by another name and with other arguments: each program below is one shape of them,
 * and swaptrace/kernel/probes.py says which kernels have it.
 */

#include "common.h"
#include "tasks.h"

#define PF_EXITING 0x00000004
#define PF_MEMALLOC 0x00000800
#define PF_KSWAPD 0x00020000
#define PF_KTHREAD 0x00200000

static inline u32 free_reason(void)
{
	u64 task = this_task();
	u32 flags = 0;

	LOAD(flags, task + OFF_TASK_FLAGS);
	if (flags & (PF_MEMALLOC | PF_KSWAPD))
		return REASON_RECLAIM;
	if (flags & PF_EXITING)
		return REASON_EXIT;
	if (flags & PF_KTHREAD)
		return REASON_OTHER;
	switch (current_syscall(task)) {
		SYSCALLS_UNMAP
		return REASON_UNMAP;
		SYSCALLS_EXEC
		return REASON_EXIT;
		SYSCALLS_SWAPOFF
		return REASON_SWAPOFF;
	}
	return REASON_SWAPIN;
}

#ifdef TIME_FREES
/* How long the slot-free function takes, notifications included. It runs under a spinlock, so it stays on its CPU. */
struct free_path {
	u64 calls;
	u64 slots;
	u64 ns;
	u64 start;
};

BPF_PERCPU_ARRAY(free_paths, struct free_path, 1);

static inline void start_timing(u32 count)
{
	u32 zero = 0;
	struct free_path *path = free_paths.lookup(&zero);

	if (!path)
		return;
	path->calls += 1;
	path->slots += count;
	path->start = bpf_ktime_get_ns();
}

int slots_freed_return(void *ctx)
{
	u32 zero = 0;
	struct free_path *path = free_paths.lookup(&zero);

	if (path && path->start) {
		path->ns += bpf_ktime_get_ns() - path->start;
		path->start = 0;
	}
	return 0;
}
#else
static inline void start_timing(u32 count)
{
}
#endif

static inline void slots_freed(u8 type, u64 offset, u32 count)
{
	struct event event = {};

	event.tgid = current_task();
	event.time = bpf_ktime_get_ns();
	event.slot = offset;
	event.run = count;
	event.flags = free_reason() << REASON_SHIFT;
	event.kind = EVENT_FREE;
	event.device = type;
	emit(&event, count);
	start_timing(count);
}

/* swap_range_free(struct swap_info_struct *, unsigned long offset, unsigned int nr_entries) */
int slots_freed_by_offset(void *ctx)
{
	u8 type = 0;

	LOAD(type, ARG(ctx, 0) + OFF_SWAP_TYPE);
	slots_freed(type, ARG(ctx, 1), ARG(ctx, 2));
	return 0;
}

static inline void slots_allocated(u8 type, u64 offset, u32 count)
{
	struct event event = {};

	event.time = bpf_ktime_get_ns();
	event.slot = offset;
	event.run = count;
	event.kind = EVENT_ALLOC;
	event.device = type;
	emit(&event, count);
}

/* swap_range_alloc(struct swap_info_struct *, unsigned long offset, unsigned int nr_entries) */
int slots_allocated_by_offset(void *ctx)
{
	u8 type = 0;

	LOAD(type, ARG(ctx, 0) + OFF_SWAP_TYPE);
	slots_allocated(type, ARG(ctx, 1), ARG(ctx, 2));
	return 0;
}

/* swap_entry_free(struct swap_info_struct *, swp_entry_t): before 5.10, one slot at a time */
int slot_freed_by_entry(void *ctx)
{
	u64 entry = ARG(ctx, 1);

	slots_freed(ENTRY_TYPE(entry), ENTRY_OFFSET(entry), 1);
	return 0;
}

/* swap_entry_range_free(struct swap_info_struct *, swp_entry_t, unsigned int nr_pages) */
int slots_freed_by_entry(void *ctx)
{
	u64 entry = ARG(ctx, 1);

	slots_freed(ENTRY_TYPE(entry), ENTRY_OFFSET(entry), ARG(ctx, 2));
	return 0;
}

/* swap_entries_free(struct swap_info_struct *, struct swap_cluster_info *, swp_entry_t, unsigned int nr_pages) */
int slots_freed_by_cluster_and_entry(void *ctx)
{
	u64 entry = ARG(ctx, 2);

	slots_freed(ENTRY_TYPE(entry), ENTRY_OFFSET(entry), ARG(ctx, 3));
	return 0;
}

#ifdef OFF_SWAP_CLUSTERS
/* Clusters lie in one array; the place in it tells which slots they hold. */
static inline u64 cluster_offset(u64 area, u64 cluster)
{
	u64 clusters = 0;

	READ(clusters, area + OFF_SWAP_CLUSTERS);
	return (as_number(cluster) - clusters) / SIZE_SWAP_CLUSTER * CLUSTER_SLOTS;
}

/* __swap_cluster_free_entries(struct swap_info_struct *, struct swap_cluster_info *, unsigned int start, unsigned int
 * nr_pages): start is counted within the cluster */
int slots_freed_in_cluster(void *ctx)
{
	u64 area = ARG(ctx, 0);
	u8 type = 0;

	READ(type, area + OFF_SWAP_TYPE);
	slots_freed(type, cluster_offset(area, ARG(ctx, 1)) + (u32)ARG(ctx, 2), ARG(ctx, 3));
	return 0;
}
#endif

#ifdef OFF_FOLIO_ORDER
/* __swap_cache_add_folio(struct swap_cluster_info *, struct folio *, swp_entry_t): a folio gets its first slots here */
int slots_allocated_for_folio(void *ctx)
{
	u64 folio = ARG(ctx, 1), entry = ARG(ctx, 2), flags = 0;
	u8 order = 0;

	READ(flags, folio + OFF_FOLIO_FLAGS);
	if (flags >> FOLIO_HEAD & 1) /* a single page has no order */
		READ(order, folio + OFF_FOLIO_ORDER);
	slots_allocated(ENTRY_TYPE(entry), ENTRY_OFFSET(entry), 1U << (order & 31));
	return 0;
}
#endif

/* A request for slots under way in each thread, by its number's low bits; see zram_io_running in zram.c. */
struct slot_request {
	u64 thread; /* 0: none is running */
	u64 entries;
	u32 size; /* slots behind each entry */
	u32 wanted;
};

#define MAX_SLOT_REQUESTS 4096
#define SLOT_BATCH 64 /* SWAP_BATCH (include/linux/swap_slots.h): entries asked for at once */
BPF_ARRAY(slot_requests, struct slot_request, MAX_SLOT_REQUESTS);

static inline void slots_wanted(u32 entries, u64 place_of_entries, u32 size)
{
	u64 thread = bpf_get_current_pid_tgid();
	u32 place = thread & (MAX_SLOT_REQUESTS - 1);
	struct slot_request *request = slot_requests.lookup(&place);

	if (!request)
		return;
	if (request->thread && request->thread != thread)
		call_displaced(EVENT_ALLOC, request->wanted);
	request->thread = thread;
	request->entries = place_of_entries;
	request->size = size;
	request->wanted = entries * size;
	call_entered(EVENT_ALLOC, request->wanted);
}

/* get_swap_pages(int n_goal, swp_entry_t swp_entries[], int entry_size) */
int slots_wanted_by_size(void *ctx)
{
	slots_wanted(ARG(ctx, 0), ARG(ctx, 1), ARG(ctx, 2));
	return 0;
}

/* get_swap_pages(int n_goal, swp_entry_t swp_entries[], int entry_order) */
int slots_wanted_by_order(void *ctx)
{
	slots_wanted(ARG(ctx, 0), ARG(ctx, 1), 1U << (ARG(ctx, 2) & 31));
	return 0;
}

/* Single slots, as a rule one after the other: an event for each run of them. */
static inline void single_slots_allocated(u64 entries, u32 number)
{
	u64 first = 0, entry = 0;
	u32 run = 0;
	volatile u32 count = number; /* or the compiler makes one bound of two, which the verifier does not see */

	for (u32 i = 0; i < SLOT_BATCH; i++) {
		if (i >= count)
			break;
		READ(entry, entries + 8 * i);
		if (run && entry != first + run) {
			slots_allocated(ENTRY_TYPE(first), ENTRY_OFFSET(first), run);
			run = 0;
		}
		if (!run)
			first = entry;
		run++;
	}
	if (run)
		slots_allocated(ENTRY_TYPE(first), ENTRY_OFFSET(first), run);
}

/* Returns how many entries it got. Nobody has used them yet. */
int slots_handed_out(void *ctx)
{
	u64 thread = bpf_get_current_pid_tgid(), entry = 0;
	u32 place = thread & (MAX_SLOT_REQUESTS - 1);
	s32 count = RETURN_VALUE(ctx, 3);
	struct slot_request *request = slot_requests.lookup(&place);

	if (!request || request->thread != thread)
		return 0;
	request->thread = 0;
	call_returned(EVENT_ALLOC, request->wanted);
	if (count <= 0)
		return 0;
	if (request->size == 1) {
		single_slots_allocated(request->entries, count);
		return 0;
	}
	READ(entry, request->entries); /* one huge page at a time */
	slots_allocated(ENTRY_TYPE(entry), ENTRY_OFFSET(entry), request->size);
	return 0;
}

/* A search for free slots on this CPU: its callers hold a lock of the CPU's own until it returns. */
struct slot_search {
	u64 area;
	u32 count;
	u32 running;
};

BPF_PERCPU_ARRAY(slot_searches, struct slot_search, 1);

/* alloc_swap_scan_cluster(struct swap_info_struct *, struct swap_cluster_info *, unsigned long offset, unsigned int
 * order, unsigned char usage): returns the offset of the first slot taken, or 0 */
int slot_search_enter(void *ctx)
{
	u32 zero = 0;
	struct slot_search *search = slot_searches.lookup(&zero);

	if (!search)
		return 0;
	search->area = ARG(ctx, 0);
	search->count = 1U << (ARG(ctx, 3) & 31);
	search->running = 1;
	call_entered(EVENT_ALLOC, search->count);
	return 0;
}

int slot_search_return(void *ctx)
{
	u32 zero = 0, offset = RETURN_VALUE(ctx, 5);
	u8 type = 0;
	struct slot_search *search = slot_searches.lookup(&zero);

	if (!search || !search->running)
		return 0;
	search->running = 0;
	call_returned(EVENT_ALLOC, search->count);
	if (!offset)
		return 0;
	READ(type, search->area + OFF_SWAP_TYPE);
	slots_allocated(type, offset, search->count);
	return 0;
}
