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

BPF_PERCPU_ARRAY(lost, u64, LOSS_KINDS);

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

/* What nobody will tell of: counted in slots, by event kind, or by LOSS_ for an event that tells of several. */
static inline void count_lost(u32 kind, u32 pages)
{
	u64 *count = lost.lookup(&kind);

	if (count)
		*count += pages;
}

/*
 * The ring of events, which the recorder maps and drains: an array, and how far both sides have got. A record's number,
 * counted from 1 on, is written last: it is what is there. Two processors never get the same place, and one that is
 * free stays free for whoever has taken it: a part of the ring is kept for threads that were interrupted in between.
 *
 * The kernel's own ring buffer takes five times as many instructions for an event (a lock, and copies by helpers), but
 * does without atomic operations that return a value: those came just after trampolines for modules, in 5.12
 * (5ffa25502b5a, "bpf: Add instructions for atomic_[cmp]xchg", and its series), and for LLVM in 12.
 */
#if defined(TRAMPOLINES) && __clang_major__ >= 12
struct record {
	u64 number;
	struct event event;
};

struct ring_ends {
	u64 produced;
	u64 padding[7]; /* the other side's is in another cache line */
	u64 consumed;
	u64 more_padding[7];
};

BPF_F_TABLE("array", u32, struct record, records, RING_RECORDS, BPF_F_MMAPABLE);
BPF_F_TABLE("array", u32, struct ring_ends, ring_ends, 1, BPF_F_MMAPABLE);

static inline bool put(struct event *event)
{
	u32 zero = 0, place;
	struct ring_ends *ends = ring_ends.lookup(&zero);
	struct record *record;
	u64 number;

	if (!ends || ends->produced - ends->consumed >= RING_RECORDS - RING_RECORDS / 8)
		return false;
	number = __sync_fetch_and_add(&ends->produced, 1);
	place = number & (RING_RECORDS - 1);
	record = records.lookup(&place);
	if (!record)
		return false;
	record->event = *event;
	__sync_lock_test_and_set(&record->number, number + 1);
	return true;
}
#else
BPF_RINGBUF_OUTPUT(ring, RING_PAGES);

static inline bool put(struct event *event)
{
	/* The reader looks at the ring by itself, often enough: a wake-up for every event would cost the most of all.
	 */
	return !ring.ringbuf_output(event, sizeof(*event), BPF_RB_NO_WAKEUP);
}
#endif

/* loss: what is lost if there is no room for it, as count_lost() has it. */
static inline void emit_or_lose(struct event *event, u32 loss, u32 pages)
{
	if (!put(event))
		count_lost(loss, pages);
}

static inline void emit(struct event *event, u32 pages)
{
	emit_or_lose(event, event->kind, pages);
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

BPF_PERCPU_ARRAY(calls, struct calls, LOSS_KINDS);

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
