/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Slots that the kernel allocates and frees (mm/swapfile.c), and why it frees them.
 *
 * Every kernel calls the function by another name and with other arguments: each program below is one shape of them,
 * and swaptrace/live/probes.py says which kernels have it.
 */

#define PF_EXITING 0x00000004
#define PF_MEMALLOC 0x00000800
#define PF_KSWAPD 0x00020000
#define PF_KTHREAD 0x00200000

static void *(*get_current_task_btf)(void) = (void *)158;
static void *(*get_task_pt_regs)(void *task) = (void *)175;

/* The registers with which the current task entered the kernel; a page fault leaves -1 as the number of the call. */
static inline s64 current_syscall(u64 task)
{
	u64 regs;
	s64 number = -1;
#ifdef HAVE_TASK_PT_REGS
	regs = (u64)get_task_pt_regs(get_current_task_btf());
#else
	u64 stack = 0;

	READ(stack, task + OFF_TASK_STACK);
	regs = stack + THREAD_SIZE - SIZE_PT_REGS;
#endif
	READ(number, regs + REGS_SYSCALL);
	return number;
}

static inline u32 free_reason(void)
{
	u64 task = bpf_get_current_task();
	u32 flags = 0;

	READ(flags, task + OFF_TASK_FLAGS);
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
#ifdef TIME_FREES
	start_timing(count);
#endif
}

#ifdef TIME_FREES
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
#endif

/* swap_range_free(struct swap_info_struct *, unsigned long offset, unsigned int nr_entries) */
int slots_freed_by_offset(void *ctx)
{
	u8 type = 0;

	READ(type, ARG(ctx, 0) + OFF_SWAP_TYPE);
	slots_freed(type, ARG(ctx, 1), ARG(ctx, 2));
	return 0;
}

/* swap_range_alloc(struct swap_info_struct *, unsigned long offset, unsigned int nr_entries) */
int slots_allocated_by_offset(void *ctx)
{
	struct event event = {};

	READ(event.device, ARG(ctx, 0) + OFF_SWAP_TYPE);
	event.tgid = current_task();
	event.time = bpf_ktime_get_ns();
	event.slot = ARG(ctx, 1);
	event.run = ARG(ctx, 2);
	event.kind = EVENT_ALLOC;
	emit(&event, event.run);
	return 0;
}

/* The type in the top bits, the offset in the others (include/linux/swapops.h). */
#define ENTRY_TYPE(entry) ((entry) >> ENTRY_TYPE_SHIFT)
#define ENTRY_OFFSET(entry) ((entry) & ((1ULL << ENTRY_TYPE_SHIFT) - 1))

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
