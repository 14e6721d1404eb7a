/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The compressed store (drivers/block/zram/zram_drv.c): what is stored with which compressed size, what is read back,
 * what is dropped, and what a slot-free notification costs.
 */

#include "common.h"
#include "cgroups.h"
#include "pools.h"
#include "tasks.h"
#include "threads.h"

#define OP_READ 0
#define OP_WRITE 1
#define OP_DISCARD 3
#define OP_WRITE_ZEROES 9
#define MAX_PAGES_PER_BIO 512
/* What zram_rw_page() says of a huge page, and of one beyond the device: before it tries anything. */
#define ENOTSUPP 524
#define EINVAL 22

static inline u32 entry_flags(u64 table, u64 index)
{
	u32 flags = 0;

	READ(flags, table + index * SIZE_ZRAM_ENTRY + OFF_ZRAM_FLAGS);
	return flags;
}

/* In an entry's flags: its size, and all that say that it holds anything (one that has an object has a size, too). */
#define ENTRY_SIZE ((1U << ZRAM_FLAG_SHIFT) - 1)
#define HOLDS (ENTRY_SIZE | 1U << ZRAM_SAME | 1U << ZRAM_WB)

/* What an entry's flags say of it, into event->size and event->flags; returns whether it holds anything. */
static inline bool describe_entry(u32 flags, struct event *event)
{
	u32 same = flags >> ZRAM_SAME & 1, written_back = flags >> ZRAM_WB & 1;
	u32 huge = flags >> ZRAM_HUGE & 1 & ~written_back; /* which in 7.3 keeps its mark */

	event->flags |= same * FLAG_SAME | huge * FLAG_HUGE | written_back * FLAG_WRITTEN_BACK;
	/* neither a same-filled page nor one on the backing device has an object in memory */
	event->size = flags & ENTRY_SIZE & ((same | written_back) - 1);
	return flags & HOLDS;
}

/* Requests and drops of devices whose number an event has no room for: left out, and counted. */
BPF_PERCPU_ARRAY(left_out, u64, 1);

static inline bool has_room(u32 minor)
{
	u32 zero = 0;
	u64 *count;

	if (minor < ZRAM_DEVICES)
		return true;
	count = left_out.lookup(&zero);
	if (count)
		*count += 1;
	return false;
}

/* Emit what has happened to an entry, or to all of them. */
static inline void emit_of(u64 zram, struct event *event, u32 kind)
{
	u64 disk = 0;
	u32 minor = 0;

	LOAD(disk, zram + OFF_ZRAM_DISK);
	LOAD(minor, disk + OFF_DISK_MINOR);
	if (!has_room(minor))
		return;
	event->tgid = current_task();
	event->time = bpf_ktime_get_ns();
	event->device = minor;
	event->kind = kind;
	emit(event, 1);
}

/* If it is the recorder that reads a page, to see what the programs make of its device. */
static inline void recorder_reads(struct zram_io *io, u64 thread, u64 disk, u64 zram)
{
	u64 owner = 0;

	if (io->operation != OP_READ || thread >> 32 != RECORDER)
		return;
	zram_read(&zram);
#ifdef ASSUMED_ZRAM
	READ(io->table, zram + OFF_ZRAM_TABLE);
	READ(owner, zram + OFF_ZRAM_DISK);
	io->same_disk = owner == disk;
#endif
}

/* A request to a device begins: whether events can tell of that. `pages` of the store, from `index` on. */
static inline struct thread *zram_io_enter(u64 disk, u32 operation, u64 index, u32 pages)
{
	u32 kind = operation == OP_WRITE ? EVENT_STORE : operation == OP_READ ? EVENT_LOAD : EVENT_DISCARD;
	u64 thread = bpf_get_current_pid_tgid(), zram = 0;
	struct thread *here;
	u32 minor = 0;

	LOAD(zram, disk + OFF_DISK_PRIVATE);
	LOAD(minor, disk + OFF_DISK_MINOR);
	if (!has_room(minor))
		return 0;
	here = begin(thread, ZRAM_IO, kind, kind == EVENT_DISCARD ? 1 : pages);
	if (!here)
		return 0;
	here->zram_io.operation = operation;
	here->zram_io.index = index;
	here->zram_io.pages = pages;
	here->zram_io.stored = 0;
	here->zram_io.memory_cgroup = 0;
	here->zram_io.store = minor;
	recorder_reads(&here->zram_io, thread, disk, zram);
	return here;
}

/* zram_submit_bio(struct bio *) */
int zram_bio_enter(void *ctx)
{
	u64 bio = ARG(ctx, 0), disk = 0, sector = 0, vectors = 0, page = 0, index;
	u32 operation = 0, bytes = 0, first = 0, pages;
	struct thread *here;

	LOAD(operation, bio + OFF_BIO_OPF);
	operation &= 0xff;
	if (operation == OP_WRITE_ZEROES)
		operation = OP_DISCARD;
	if (operation != OP_READ && operation != OP_WRITE && operation != OP_DISCARD)
		return 0;
#ifdef OFF_BIO_DISK
	LOAD(disk, bio + OFF_BIO_DISK);
#else
	LOAD(disk, bio + OFF_BIO_BDEV);
	LOAD(disk, disk + OFF_BDEV_DISK);
#endif
	LOAD(sector, bio + OFF_BIO_SECTOR);
	LOAD(bytes, bio + OFF_BIO_SIZE);
	index = sector >> (PAGE_SHIFT - 9);
	pages = (((sector << 9) & (PAGE_SIZE - 1)) + bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
	if (operation == OP_DISCARD) {
		/* whole pages only */
		index = (sector + (PAGE_SIZE >> 9) - 1) >> (PAGE_SHIFT - 9);
		pages = (((sector << 9) + bytes) >> PAGE_SHIFT) - index;
	}
	here = zram_io_enter(disk, operation, index, pages);
	if (!here || operation != OP_WRITE)
		return 0;
	LOAD(vectors, bio + OFF_BIO_VECTORS);
	LOAD(first, bio + OFF_BIO_FIRST);
	READ(page, vectors + SIZE_BIO_VECTOR * first);
	here->zram_io.memory_cgroup = memory_cgroup_of(page, here);
	return 0;
}

/*
 * zram takes a page only when it has room for it, and frees what its entry had before just then: so the entries that a
 * write has freed, empty ones too, are the pages that it has stored. (Not from 6.14 to 6.16, since "zram: free slot
 * memory early during write" and until ce4be9e4307c ("zram: fix slot write race condition"): there the page that fails
 * counts as stored and gone. Analysis notices that from the kernel's own count.)
 */
static inline void page_taken(struct zram_io *io, u64 index)
{
	u64 stored = index - io->index + 1;

	if (stored <= io->pages)
		io->stored = stored;
}

/* What zram has refused of a write: `stored` pages come before. */
static inline void write_failed(struct zram_io *io, u32 tgid, u32 stored)
{
	struct event event = {};

	event.tgid = tgid;
	event.time = bpf_ktime_get_ns();
	event.slot = io->index + stored;
	event.arg = io->pages - stored;
#ifdef ZRAM_TRIES_ALL_PAGES
	event.run = io->pages - stored;
#else
	event.run = 1;
#endif
	event.device = io->store;
	event.kind = EVENT_FAILED;
	emit(&event, event.run);
}

static inline void zram_page_stored(struct zram_io *io, u32 tgid, u64 time, u32 page)
{
	struct event event = {};
	u32 gone;

	event.time = time;
	event.tgid = tgid;
	event.slot = io->index + page;
	event.run = 1;
	event.arg = io->memory_cgroup;
	event.device = io->store;
	gone = !describe_entry(entry_flags(io->table, io->index + page), &event);
	event.flags |= gone * FLAG_GONE;
	event.kind = EVENT_STORE;
	emit(&event, 1);
}

static inline void pages_stored(struct zram_io *io, u32 tgid)
{
	u64 time = bpf_ktime_get_ns();
	/* volatile, and a body without branches: otherwise the verifier of 6.1 gives up on 512 rounds */
	volatile u32 pages = io->stored;

	if (io->pages == 1 && pages == 1) { /* as a rule */
		zram_page_stored(io, tgid, time, 0);
		return;
	}
	for (u32 i = 0; i < MAX_PAGES_PER_BIO; i++) {
		if (i >= pages)
			break;
		zram_page_stored(io, tgid, time, i);
	}
	if (pages > MAX_PAGES_PER_BIO)
		count_lost(EVENT_STORE, pages - MAX_PAGES_PER_BIO);
	if (pages < io->pages)
		write_failed(io, tgid, pages);
}

#ifdef ASSUMED_ZRAM
/* What the table says of the entry that the recorder has read last, to be compared with what the kernel says of it. */
struct entry_seen {
	u32 held;
	u32 size;
	u32 flags;
	u32 same_disk;
};

BPF_ARRAY(recorder_entry, struct entry_seen, 1);

static inline void look_at_entry(struct zram_io *io)
{
	u32 zero = 0;
	struct event event = {};
	struct entry_seen seen = {};

	seen.held = describe_entry(entry_flags(io->table, io->index), &event);
	seen.size = event.size;
	seen.flags = event.flags;
	seen.same_disk = io->same_disk;
	recorder_entry.update(&zero, &seen);
}
#endif

static inline void pages_loaded(struct zram_io *io, u32 tgid)
{
	struct event event = {};

#ifdef ASSUMED_ZRAM
	if (tgid == RECORDER)
		look_at_entry(io);
#endif
	event.tgid = tgid;
	event.time = bpf_ktime_get_ns();
	event.slot = io->index;
	event.run = io->pages;
	event.kind = EVENT_LOAD;
	event.device = io->store;
	emit(&event, io->pages);
}

static inline void pages_discarded(struct zram_io *io, u32 tgid)
{
	struct event event = {};

	event.tgid = tgid;
	event.time = bpf_ktime_get_ns();
	event.slot = io->index;
	event.run = 1;
	event.arg = io->pages;
	event.kind = EVENT_DISCARD;
	event.device = io->store;
	emit(&event, 1);
}

static inline void tell_of_request(struct zram_io *io, u64 thread, struct thread *here)
{
	u32 tgid = process_of(thread, here);

	if (io->operation == OP_WRITE)
		pages_stored(io, tgid);
	else if (io->operation == OP_READ)
		pages_loaded(io, tgid);
	else if ((s32)io->pages > 0)
		pages_discarded(io, tgid);
}

int zram_bio_return(void *ctx)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct thread *here = end(thread, ZRAM_IO);

	if (here)
		tell_of_request(&here->zram_io, thread, here);
	return 0;
}

/* Whether zram_rw_page() has tried, by what it returns; or else the request comes as a bio. */
static inline bool has_tried(s32 result, u32 operation)
{
	return result != -ENOTSUPP && result != -EINVAL && (!result || operation == OP_WRITE);
}

/* zram_rw_page(struct block_device *, sector_t, struct page *, op): 4K swap pages, up to 6.3 */
#ifdef WITHOUT_ZRAM_PAGE_ENTER
/* What was dropped last in this thread is the page's old entry: entry_dropped() has left where the table is. */
int zram_page_return(void *ctx)
{
	u64 thread = bpf_get_current_pid_tgid(), disk = 0, zram = 0;
	struct thread *here = place_of(thread);
	s32 result = RETURN_VALUE(ctx, 4);
	struct zram_io io = {};
	bool has_place;
	u32 minor = 0;

	io.operation = ARG(ctx, 3) & 0xff;
	LOAD(disk, ARG(ctx, 0) + OFF_BDEV_DISK);
	LOAD(minor, disk + OFF_DISK_MINOR);
	if (!here || !has_tried(result, io.operation) || !has_room(minor))
		return 0;
	has_place = here->number == thread;
	take_place(here, thread);
	io.index = ARG(ctx, 1) >> (PAGE_SHIFT - 9);
	io.pages = 1;
	io.store = minor;
	if (io.operation == OP_WRITE) {
		io.stored = !result;
		io.memory_cgroup = memory_cgroup_of_argument(ARG(ctx, 2), here);
		io.table = here->zram_io.table;
	}
	if (!has_place || thread >> 32 == RECORDER) {
		LOAD(zram, disk + OFF_DISK_PRIVATE);
		READ(io.table, zram + OFF_ZRAM_TABLE);
		recorder_reads(&io, thread, disk, zram);
	}
	tell_of_request(&io, thread, here);
	return 0;
}
#else
int zram_page_enter(void *ctx)
{
	u32 operation = ARG(ctx, 3) & 0xff;
	struct thread *here;
	u64 disk = 0;

	LOAD(disk, ARG(ctx, 0) + OFF_BDEV_DISK);
	here = zram_io_enter(disk, operation, ARG(ctx, 1) >> (PAGE_SHIFT - 9), 1);
	if (here && operation == OP_WRITE)
		here->zram_io.memory_cgroup = memory_cgroup_of_argument(ARG(ctx, 2), here);
	return 0;
}

int zram_page_return(void *ctx)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct thread *here = end(thread, ZRAM_IO);

	if (here && has_tried(RETURN_VALUE(ctx, 4), here->zram_io.operation))
		tell_of_request(&here->zram_io, thread, here);
	return 0;
}
#endif

/* Of how many notifications one is timed, by the numbers of slots and moments: a power of two. */
static inline bool is_timed(struct event *event)
{
	return !((event->slot + (event->time >> 4)) & (NOTIFICATIONS_PER_TIMED - 1));
}

/* Of a free that was not seen, or of none: until e914d8f00391 ("mm: fix unexpected zeroed page mapping with zram
 * swap"), 5.18, a page that was read gave up its entry so. */
static inline void notified_alone(void *ctx, u64 thread)
{
	struct thread *here;
	u32 minor = 0;
	u64 disk = 0;

	LOAD(disk, ARG(ctx, 0) + OFF_BDEV_DISK);
	LOAD(minor, disk + OFF_DISK_MINOR);
	if (minor >= ZRAM_DEVICES)
		return; /* what it drops counts as left out */
	here = begin(thread, SLOT_FREE, EVENT_NOTIFY, 1);
	if (!here)
		return;
	next_slot_free(&here->slot_free);
	here->slot_free.event.flags = FLAG_MISSED;
	here->slot_free.event.tgid = process_of(thread, here);
	here->slot_free.event.time = bpf_ktime_get_ns();
	here->slot_free.event.slot = ARG(ctx, 1);
	here->slot_free.event.run = 1;
	here->slot_free.event.reason = 0;
	here->slot_free.event.kind = EVENT_NOTIFY;
	here->slot_free.event.device = minor;
}

/* zram_slot_free_notify(struct block_device *, unsigned long index): needed for those that come alone, and by kprobes
 */
int notification_enter(void *ctx)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct thread *here = at_work(thread, SLOT_FREE);

	if (!here)
		notified_alone(ctx, thread);
	else
		here->slot_free.event.slot = ARG(ctx, 1);
	return 0;
}

int notification_return(void *ctx)
{
	struct thread *here = at_work(bpf_get_current_pid_tgid(), SLOT_FREE);
	struct slot_free *free;

	if (!here) {
#ifdef WITHOUT_NOTIFICATION_ENTER
		count_lost(EVENT_NOTIFY, 1); /* its free was not seen */
#endif
		return 0;
	}
	free = &here->slot_free;
	if (free->start) {
		free->event.arg = bpf_ktime_get_ns() - free->start;
		free->event.flags |= FLAG_TIMED;
	}
	pages_done(here, SLOT_FREE, 1);
	emit_or_lose(&free->event, here->under_way[SLOT_FREE].kind, 1);
	if (!here->under_way[SLOT_FREE].pages)
		return 0;
	next_slot_free(free);
	free->event.slot += 1;
	return 0;
}

/* The page is on the backing device now, and its entry still says what it took in memory (7.3). */
static inline void emit_moved(u64 zram, u32 flags, u64 index)
{
	struct event event = {};

	event.slot = index;
	event.run = 1;
	event.size = flags & ENTRY_SIZE;
	event.flags = (flags >> ZRAM_HUGE & 1) * FLAG_HUGE;
	emit_of(zram, &event, EVENT_MOVED);
}

/*
 * Up to 6.18, writeback frees the object of an entry as if it was dropped, and then says where the page is now: in the
 * task that asks for it through sysfs. Another one that drops an entry which was chosen for that does so for a write or
 * a discard, or is a notification; what writes pages without a bio that is seen is reclaim.
 */
static inline bool may_write_back(void)
{
	u64 task = this_task();
	u32 flags = 0;

	LOAD(flags, task + OFF_TASK_FLAGS);
	return !(flags & (PF_MEMALLOC | PF_KSWAPD | PF_KTHREAD));
}

/* zram_free_page(struct zram *, size_t index), or slot_free(): called for entries that hold nothing, too */
int entry_dropped(void *ctx)
{
	u64 zram = ARG(ctx, 0), index = ARG(ctx, 1), table = 0, thread = bpf_get_current_pid_tgid();
	struct thread *here = place_of(thread);
	bool requested, notified, writing, held, moved;
	struct event event = {};
	u32 flags;

	if (!here)
		return 0;
	requested = is_at(here, thread, ZRAM_IO);
	notified = is_at(here, thread, SLOT_FREE) && here->slot_free.event.slot == index;
	LOAD(table, zram + OFF_ZRAM_TABLE);
	table = as_number(table);
	writing = requested && here->zram_io.operation == OP_WRITE;
	if (writing && !notified)
		page_taken(&here->zram_io, index);
	if (here->number == thread)
		here->zram_io.table = table;
	flags = entry_flags(table, index);
	if (!(flags & HOLDS) && !notified)
		return 0; /* as with each write to an empty slot */
	held = describe_entry(flags, &event);
	moved = !requested && flags >> ZRAM_CHOSEN & 1 && may_write_back();
#ifdef WITHOUT_ZRAM_PAGE_ENTER
	/* nothing else drops entries without a request that was seen */
	writing |= !requested && !moved && !is_at(here, thread, ZRAM_RESET);
#endif
	if (event.flags & FLAG_WRITTEN_BACK && flags >> ZRAM_CHOSEN & 1)
		emit_moved(zram, flags, index); /* just now, and entry_processed() would come too late */
	if (notified) {
		here->slot_free.event.flags &= ~FLAG_MISSED;
		here->slot_free.event.flags |= event.flags | held * FLAG_DROPPED;
		here->slot_free.event.size = event.size;
		if (is_timed(&here->slot_free.event))
			here->slot_free.start = bpf_ktime_get_ns();
		return 0;
	}
	event.slot = index;
	event.run = 1;
	event.flags |= !moved && writing ? FLAG_REPLACED : 0;
	emit_of(zram, &event, moved ? EVENT_MOVED : EVENT_DROP);
	return 0;
}

#ifdef OFF_PP_SLOT_INDEX
/*
 * release_pp_slot(struct zram *, struct zram_pp_slot *): done with an entry that was chosen for writeback. None is that
 * was on the backing device already, so if it is there now, it has just got there.
 */
int entry_processed(void *ctx)
{
	u64 zram = ARG(ctx, 0), index = 0, table = 0;
	u32 flags;

	LOAD(index, ARG(ctx, 1) + OFF_PP_SLOT_INDEX);
	READ(table, zram + OFF_ZRAM_TABLE); /* a number, not a pointer, see as_number() */
	flags = entry_flags(table, index);
	if (flags >> ZRAM_WB & 1)
		emit_moved(zram, flags, index);
	return 0;
}
#endif

/* zram_reset_device(struct zram *): after this, whatever was held is gone */
int store_reset(void *ctx)
{
	struct event event = {};

	begin(bpf_get_current_pid_tgid(), ZRAM_RESET, 0, 1);
	emit_of(ARG(ctx, 0), &event, EVENT_RESET);
	return 0;
}

int store_reset_return(void *ctx)
{
	end(bpf_get_current_pid_tgid(), ZRAM_RESET);
	return 0;
}
