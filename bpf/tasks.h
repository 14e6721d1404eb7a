/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SWAPTRACE_TASKS_H
#define SWAPTRACE_TASKS_H
/* Tasks: their processes' names, and what they are at. */

#include "common.h"
#include "threads.h"

/*
 * The processes whose names were told, by their numbers' low bits: an array, for an LRU table on kernels before 6.17
 * evicts what was just put in. Where two processes have the same bits, names are told again.
 */
#define KNOWN_TASKS 16384
BPF_ARRAY(known_tasks, u32, KNOWN_TASKS);

/* The process of the current thread. Tells the name of each process once. here: the thread's place, if it has one. */
static inline u32 process_of(u64 thread, struct thread *here)
{
	u32 tgid = thread >> 32, place = tgid & (KNOWN_TASKS - 1), *known;
	struct event event = {};

	if (here && here->number == thread) {
		if (here->named)
			return tgid;
		here->named = 1;
	}
	known = known_tasks.lookup(&place);
	if (!known || *known == tgid)
		return tgid;
	*known = tgid;
	event.time = bpf_ktime_get_ns();
	event.kind = EVENT_TASK;
	event.tgid = tgid;
	bpf_get_current_comm(&event.slot, PATH_BYTES);
	emit(&event, 1);
	return tgid;
}

static inline u32 current_task(void)
{
	return process_of(bpf_get_current_pid_tgid(), 0);
}

/* Flags of a task (include/linux/sched.h): the same from 5.10 to 7.3. */
#define PF_EXITING 0x00000004
#define PF_MEMALLOC 0x00000800
#define PF_KSWAPD 0x00020000
#define PF_KTHREAD 0x00200000

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
