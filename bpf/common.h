/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SWAPTRACE_COMMON_H
#define SWAPTRACE_COMMON_H
/*
 * What all programs share: arguments, memory reads, the ring buffer, losses.
 *
 * No kernel header is used. `struct event` and the EVENT_, FLAG_ and REASON_ constants come from swaptrace/events.py;
 * the OFF_, SIZE_ and other upper-case constants come from the running kernel's BTF (swaptrace/kernel/layout.py).
 * generated.h is both: swaptrace/tracing/assembly.py makes it for the running kernel.
 */

#include "generated.h"

/*
 * ARG: one argument of the probed function. RETURN_VALUE: what it returns, which comes after all `arguments` of them. A
 * trampoline (fentry, fexit) hands them over one after the other; a kprobe's places in pt_regs are per architecture.
 *
 * LOAD: a field behind a pointer that a trampoline's program got as an argument, or from such a field: the verifier
 * knows its type, so that a plain load does.
 */
#define READ(variable, address) bpf_probe_read_kernel(&(variable), sizeof(variable), (void *)(address))
#ifdef TRAMPOLINES
#define ARG(ctx, n) (((u64 *)(ctx))[n])
#define RETURN_VALUE(ctx, arguments) (((u64 *)(ctx))[arguments])
#define LOAD(variable, address) ((variable) = *(typeof(variable) *)(address))
#else
#define ARG(ctx, n) (*(u64 *)((void *)(ctx) + REGS_ARG##n))
#define RETURN_VALUE(ctx, arguments) (*(u64 *)((void *)(ctx) + REGS_RETURN))
#define LOAD(variable, address) READ(variable, address)
#endif

BPF_RINGBUF_OUTPUT(ring, RING_PAGES);
BPF_PERCPU_ARRAY(lost, u64, EVENT_KINDS);

/*
 * A pointer as a number: the verifier lets nothing be computed with what it knows to point to one structure. It forgets
 * what it knows when a part is written to: here the highest byte, which in the kernel's pointers is 0xff.
 */
static inline u64 as_number(u64 pointer)
{
#ifdef TRAMPOLINES
	volatile union {
		u64 number;
		u8 bytes[8]; /* little-endian, on all architectures that there are */
	} place;

	place.number = pointer;
	place.bytes[7] = 0xff;
	return place.number;
#else
	return pointer;
#endif
}

/* What nobody will tell of: counted in slots, by event kind. */
static inline void count_lost(u32 kind, u32 pages)
{
	u64 *count = lost.lookup(&kind);

	if (count)
		*count += pages;
}

static inline void emit(struct event *event, u32 pages)
{
	/* The reader looks at the ring by itself, often enough: a wake-up for every event would cost the most of all.
	 */
	if (ring.ringbuf_output(event, sizeof(*event), BPF_RB_NO_WAKEUP))
		count_lost(event->kind, pages);
}

/*
 * A kretprobe's return may be missed: the kernel keeps a limited number of calls in mind. What was entered and has not
 * returned is counted in slots, by event kind. A trampoline misses none: lost are calls only whose place another
 * thread's has taken, as call_displaced() says. (Those of a kprobe have not returned, and so are counted already.)
 */
struct calls {
	u64 entered;
	u64 returned;
};

BPF_PERCPU_ARRAY(calls, struct calls, EVENT_KINDS);

#ifdef TRAMPOLINES
static inline void call_entered(u32 kind, u32 pages)
{
}

static inline void call_returned(u32 kind, u32 pages)
{
}

static inline void call_displaced(u32 kind, u32 pages)
{
	count_lost(kind, pages);
}
#else
static inline void call_entered(u32 kind, u32 pages)
{
	struct calls *count = calls.lookup(&kind);

	if (count)
		count->entered += pages;
}

static inline void call_returned(u32 kind, u32 pages)
{
	struct calls *count = calls.lookup(&kind);

	if (count)
		count->returned += pages;
}

static inline void call_displaced(u32 kind, u32 pages)
{
}
#endif

/* A swap entry: the type in the top bits, the offset in the others (include/linux/swapops.h). */
#define ENTRY_TYPE(entry) ((entry) >> ENTRY_TYPE_SHIFT)
#define ENTRY_OFFSET(entry) ((entry) & ((1ULL << ENTRY_TYPE_SHIFT) - 1))

#endif
