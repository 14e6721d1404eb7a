/* SPDX-License-Identifier: GPL-2.0 */
/*
 * swapon(2) and swapoff(2): path, flags and result, and which swap type they made or ended.
 *
 * The type is in no argument of the call: the kernel sets up, or gives up, what it keeps for an area in the same
 * thread, by functions that have it. A path does not fit into an event: pieces of it come first, in events of their
 * own. So there is no table that could be full, and what the ring has no room for is counted as everything else.
 */

#include "common.h"
#include "pools.h"
#include "tasks.h"
#include "threads.h"

#define PATH_PIECES 256 /* PATH_MAX (include/uapi/linux/limits.h) is 4096 */
#define NO_TYPE 255
#define SWP_PAGE_DISCARD (1 << 10) /* include/linux/swap.h: the same on every kernel since 5.0 */

/* What the recorder asks for: the areas that are on, by type. */
struct swap_area {
	u64 swap_file; /* tells an area from the next one of the same type */
	u32 flags;
	u32 pages;
	s32 priority;
	u32 padding;
};

BPF_ARRAY(swap_areas, struct swap_area, MAX_SWAP_TYPES);

/*
 * At a call of the recorder's own, which fails: copy what it is to see of swap_info[] (mm/swapfile.c). That has fewer
 * than MAX_SWAP_TYPES elements, and how many no kernel tells; what lies behind it is something else. Elements are taken
 * in order and never given back, and each has its own number.
 */
static inline void look_at_areas(void)
{
	for (u32 i = 0; i < MAX_SWAP_TYPES; i++) {
		u32 index = i;
		struct swap_area *area = swap_areas.lookup(&index);
		u64 info = 0;
		s16 priority = 0;
		u8 type = 0;

		READ(info, SWAP_INFO + 8 * i);
		if (!area || !info)
			return;
		READ(type, info + OFF_SWAP_TYPE);
		if (type != i)
			return;
		READ(area->swap_file, info + OFF_SWAP_FILE);
		READ(area->flags, info + OFF_SWAP_FLAGS);
		READ(area->pages, info + OFF_SWAP_PAGES);
		READ(priority, info + OFF_SWAP_PRIO);
		area->priority = priority;
	}
}

/* If another thread's place is taken, that one's call has no type: the recorder counts it as lost. */
static inline void area_of_call(u64 thread, u32 type, u32 slots)
{
	struct thread *here = begin(thread, SWAP_CALL, 0, 1);

	if (!here)
		return;
	here->swap_call.type = type;
	here->swap_call.slots = slots;
}

/* Tell of a path in user space, piece by piece: the last one has its zero byte. What cannot be read is not told. */
static inline void emit_path(u64 path, u32 thread)
{
	struct event event = {};
	char piece[PATH_BYTES + 1]; /* that it is whole shows by the byte behind it */

	event.time = bpf_ktime_get_ns();
	event.tgid = thread;
	for (u32 i = 0; i < PATH_PIECES; i++) {
		s64 length = bpf_probe_read_user_str(piece, sizeof(piece), (void *)(path + PATH_BYTES * i));

		if (length <= 0)
			return;
		__builtin_memcpy(&event.slot, piece, PATH_BYTES);
		event.device = i;
		event.kind = EVENT_PATH;
		emit(&event, 1);
		if (length <= PATH_BYTES)
			return;
	}
}

/* What the kernel made of a call of swapon that went well. */
static inline void tell_of_area(struct event *event, u32 type)
{
	u64 info = 0;
	u32 flags = 0;
	s16 priority = 0;

	READ(info, SWAP_INFO + 8 * (u64)(type & (MAX_SWAP_TYPES - 1)));
	READ(priority, info + OFF_SWAP_PRIO);
	READ(flags, info + OFF_SWAP_FLAGS);
	event->run = priority;
	if (flags & SWP_PAGE_DISCARD)
		event->flags |= AREA_DISCARDS;
}

/*
 * The call's arguments are still in the registers with which it entered the kernel. Paths are read at the end, not at
 * the start: by then the kernel itself has touched them, so they are there to be read.
 */
static inline void emit_call(u64 thread, u8 kind, u32 type, u32 slots, s32 result)
{
	u64 registers = entry_registers(this_task()), path = 0, flags = 0;
	struct event event = {};

	READ(path, registers + REGS_SYSCALL_ARG0);
	if (kind == EVENT_SWAPON)
		READ(flags, registers + REGS_SYSCALL_ARG1);
	emit_path(path, thread);
	event.tgid = process_of(thread, 0);
	event.time = bpf_ktime_get_ns();
	event.slot = thread;
	event.size = result < 0 ? -result : slots;
	event.arg = flags;
	event.flags = result < 0 ? CALL_FAILED : 0;
	if (kind == EVENT_SWAPON && type != NO_TYPE)
		tell_of_area(&event, type);
	event.device = type;
	event.kind = kind;
	emit(&event, 1);
}

/* init_swap_address_space(unsigned int type, unsigned long nr_pages), and others of that shape */
int swap_area_set_up(void *ctx)
{
	area_of_call(bpf_get_current_pid_tgid(), ARG(ctx, 0), ARG(ctx, 1));
	return 0;
}

static inline bool in_swapoff(void)
{
	switch (current_syscall(this_task())) {
		SYSCALLS_SWAPOFF
		return true;
	}
	return false;
}

/*
 * exit_swap_address_space(unsigned int type), and others of that shape: the area has no slot in use any more, and
 * nothing can fail from here on. Told of now, for as soon as the call returns another area may have its type. A swapon
 * that fails gives up what it has set up by the same functions, or even what it has not.
 */
int swap_area_given_up(void *ctx)
{
	u64 thread = bpf_get_current_pid_tgid();
	u32 type = ARG(ctx, 0);

	if (!in_swapoff())
		return 0;
	area_of_call(thread, type, 0);
	emit_call(thread, EVENT_SWAPOFF, type, 0, 0);
	return 0;
}

int swapon_enter(void *ctx)
{
	call_entered(EVENT_SWAPON, 1);
	return 0;
}

int swapoff_enter(void *ctx)
{
	call_entered(EVENT_SWAPOFF, 1);
	return 0;
}

static inline int swap_call_return(void *ctx, u8 kind)
{
	u64 thread = bpf_get_current_pid_tgid();
	s32 result = RETURN_VALUE(ctx, 1);
	u32 type = NO_TYPE, slots = 0;
	struct thread *here;

	call_returned(kind, 1);
	if (thread >> 32 == RECORDER) {
		look_at_areas();
		look_at_pools();
		return 0;
	}
	here = end(thread, SWAP_CALL);
	if (here && !result) {
		if (kind == EVENT_SWAPOFF)
			return 0; /* it was told of already */
		type = here->swap_call.type;
		slots = here->swap_call.slots;
	}
	emit_call(thread, kind, type, slots, result);
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
