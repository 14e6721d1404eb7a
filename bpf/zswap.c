/* SPDX-License-Identifier: GPL-2.0 */
/*
 * zswap (mm/zswap.c), which keeps compressed pages in memory, in front of a swap area: what it takes with which size,
 * what is read back from it, and why its entries go.
 *
 * An entry's index is the swap offset, and the store is the area's (ZSWAP_STORES + swap type). Entries are freed by
 * one function only. What the task is doing then says why: it told zswap of a free slot, it reads the page (newer
 * kernels give up the entry then), it writes the page again, or else the entry is being written back to the area.
 *
 * For kprobes only (see Programs): one program serves functions with different numbers of arguments, behind which a
 * trampoline would have the return value.
 */

#include "common.h"
#include "cgroups.h"
#include "tasks.h"
#include "threads.h"

#define MIN_ERROR (-4095ULL) /* IS_ERR_VALUE() */
#define STORE_OF(entry) (ZSWAP_STORES + ENTRY_TYPE(entry))

static inline void emit_zswap(u8 kind, u64 entry, u32 size, u32 arg, u32 flags)
{
	struct event event = {};

	event.tgid = current_task();
	event.time = bpf_ktime_get_ns();
	event.slot = ENTRY_OFFSET(entry);
	event.size = size;
	event.arg = arg;
	event.flags = flags;
	event.run = 1;
	event.kind = kind;
	event.device = STORE_OF(entry);
	emit(&event, 1);
}

/* -- stores */

/* __frontswap_store(struct page *), zswap_store(struct folio *) */
int zswap_store_enter(void *ctx)
{
	struct thread *here = begin(bpf_get_current_pid_tgid(), ZSWAP_STORE, EVENT_STORE, 1);
	struct zswap_store store = {};

	if (!here)
		return 0;
	READ(store.entry, ARG(ctx, 0) + OFF_SWAP_ENTRY);
	store.memory_cgroup = memory_cgroup_of(ARG(ctx, 0), here);
	here->zswap_store = store;
	return 0;
}

/* Tell of the page before the next one. */
static inline void page_stored(struct zswap_store *store)
{
	if (!store->pending)
		return;
	store->pending = 0;
	emit_zswap(EVENT_STORE, store->entry + store->next - 1, store->size, store->memory_cgroup,
		   store->size == PAGE_SIZE ? FLAG_HUGE : 0);
}

/* zpool_malloc(struct zpool *, size_t, ...), zs_malloc(struct zs_pool *, size_t, ...): memory for the next page */
int zswap_allocation_enter(void *ctx)
{
	struct thread *here = at_work(bpf_get_current_pid_tgid(), ZSWAP_STORE);
	struct zswap_store *store;

	if (!here)
		return 0;
	store = &here->zswap_store;
	page_stored(store);
	store->size = ARG(ctx, 1);
#ifdef OFF_ZPOOL_EVICTABLE
	u8 evictable = 0;

	/* such an allocator's objects begin with the swap entry, which is no part of the compressed page */
	READ(evictable, ARG(ctx, 0) + OFF_ZPOOL_EVICTABLE);
	store->size -= evictable ? SIZE_ZSWAP_HEADER : 0;
#endif
	store->handle = 0;
	store->next += 1;
	store->pending = 1;
	return 0;
}

static inline int zswap_allocation_return(u64 handle, bool failed)
{
	struct thread *here = at_work(bpf_get_current_pid_tgid(), ZSWAP_STORE);

	if (!here)
		return 0;
	here->zswap_store.handle = handle;
	if (failed)
		here->zswap_store.pending = 0;
	return 0;
}

int zswap_allocation_return_zero(void *ctx)
{
	return zswap_allocation_return(0, (u32)RETURN_VALUE(ctx, 1) != 0);
}

/* The handle of zs_malloc() tells a new entry from the one that it replaces. */
int zswap_allocation_return_handle(void *ctx)
{
	u64 handle = RETURN_VALUE(ctx, 1);

	return zswap_allocation_return(handle, handle >= MIN_ERROR);
}

static inline int zswap_store_return(bool stored)
{
	struct thread *here = end(bpf_get_current_pid_tgid(), ZSWAP_STORE);
	struct zswap_store *store;

	if (!here || !stored)
		return 0;
	store = &here->zswap_store;
	if (store->next)
		page_stored(store);
	else /* nothing was allocated: a same-filled page */
		emit_zswap(EVENT_STORE, store->entry, 0, store->memory_cgroup, FLAG_SAME);
	return 0;
}

int zswap_store_return_zero(void *ctx)
{
	return zswap_store_return((u32)RETURN_VALUE(ctx, 1) == 0);
}

int zswap_store_return_true(void *ctx)
{
	return zswap_store_return((u8)RETURN_VALUE(ctx, 1) != 0);
}

/* -- loads */

/* __frontswap_load(struct page *), zswap_load(struct folio *) */
int zswap_load_enter(void *ctx)
{
	struct thread *here = begin(bpf_get_current_pid_tgid(), ZSWAP_LOAD, EVENT_LOAD, 1);

	if (here)
		READ(here->zswap_load, ARG(ctx, 0) + OFF_SWAP_ENTRY);
	return 0;
}

static inline int zswap_load_return(bool loaded)
{
	struct thread *here = end(bpf_get_current_pid_tgid(), ZSWAP_LOAD);

	if (here && loaded)
		emit_zswap(EVENT_LOAD, here->zswap_load, 0, 0, 0);
	return 0;
}

int zswap_load_return_zero(void *ctx)
{
	return zswap_load_return((u32)RETURN_VALUE(ctx, 1) == 0);
}

int zswap_load_return_true(void *ctx)
{
	return zswap_load_return((u8)RETURN_VALUE(ctx, 1) != 0);
}

/* -- notifications */

static inline int zswap_notice_enter(u64 entry)
{
	struct thread *here = begin(bpf_get_current_pid_tgid(), ZSWAP_NOTICE, EVENT_NOTIFY, 1);
	struct zswap_notice notice = {};

	if (!here)
		return 0;
	notice.entry = entry;
	notice.start = bpf_ktime_get_ns();
	here->zswap_notice = notice;
	return 0;
}

/* __frontswap_invalidate_page(unsigned type, pgoff_t offset) */
int zswap_notice_enter_offset(void *ctx)
{
	return zswap_notice_enter((ARG(ctx, 0) & 0xffffffff) << ENTRY_TYPE_SHIFT | ARG(ctx, 1));
}

/* zswap_invalidate(swp_entry_t) */
int zswap_notice_enter_entry(void *ctx)
{
	return zswap_notice_enter(ARG(ctx, 0));
}

/* A slot that zswap has no entry of makes no event: its page is in the area, or came back into memory. */
int zswap_notice_return(void *ctx)
{
	u64 now = bpf_ktime_get_ns();
	struct thread *here = end(bpf_get_current_pid_tgid(), ZSWAP_NOTICE);
	struct zswap_notice *notice;

	if (!here)
		return 0;
	notice = &here->zswap_notice;
	if (notice->flags)
		emit_zswap(EVENT_NOTIFY, notice->entry, notice->size, now - notice->start, notice->flags | FLAG_TIMED);
	return 0;
}

/* -- entries that go */

static inline void drop_while_storing(struct zswap_store *store, u64 entry, u64 handle, u32 size, u32 flags)
{
	bool same_page = store->pending && store->entry + store->next - 1 == entry;

	if (same_page && store->handle && store->handle == handle) {
		/* the new entry itself: a later page of its folio found no place, so the whole folio goes elsewhere */
		page_stored(store);
		flags |= FLAG_ANY_POLICY;
	} else if (same_page) {
		flags |= FLAG_REPLACED;
	} else {
		/* before the new one has its memory, or because there is none to be had */
		flags |= FLAG_REPLACED | FLAG_ANY_POLICY;
	}
	emit_zswap(EVENT_DROP, entry, size, 0, flags);
}

#ifdef ZSWAP_PLACE_IS_OFFSET
/* zswap_writeback_entry(struct zpool *, unsigned long handle): what is behind the handle is not known yet */
int zswap_eviction_enter(void *ctx)
{
	struct thread *here = begin(bpf_get_current_pid_tgid(), ZSWAP_EVICTION, 0, 1);

	if (here)
		here->zswap_eviction = ~0ULL;
	return 0;
}

/* __read_swap_cache_async(swp_entry_t, ...): the first that is done with an entry that is to be written back */
int zswap_eviction_entry(void *ctx)
{
	struct thread *here = at_work(bpf_get_current_pid_tgid(), ZSWAP_EVICTION);

	if (here)
		here->zswap_eviction = ARG(ctx, 0);
	return 0;
}

int zswap_eviction_return(void *ctx)
{
	end(bpf_get_current_pid_tgid(), ZSWAP_EVICTION);
	return 0;
}

/* An entry went, and nobody knows of which area. */
static inline int entry_unknown(void)
{
	count_lost(EVENT_DROP, 1);
	return 0;
}
#endif

/* The swap entry of a zswap entry. Until 0bb488498c98 ("mm: zswap: remove zswap_header"), 6.5, it has the offset alone:
 * the type is that of what is going on. */
static inline u64 entry_at(u64 place, u64 around)
{
#ifdef ZSWAP_PLACE_IS_OFFSET
	return place | (around & ~ENTRY_OFFSET(~0ULL));
#else
	return place;
#endif
}

/* zswap_free_entry(struct zswap_entry *), today zswap_entry_free() */
int zswap_entry_dropped(void *ctx)
{
	u64 thread = bpf_get_current_pid_tgid(), zswap_entry = ARG(ctx, 0), place = 0, handle = 0, entry;
	struct thread *here = place_of(thread);
	struct zswap_store *store;
	u32 size = 0, flags;

	if (!here)
		return 0;
	READ(size, zswap_entry + OFF_ZSWAP_LENGTH);
	READ(place, zswap_entry + OFF_ZSWAP_PLACE);
	flags = (size ? 0 : FLAG_SAME) | (size == PAGE_SIZE ? FLAG_HUGE : 0);
	entry = here->zswap_notice.entry;
	if (is_at(here, thread, ZSWAP_NOTICE) && entry_at(place, entry) == entry) {
		here->zswap_notice.size = size;
		here->zswap_notice.flags = flags | FLAG_DROPPED;
		return 0;
	}
	entry = here->zswap_load;
	if (is_at(here, thread, ZSWAP_LOAD) && entry_at(place, entry) == entry) {
		emit_zswap(EVENT_DROP, entry, size, 0, flags | FLAG_ANY_POLICY);
		return 0;
	}
	store = &here->zswap_store;
	entry = entry_at(place, store->entry);
	if (is_at(here, thread, ZSWAP_STORE) && entry - store->entry < (store->next ? store->next : 1)) {
		READ(handle, zswap_entry + OFF_ZSWAP_HANDLE);
		drop_while_storing(store, entry, handle, size, flags);
		return 0;
	}
	entry = place;
#ifdef ZSWAP_PLACE_IS_OFFSET
	if (!is_at(here, thread, ZSWAP_EVICTION) || ENTRY_OFFSET(here->zswap_eviction) != place)
		return entry_unknown();
	entry = here->zswap_eviction;
#endif
	emit_zswap(EVENT_DROP, entry, size, 0, flags | FLAG_ANY_POLICY | FLAG_WRITTEN_BACK);
	return 0;
}
