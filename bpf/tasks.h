/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SWAPTRACE_TASKS_H
#define SWAPTRACE_TASKS_H
/* Tasks: their processes' names, and what they are at. */

#include "common.h"

struct task_name {
	char comm[16];
};

/*
 * The processes whose names were told, by their numbers' low bits: an array, for an LRU table on kernels before 6.17
 * evicts what was just put in. Where two processes have the same bits, names are told again.
 */
#define KNOWN_TASKS 16384
BPF_ARRAY(known_tasks, u32, KNOWN_TASKS);

/*
 * What each processor is at. Arrays of one element a processor, of a cache line's size, not per-CPU arrays: only a
 * plain array's lookup is compiled into the program, on all kernels.
 */
struct processor {
	u32 last_tgid;
	u32 padding[15];
};

BPF_ARRAY(processors, struct processor, PROCESSORS);

static inline struct processor *this_processor(void)
{
	u32 number = bpf_get_smp_processor_id();

	return processors.lookup(&number);
}

/*
 * The process of the current thread. Tells the name of each process once; as a rule, the last one on this CPU was the
 * same.
 */
static inline u32 process_of(u64 thread)
{
	u32 tgid = thread >> 32, place = tgid & (KNOWN_TASKS - 1), *known;
	struct processor *here = this_processor();
	struct event event = {};

	if (here && here->last_tgid == tgid)
		return tgid;
	if (here)
		here->last_tgid = tgid;
	known = known_tasks.lookup(&place);
	if (!known || *known == tgid)
		return tgid;
	*known = tgid;
	event.time = bpf_ktime_get_ns();
	event.kind = EVENT_TASK;
	event.tgid = tgid;
	bpf_get_current_comm(&event.slot, sizeof(struct task_name));
	emit(&event, 1);
	return tgid;
}

static inline u32 current_task(void)
{
	return process_of(bpf_get_current_pid_tgid());
}

static void *(*get_current_task_btf)(void) = (void *)158;
static void *(*get_task_pt_regs)(void *task) = (void *)175;

/* entry_registers: those with which a task entered the kernel. LOAD_REGISTER: one of them. */
#ifdef HAVE_TASK_PT_REGS
#define LOAD_REGISTER LOAD

static inline u64 this_task(void)
{
	return (u64)get_current_task_btf();
}

static inline u64 entry_registers(u64 task)
{
	return (u64)get_task_pt_regs((void *)task);
}
#else
#define LOAD_REGISTER READ

static inline u64 this_task(void)
{
	return bpf_get_current_task();
}

static inline u64 entry_registers(u64 task)
{
	u64 stack = 0;

	READ(stack, task + OFF_TASK_STACK);
	return stack + THREAD_SIZE - SIZE_PT_REGS;
}
#endif

/* The number of the system call that a task is in; a page fault leaves -1. */
static inline s32 current_syscall(u64 task)
{
	u64 regs = entry_registers(task);
	s32 number = -1; /* the low half of orig_ax, all of syscallno */

	LOAD_REGISTER(number, regs + REGS_SYSCALL);
	return number;
}

#endif
