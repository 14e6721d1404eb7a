/* SPDX-License-Identifier: GPL-2.0 */
/*
 * swapon(2) and swapoff(2): arguments and result, and which swap type they made or ended.
 *
 * The type is not in the arguments: after each call, the kernel's own table of areas (swap_info[], mm/swapfile.c)
 * tells. The recorder itself makes one call that fails, in order to learn of the areas that are on already.
 */

#define SWP_USED 1
#define SWP_WRITEOK 2
#define PATH_LENGTH 256
#define MAX_CALLS 64

struct swap_area {
	u64 swap_file; /* tells an area from the next one of the same type */
	u32 flags;
	u32 pages;
	s32 priority;
	u32 on;
};

struct swap_call {
	u64 path_pointer;
	u32 reserved;
	s32 flags;
	s32 result;
	s32 type; /* -1: none */
	struct swap_area area;
	char path[PATH_LENGTH];
};

BPF_ARRAY(swap_areas, struct swap_area, MAX_SWAP_TYPES);
BPF_TABLE("lru_hash", u32, struct swap_call, swap_calls, MAX_CALLS); /* by the number in the event */
BPF_HASH(swap_calls_running, u64, struct swap_call, 256);

BPF_PERCPU_ARRAY(swap_call_scratch, struct swap_call, 1);

static inline int swap_call_enter(void *ctx, u8 kind)
{
	u64 id = bpf_get_current_pid_tgid(), arguments = SYSCALL_ARGUMENTS(ctx), path = 0, flags = 0;
	u32 zero = 0;
	struct swap_call *call = swap_call_scratch.lookup(&zero);

	if (!call)
		return 0;
	READ(path, arguments + REGS_SYSCALL_ARG0);
	if (kind == EVENT_SWAPON)
		READ(flags, arguments + REGS_SYSCALL_ARG1);
	call->path_pointer = path;
	call->flags = flags;
	call->type = -1;
	swap_calls_running.update(&id, call);
	call_entered(kind, 1);
	return 0;
}

int swapon_enter(void *ctx)
{
	return swap_call_enter(ctx, EVENT_SWAPON);
}

int swapoff_enter(void *ctx)
{
	return swap_call_enter(ctx, EVENT_SWAPOFF);
}

/* Compare swap_info[] with what it was after the last call; returns the type that was switched on or off, or -1. */
static inline s32 look_at_areas(struct swap_area *changed)
{
	s32 type = -1;

	for (u32 i = 0; i < MAX_SWAP_TYPES; i++) {
		u32 index = i;
		struct swap_area now = {}, *before = swap_areas.lookup(&index);
		u64 info = 0;
		s16 priority = 0;

		READ(info, SWAP_INFO + 8 * i);
		if (!before || !info)
			continue;
		READ(now.swap_file, info + OFF_SWAP_FILE);
		READ(now.flags, info + OFF_SWAP_FLAGS);
		READ(now.pages, info + OFF_SWAP_PAGES);
		READ(priority, info + OFF_SWAP_PRIO);
		now.priority = priority;
		now.on = (now.flags & SWP_WRITEOK) != 0;
		if (now.on != before->on || (now.on && now.swap_file != before->swap_file)) {
			type = i;
			*changed = now.on ? now : *before;
		}
		*before = now;
	}
	return type;
}

static inline int swap_call_return(void *ctx, u8 kind)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 zero = 0;
	struct swap_call *running = swap_calls_running.lookup(&id), *call = swap_call_scratch.lookup(&zero);
	struct event event = {};

	if (!running || !call)
		return 0;
	call_returned(kind, 1);
	call->flags = running->flags;
	call->result = RETURN_VALUE(ctx, 1);
	call->path[0] = 0;
	/* Now, not at the call's start: by now the kernel itself has touched the path, so it is there to be read. */
	bpf_probe_read_user_str(call->path, PATH_LENGTH, (void *)running->path_pointer);
	swap_calls_running.delete(&id);
	call->type = look_at_areas(&call->area);
#ifdef OFF_ZRAM_POOL
	if (id >> 32 == RECORDER)
		look_at_pool();
#endif
#ifdef ZSWAP_POOLS
	if (id >> 32 == RECORDER)
		look_at_zswap_pools();
#endif
	event.slot = bpf_get_prandom_u32();
	swap_calls.update(&event.slot, call);

	event.tgid = current_task();
	event.time = bpf_ktime_get_ns();
	event.arg = call->result < 0 ? -call->result : 0;
	event.kind = kind;
	event.device = call->type;
	emit(&event, 1);
	return 0;
}

int swapon_return(void *ctx)
{
	return swap_call_return(ctx, EVENT_SWAPON);
}

int swapoff_return(void *ctx)
{
	return swap_call_return(ctx, EVENT_SWAPOFF);
}
