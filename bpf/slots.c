/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Slots that the kernel allocates and frees (mm/swapfile.c), and why it frees them.
 *
 * Every kernel calls the function by another name and with other arguments: each program below is one shape of them,
 * and swaptrace/kernel/probes.py says which kernels have it.
 */

#include "common.h"
#include "tasks.h"
#include "threads.h"

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

#define SWP_BLKDEV (1 << 6) /* include/linux/swap.h: the same from 5.10 to 7.3 */

/* Whether the kernel notifies a driver of the area's slots, each by itself: as swap_range_free() finds out. */
static inline bool is_notified(u64 area)
{
	u64 device = 0, disk = 0, functions = 0, function = 0;
	u32 flags = 0;

#ifdef NOTIFICATIONS
	LOAD(flags, area + OFF_SWAP_FLAGS);
	if (flags & SWP_BLKDEV) {
		LOAD(device, area + OFF_SWAP_BDEV);
		LOAD(disk, device + OFF_BDEV_DISK);
		LOAD(functions, disk + OFF_DISK_FUNCTIONS);
		LOAD(function, functions + OFF_FUNCTIONS_NOTIFY);
	}
#endif
	return function;
}

static inline void fill_in_free(struct event *event, u64 thread, struct thread *here, u8 type, u64 offset)
{
	event->tgid = process_of(thread, here);
	event->time = bpf_ktime_get_ns();
	event->slot = offset;
	event->reason = free_reason();
	event->kind = EVENT_FREE;
	event->device = type;
}

/* `count` slots are free. If the area's store is notified of them, the return of the notifications tells of both. */
static inline void slots_freed(u64 area, u8 type, u64 offset, u32 count)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct event event = {};
	struct thread *here;

	if (is_notified(area)) {
		here = begin(thread, SLOT_FREE, LOSS_NOTIFIED_FREE, count);
		if (here) {
			next_slot_free(&here->slot_free);
			here->slot_free.event.run = 1;
			fill_in_free(&here->slot_free.event, thread, here, type, offset);
		}
	} else {
		event.run = count;
		fill_in_free(&event, thread, 0, type, offset);
		emit(&event, count);
	}
	start_timing(count);
}

/* swap_range_free(struct swap_info_struct *, unsigned long offset, unsigned int nr_entries) */
int slots_freed_by_offset(void *ctx)
{
	u8 type = 0;

	LOAD(type, ARG(ctx, 0) + OFF_SWAP_TYPE);
	slots_freed(ARG(ctx, 0), type, ARG(ctx, 1), ARG(ctx, 2));
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

	slots_freed(ARG(ctx, 0), ENTRY_TYPE(entry), ENTRY_OFFSET(entry), 1);
	return 0;
}

/* swap_entry_range_free(struct swap_info_struct *, swp_entry_t, unsigned int nr_pages) */
int slots_freed_by_entry(void *ctx)
{
	u64 entry = ARG(ctx, 1);

	slots_freed(ARG(ctx, 0), ENTRY_TYPE(entry), ENTRY_OFFSET(entry), ARG(ctx, 2));
	return 0;
}

/* swap_entries_free(struct swap_info_struct *, struct swap_cluster_info *, swp_entry_t, unsigned int nr_pages) */
int slots_freed_by_cluster_and_entry(void *ctx)
{
	u64 entry = ARG(ctx, 2);

	slots_freed(ARG(ctx, 0), ENTRY_TYPE(entry), ENTRY_OFFSET(entry), ARG(ctx, 3));
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

	LOAD(type, area + OFF_SWAP_TYPE);
	slots_freed(area, type, cluster_offset(area, ARG(ctx, 1)) + (u32)ARG(ctx, 2), ARG(ctx, 3));
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

#define SLOT_BATCH 64 /* SWAP_BATCH (include/linux/swap_slots.h): entries asked for at once */

/* Free slots are looked for. place: see struct slot_request. size: slots behind each entry. */
static inline void slots_wanted(u32 entries, u64 place, u32 size)
{
	struct thread *here = begin(bpf_get_current_pid_tgid(), SLOT_REQUEST, EVENT_ALLOC, entries * size);

	if (!here)
		return;
	here->slot_request.place = place;
	here->slot_request.size = size;
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
	struct thread *here = end(bpf_get_current_pid_tgid(), SLOT_REQUEST);
	s32 count = RETURN_VALUE(ctx, 3);
	u64 entry = 0;

	if (!here || count <= 0)
		return 0;
	if (here->slot_request.size == 1) {
		single_slots_allocated(here->slot_request.place, count);
		return 0;
	}
	READ(entry, here->slot_request.place); /* one huge page at a time */
	slots_allocated(ENTRY_TYPE(entry), ENTRY_OFFSET(entry), here->slot_request.size);
	return 0;
}

/* alloc_swap_scan_cluster(struct swap_info_struct *, struct swap_cluster_info *, unsigned long offset, unsigned int
 * order, unsigned char usage): returns the offset of the first slot taken, or 0 */
int slot_search_enter(void *ctx)
{
	slots_wanted(1, ARG(ctx, 0), 1U << (ARG(ctx, 3) & 31));
	return 0;
}

int slot_search_return(void *ctx)
{
	struct thread *here = end(bpf_get_current_pid_tgid(), SLOT_REQUEST);
	u32 offset = RETURN_VALUE(ctx, 5);
	u8 type = 0;

	if (!here || !offset)
		return 0;
	READ(type, here->slot_request.place + OFF_SWAP_TYPE);
	slots_allocated(type, offset, here->slot_request.size);
	return 0;
}
