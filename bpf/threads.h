/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SWAPTRACE_THREADS_H
#define SWAPTRACE_THREADS_H
/*
 * What threads are at: operations of the kernel that one program sees begin and another one sees end, with what they
 * know of each other meanwhile.
 */

#include "common.h"

enum operation {
	SLOT_REQUEST, /* free slots are looked for */
	SLOT_FREE,    /* a slot is freed, and its store is to be notified */
	ZRAM_IO,      /* a request to a zram device */
	ZRAM_RESET,
	SWAP_CALL, /* swapon or swapoff: which area it is about is known */
	ZSWAP_STORE,
	ZSWAP_LOAD,
	ZSWAP_NOTICE,
	ZSWAP_EVICTION,
	OPERATIONS,
};

struct slot_request {
	u64 place; /* of the entries that it is to fill; or of the area that is searched */
	u32 size;  /* slots behind each entry */
};

/* The event that tells of it is put together in place, slot by slot. */
struct slot_free {
	struct event event;
	u64 start; /* of the notification, if that is timed; or 0 */
};

struct zram_io {
	u64 table;
	u64 index;
	u32 pages;
	u32 stored; /* of a write's pages: those that zram has taken so far */
	u32 operation;
	u32 memory_cgroup;
	u16 store;
	u8 same_disk;
};

struct swap_call {
	u32 type;
	u32 slots;
};

/* A page or folio on its way into zswap. */
struct zswap_store {
	u64 entry;  /* of its first page */
	u64 handle; /* the allocator's, of the page below; 0: not known */
	u32 next;   /* the page, of a large folio, that is compressed next */
	u32 size;   /* of the page before that, bytes */
	u32 memory_cgroup;
	u32 pending; /* it has got its memory, and is told of as soon as it is known to be stored */
};

struct zswap_notice {
	u64 entry;
	u64 start;
	u32 size;
	u32 flags; /* 0: zswap has no entry of that slot */
};

/* The memory cgroup whose page it has stored last. Serial numbers are never used again. */
struct last_cgroup {
	u64 memcg;
	u64 serial;
	u32 id;
};

struct thread {
	u64 number;
	u32 named; /* whether the name of its process was told */
	struct last_cgroup last_cgroup;
	struct {
		u32 kind;  /* of the events that are lost with it; 0 if none is */
		u32 pages; /* of those events; 0: the operation is not under way */
	} under_way[OPERATIONS];
	struct slot_request slot_request;
	struct slot_free slot_free;
	struct zram_io zram_io;
	struct swap_call swap_call;
#ifdef ZSWAP_STORES
	struct zswap_store zswap_store;
	u64 zswap_load;
	struct zswap_notice zswap_notice;
	u64 zswap_eviction;
#endif
};

/*
 * By the low bits of a thread's number: an array, since a hash table's lookups would cost more than all the rest, and
 * an LRU table evicts what was just put in on kernels before 6.17 ("bpf: adjust free target to avoid global starvation
 * of LRU map"). Where two threads at once have the same bits, what the first one is at is lost, and counted.
 */
#define THREADS 16384
BPF_ARRAY(threads, struct thread, THREADS);

static inline struct thread *place_of(u64 thread)
{
	u32 place = thread & (THREADS - 1);

	return threads.lookup(&place);
}

/* A place is a thread's own from now on. */
static inline void take_place(struct thread *here, u64 thread)
{
	if (here->number == thread)
		return;
#pragma unroll
	for (u32 i = 0; i < OPERATIONS; i++) {
		if (here->under_way[i].pages)
			call_displaced(here->under_way[i].kind, here->under_way[i].pages);
		here->under_way[i].pages = 0;
	}
	here->named = 0;
	here->number = thread;
}

/* A thread begins with an operation: where it keeps what it knows. The other operations that it is at go on. */
static inline struct thread *begin(u64 thread, enum operation operation, u32 kind, u32 pages)
{
	struct thread *here = place_of(thread);

	if (!here)
		return 0;
	take_place(here, thread);
	if (here->under_way[operation].pages) /* its end was not seen */
		call_displaced(here->under_way[operation].kind, here->under_way[operation].pages);
	here->under_way[operation].kind = kind;
	here->under_way[operation].pages = pages;
	call_entered(kind, pages);
	return here;
}

/* Whether a thread, whose place that would be, is at an operation. */
static inline bool is_at(struct thread *here, u64 thread, enum operation operation)
{
	return here->number == thread && here->under_way[operation].pages;
}

/* What a thread keeps of an operation that it is at; 0 if it is not. */
static inline struct thread *at_work(u64 thread, enum operation operation)
{
	struct thread *here = place_of(thread);

	return here && is_at(here, thread, operation) ? here : 0;
}

/* So many pages of an operation are done with; when it was the last one, it is over. */
static inline void pages_done(struct thread *here, enum operation operation, u32 pages)
{
	here->under_way[operation].pages -= pages;
	call_returned(here->under_way[operation].kind, pages);
}

/* A thread is done with an operation: what it has kept of it; 0 if it was not seen to begin. */
static inline struct thread *end(u64 thread, enum operation operation)
{
	struct thread *here = at_work(thread, operation);

	if (here)
		pages_done(here, operation, here->under_way[operation].pages);
	return here;
}

/* The event of a free is to tell of its next slot: nothing is known of what its store does with it. */
static inline void next_slot_free(struct slot_free *free)
{
	free->start = 0;
	free->event.size = 0;
	free->event.arg = 0;
	free->event.flags = FLAG_NOTIFIED | FLAG_MISSED; /* until the entry is looked at */
}

#endif
