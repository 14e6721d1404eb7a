/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The compressed store (drivers/block/zram/zram_drv.c): what is stored with which compressed size, what is read back,
 * what is dropped, and what a slot-free notification costs.
 */

#include "common.h"
#include "cgroups.h"
#include "pools.h"
#include "tasks.h"

#define OP_READ 0
#define OP_WRITE 1
#define OP_DISCARD 3
#define OP_WRITE_ZEROES 9
#define MAX_PAGES_PER_BIO 512
/* What zram_rw_page() says of a huge page, and of one beyond the device: before it tries anything. */
#define ENOTSUPP 524
#define EINVAL 22

/* Read zram->table[index] into event->size and event->flags; returns whether it holds anything. */
static inline u32 read_entry(u64 table, u64 index, struct event *event)
{
	u64 entry[SIZE_ZRAM_ENTRY / 8] = {}, handle, any;
	u32 flags, same, huge, written_back;

	READ(entry, table + index * SIZE_ZRAM_ENTRY); /* all at once: the call costs more than what it copies */
	handle = entry[OFF_ZRAM_HANDLE / 8];
	flags = ((u32 *)entry)[OFF_ZRAM_FLAGS / 4];
	same = flags >> ZRAM_SAME & 1;
	huge = flags >> ZRAM_HUGE & 1;
	written_back = flags >> ZRAM_WB & 1;
	huge &= 1 - written_back; /* which in 7.3 keeps its mark */
	event->flags |= same * FLAG_SAME | huge * FLAG_HUGE | written_back * FLAG_WRITTEN_BACK;
	/* neither a same-filled page nor one on the backing device has an object in memory */
	event->size = (flags & ((1U << ZRAM_FLAG_SHIFT) - 1)) * !(same | written_back);
	any = handle | -handle;
	asm volatile("" : "+r"(any)); /* or the compiler would make a branch of it */
	return any >> 63 | same | written_back;
}

static inline u32 entry_flags(u64 table, u64 index)
{
	u32 flags = 0;

	READ(flags, table + index * SIZE_ZRAM_ENTRY + OFF_ZRAM_FLAGS);
	return flags;
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

/* Emit what has happened to an entry, or to all of them. kind: a constant, and set last, see emit(). */
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

struct zram_io {
	u64 thread; /* 0: none is running */
	u64 table;
	u64 index;
	u32 pages;
	u32 stored; /* of a write's pages: those that zram has taken so far */
	u32 operation;
	u32 memory_cgroup;
	u8 store;
	u8 same_disk;
};

/*
 * What each thread is at, by its number's low bits: an array, since a hash table's lookups would cost more than all
 * the rest. Where two threads at once have the same bits, the first one's event is lost, and counted.
 */
#define MAX_RUNNING 16384
BPF_ARRAY(zram_io_running, struct zram_io, MAX_RUNNING);

static inline struct zram_io *running_io(u64 thread)
{
	u32 place = thread & (MAX_RUNNING - 1);

	return zram_io_running.lookup(&place);
}

/* Whether events can tell of the device. */
static inline bool zram_of_disk(u64 disk, struct zram_io *io)
{
	u64 zram = 0;
	u32 minor = 0;

	LOAD(zram, disk + OFF_DISK_PRIVATE);
	LOAD(minor, disk + OFF_DISK_MINOR);
	if (!has_room(minor))
		return false;
	zram_read(&zram);
#ifndef ASSUMED_ZRAM
	if (io->operation == OP_WRITE) /* nobody else looks into it */
#endif
		READ(io->table, zram + OFF_ZRAM_TABLE);
	io->store = minor;
#ifdef ASSUMED_ZRAM
	READ(zram, zram + OFF_ZRAM_DISK);
	io->same_disk = zram == disk;
#endif
	return true;
}

/* The kind of the event that tells of the request, and the number of slots in such events. */
static inline u32 kind_of(struct zram_io *io)
{
	return io->operation == OP_WRITE ? EVENT_STORE : io->operation == OP_READ ? EVENT_LOAD : EVENT_DISCARD;
}

static inline u32 slots_of(struct zram_io *io)
{
	return io->operation == OP_DISCARD ? 1 : io->pages;
}

static inline void zram_io_enter(struct zram_io *io)
{
	struct zram_io *running;

	io->thread = bpf_get_current_pid_tgid();
	running = running_io(io->thread);
	if (!running)
		return;
	if (running->thread && running->thread != io->thread)
		call_displaced(kind_of(running), slots_of(running));
	*running = *io;
	call_entered(kind_of(io), slots_of(io));
}

/* zram_submit_bio(struct bio *) */
int zram_bio_enter(void *ctx)
{
	u64 bio = ARG(ctx, 0), disk = 0, sector = 0, pages = 0, page = 0;
	u32 operation = 0, bytes = 0, first = 0;
	struct zram_io io = {};

	LOAD(operation, bio + OFF_BIO_OPF);
	io.operation = operation & 0xff;
	if (io.operation == OP_WRITE_ZEROES)
		io.operation = OP_DISCARD;
	if (io.operation != OP_READ && io.operation != OP_WRITE && io.operation != OP_DISCARD)
		return 0;
#ifdef OFF_BIO_DISK
	LOAD(disk, bio + OFF_BIO_DISK);
#else
	LOAD(disk, bio + OFF_BIO_BDEV);
	LOAD(disk, disk + OFF_BDEV_DISK);
#endif
	LOAD(sector, bio + OFF_BIO_SECTOR);
	LOAD(bytes, bio + OFF_BIO_SIZE);
	io.index = sector >> (PAGE_SHIFT - 9);
	io.pages = (((sector << 9) & (PAGE_SIZE - 1)) + bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
	if (io.operation == OP_DISCARD) {
		/* whole pages only */
		io.index = (sector + (PAGE_SIZE >> 9) - 1) >> (PAGE_SHIFT - 9);
		io.pages = (((sector << 9) + bytes) >> PAGE_SHIFT) - io.index;
	}
	if (!zram_of_disk(disk, &io))
		return 0;
	if (io.operation == OP_WRITE) {
		LOAD(pages, bio + OFF_BIO_VECTORS);
		LOAD(first, bio + OFF_BIO_FIRST);
		READ(page, pages + SIZE_BIO_VECTOR * first);
		io.memory_cgroup = memory_cgroup_of(page);
	}
	zram_io_enter(&io);
	return 0;
}

/* zram_rw_page(struct block_device *, sector_t, struct page *, op): 4K swap pages, up to 6.3 */
int zram_page_enter(void *ctx)
{
	u64 disk = 0;
	struct zram_io io = {};

	LOAD(disk, ARG(ctx, 0) + OFF_BDEV_DISK);
	io.operation = ARG(ctx, 3) & 0xff;
	io.index = ARG(ctx, 1) >> (PAGE_SHIFT - 9);
	io.pages = 1;
	if (!zram_of_disk(disk, &io))
		return 0;
	if (io.operation == OP_WRITE)
		io.memory_cgroup = memory_cgroup_of_argument(ARG(ctx, 2));
	zram_io_enter(&io);
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
static inline void write_failed(struct zram_io *io, u32 stored)
{
	struct event event = {};

	event.tgid = process_of(io->thread);
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

static inline void pages_stored(struct zram_io *io)
{
	u32 tgid = process_of(io->thread);
	u64 time = bpf_ktime_get_ns();
	/* volatile, and a body without branches: otherwise the verifier of 6.1 gives up on 512 rounds */
	volatile u32 pages = io->stored;

	for (u32 i = 0; i < MAX_PAGES_PER_BIO; i++) {
		struct event event = {};
		u32 gone;

		if (i >= pages)
			break;
		event.time = time;
		event.tgid = tgid;
		event.slot = io->index + i;
		event.run = 1;
		event.arg = io->memory_cgroup;
		event.device = io->store;
		gone = 1 - read_entry(io->table, io->index + i, &event);
		event.flags |= gone * FLAG_GONE;
		event.kind = EVENT_STORE; /* last: see emit() */
		emit(&event, 1);
	}
	if (pages > MAX_PAGES_PER_BIO)
		count_lost(EVENT_STORE, pages - MAX_PAGES_PER_BIO);
	if (pages < io->pages)
		write_failed(io, pages);
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

	seen.held = read_entry(io->table, io->index, &event);
	seen.size = event.size;
	seen.flags = event.flags;
	seen.same_disk = io->same_disk;
	recorder_entry.update(&zero, &seen);
}
#endif

static inline void pages_loaded(struct zram_io *io)
{
	struct event event = {};

#ifdef ASSUMED_ZRAM
	if (bpf_get_current_pid_tgid() >> 32 == RECORDER)
		look_at_entry(io);
#endif
	event.tgid = process_of(io->thread);
	event.time = bpf_ktime_get_ns();
	event.slot = io->index;
	event.run = io->pages;
	event.kind = EVENT_LOAD;
	event.device = io->store;
	emit(&event, io->pages);
}

static inline void pages_discarded(struct zram_io *io)
{
	struct event event = {};

	event.tgid = process_of(io->thread);
	event.time = bpf_ktime_get_ns();
	event.slot = io->index;
	event.run = 1;
	event.arg = io->pages;
	event.kind = EVENT_DISCARD;
	event.device = io->store;
	emit(&event, 1);
}

/* attempted: whether zram has tried at all; failed: whether it could not. */
static inline int zram_io_return(bool attempted, bool failed)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct zram_io *running = running_io(thread);

	if (!running || running->thread != thread)
		return 0;
	call_returned(kind_of(running), slots_of(running));
	if (!attempted || (failed && running->operation != OP_WRITE))
		; /* it then comes as a bio */
	else if (running->operation == OP_WRITE)
		pages_stored(running);
	else if (running->operation == OP_READ)
		pages_loaded(running);
	else if (running->operation == OP_DISCARD && (s32)running->pages > 0)
		pages_discarded(running);
	running->thread = 0;
	return 0;
}

int zram_bio_return(void *ctx)
{
	return zram_io_return(true, false);
}

int zram_page_return(void *ctx)
{
	s32 result = RETURN_VALUE(ctx, 4);

	return zram_io_return(result != -ENOTSUPP && result != -EINVAL, result != 0);
}

/* A notification under way on this CPU: the swap code calls it under a spinlock, so it stays here until it returns. */
struct notification {
	u64 start;
	u64 task;
	u32 index;
	u32 size;
	u32 flags;
	u8 store;
	u8 running;
	u64 padding[4];
};

BPF_ARRAY(notifications, struct notification, PROCESSORS);

static inline struct notification *notification_here(void)
{
	u32 processor = bpf_get_smp_processor_id();

	return notifications.lookup(&processor);
}

/* zram_slot_free_notify(struct block_device *, unsigned long index) */
int notification_enter(void *ctx)
{
	u32 minor = 0;
	u64 disk = 0;
	struct notification *now = notification_here();

	if (!now)
		return 0;
	LOAD(disk, ARG(ctx, 0) + OFF_BDEV_DISK);
	LOAD(minor, disk + OFF_DISK_MINOR);
	if (minor >= ZRAM_DEVICES)
		return 0; /* what it drops counts as left out */
	now->store = minor;
	now->index = ARG(ctx, 1);
	now->size = 0;
	now->flags = FLAG_MISSED; /* until the entry is looked at */
	now->task = bpf_get_current_pid_tgid();
	now->running = 1;
	call_entered(EVENT_NOTIFY, 1);
	now->start = bpf_ktime_get_ns();
	return 0;
}

int notification_return(void *ctx)
{
	u64 end = bpf_ktime_get_ns();
	struct notification *now = notification_here();
	struct event event = {};

	if (!now || !now->running)
		return 0;
	now->running = 0;
	call_returned(EVENT_NOTIFY, 1);
	event.tgid = now->task >> 32;
	event.time = end;
	event.slot = now->index;
	event.size = now->size;
	event.arg = end - now->start;
	event.flags = now->flags;
	event.run = 1;
	event.kind = EVENT_NOTIFY;
	event.device = now->store;
	emit(&event, 1);
	return 0;
}

/* The page is on the backing device now, and its entry still says what it took in memory (7.3). */
static inline void emit_moved(u64 zram, u64 table, u64 index)
{
	u32 flags = entry_flags(table, index);
	struct event event = {};

	event.slot = index;
	event.run = 1;
	event.size = flags & ((1U << ZRAM_FLAG_SHIFT) - 1);
	event.flags = (flags >> ZRAM_HUGE & 1) * FLAG_HUGE;
	emit_of(zram, &event, EVENT_MOVED);
}

/* zram_free_page(struct zram *, size_t index), or slot_free(): called for entries that hold nothing, too */
int entry_dropped(void *ctx)
{
	u64 zram = ARG(ctx, 0), index = ARG(ctx, 1), table = 0, thread;
	struct notification *now = notification_here();
	struct zram_io *running;
	struct event event = {};
	bool held, told, moved = false;

	LOAD(table, zram + OFF_ZRAM_TABLE);
	table = as_number(table);
	if (!now)
		return 0;
	thread = bpf_get_current_pid_tgid();
	told = now->running && now->index == index && now->task == thread;
	running = running_io(thread);
	if (running && running->thread != thread)
		running = 0;
	if (running && running->operation == OP_WRITE && !told)
		page_taken(running, index);
	held = read_entry(table, index, &event);
	if (!held && !told)
		return 0; /* as with each write to an empty slot */
	if (event.flags & FLAG_WRITTEN_BACK && entry_flags(table, index) >> ZRAM_CHOSEN & 1)
		emit_moved(zram, table, index); /* just now, and entry_processed() would come too late */
	if (told) {
		now->flags = event.flags | held * FLAG_DROPPED;
		now->size = event.size;
		return 0;
	}
	if (running && running->operation == OP_WRITE)
		event.flags |= FLAG_REPLACED;
	/* Up to 6.18, writeback frees the object in this way, and then says where the page is now. Another task
	 * that drops an entry which was chosen for that does so for a write or a discard, or is a notification. */
	else if (!running && entry_flags(table, index) >> ZRAM_CHOSEN & 1)
		moved = true;
	event.slot = index;
	event.run = 1;
	if (moved)
		emit_of(zram, &event, EVENT_MOVED);
	else
		emit_of(zram, &event, EVENT_DROP);
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

	LOAD(index, ARG(ctx, 1) + OFF_PP_SLOT_INDEX);
	READ(table, zram + OFF_ZRAM_TABLE); /* a number, not a pointer, see as_number() */
	if (entry_flags(table, index) >> ZRAM_WB & 1)
		emit_moved(zram, table, index);
	return 0;
}
#endif

/* zram_reset_device(struct zram *): after this, whatever was held is gone */
int store_reset(void *ctx)
{
	struct event event = {};

	emit_of(ARG(ctx, 0), &event, EVENT_RESET);
	return 0;
}
