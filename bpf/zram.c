/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The compressed store (drivers/block/zram/zram_drv.c): what is stored with which compressed size, what is read back,
 * what is dropped, and what a slot-free notification costs.
 */

#define OP_READ 0
#define OP_WRITE 1
#define OP_DISCARD 3
#define OP_WRITE_ZEROES 9
#define MAX_PAGES_PER_BIO 512

struct zram_entry {
	u64 handle;
	u32 flags;
};

/* Read zram->table[index] into event->size and event->flags; returns whether it holds anything. */
static inline bool read_entry(u64 table, u64 index, struct event *event)
{
	u64 entry = table + index * SIZE_ZRAM_ENTRY, handle = 0;
	u32 flags = 0, same, huge, written_back;

	READ(flags, entry + OFF_ZRAM_FLAGS);
	READ(handle, entry + OFF_ZRAM_HANDLE);
	same = flags >> ZRAM_SAME & 1;
	huge = flags >> ZRAM_HUGE & 1;
	written_back = flags >> ZRAM_WB & 1;
	event->flags |= same * FLAG_SAME | huge * FLAG_HUGE | written_back * FLAG_WRITTEN_BACK;
	/* neither a same-filled page nor one on the backing device has an object in memory */
	event->size = (flags & ((1U << ZRAM_FLAG_SHIFT) - 1)) * !(same | written_back);
	return (handle != 0) | same | written_back;
}

#ifdef ZRAM_UNDER_WB
static inline bool under_writeback(u64 table, u64 index)
{
	u32 flags = 0;

	READ(flags, table + index * SIZE_ZRAM_ENTRY + OFF_ZRAM_FLAGS);
	return flags >> ZRAM_UNDER_WB & 1;
}
#endif

struct zram_io {
	u64 table;
	u64 index;
	u32 pages;
	u32 operation;
	u32 memory_cgroup;
	u8 store;
	u8 same_disk;
};

BPF_HASH(zram_io_running, u64, struct zram_io, 4096);

#ifdef OFF_POOL_CLASSES
/* The chain length of each size class of a pool, in pages: what the recorder needs to model it. */
BPF_ARRAY(recorder_zram, u64, 1);
BPF_ARRAY(pool_classes, u32, POOL_CLASSES);

static inline void look_at_pool(void)
{
	u32 zero = 0;
	u64 *zram = recorder_zram.lookup(&zero), pool = 0;

	if (!zram || !*zram)
		return;
	READ(pool, *zram + OFF_ZRAM_POOL);
	for (u32 i = 0; i < POOL_CLASSES; i++) {
		u32 index = i, pages = 0;
		u64 size_class = 0;

		READ(size_class, pool + OFF_POOL_CLASSES + 8 * i);
		if (size_class)
			READ(pages, size_class + OFF_CLASS_PAGES);
		pool_classes.update(&index, &pages);
	}
}
#endif

static inline void zram_of_disk(u64 disk, struct zram_io *io)
{
	u64 zram = 0;
	u32 minor = 0;

	READ(zram, disk + OFF_DISK_PRIVATE);
	READ(minor, disk + OFF_DISK_MINOR);
#ifdef OFF_POOL_CLASSES
	if (bpf_get_current_pid_tgid() >> 32 == RECORDER) {
		u32 zero = 0;

		recorder_zram.update(&zero, &zram);
	}
#endif
	READ(io->table, zram + OFF_ZRAM_TABLE);
	io->store = minor;
#ifdef ASSUMED_ZRAM
	READ(zram, zram + OFF_ZRAM_DISK);
	io->same_disk = zram == disk;
#endif
}

#ifdef OFF_PAGE_MEMCG
/* A mem_cgroup tells what it is: its subsystem is the memory controller. */
static inline bool is_memory_cgroup(u64 memcg)
{
	u64 subsystem = 0;

	READ(subsystem, memcg + OFF_MEMCG_SUBSYSTEM);
	return subsystem == MEMORY_SUBSYSTEM;
}

/*
 * The inode number of the memory cgroup that a page is charged to: 0 if it is charged to none. The page has a pointer
 * to the group, or (7.x; before that for the kernel's own pages) to an obj_cgroup that has it: looking tells which.
 */
static inline u32 memory_cgroup_of(u64 page)
{
	u64 memcg = 0, cgroup = 0, node = 0, id = 0;

	READ(memcg, page + OFF_PAGE_MEMCG);
	memcg &= ~7ULL; /* flags (include/linux/memcontrol.h) */
	if (!memcg)
		return 0;
	if (!is_memory_cgroup(memcg)) {
		READ(memcg, memcg + OFF_OBJCG_MEMCG);
		if (!is_memory_cgroup(memcg))
			return 0;
	}
	READ(cgroup, memcg + OFF_MEMCG_CGROUP);
	READ(node, cgroup + OFF_CGROUP_NODE);
	READ(id, node + OFF_NODE_ID);
	return id;
}
#else
static inline u32 memory_cgroup_of(u64 page)
{
	return 0;
}
#endif

static inline void zram_io_enter(struct zram_io *io)
{
	u64 id = bpf_get_current_pid_tgid();

	zram_io_running.update(&id, io);
	call_entered(io->operation == OP_WRITE ? EVENT_STORE : EVENT_LOAD, io->pages);
}

/* zram_submit_bio(struct bio *) */
int zram_bio_enter(void *ctx)
{
	u64 bio = ARG(ctx, 0), disk = 0, sector = 0, pages = 0, page = 0;
	u32 operation = 0, bytes = 0, first = 0;
	struct zram_io io = {};

	READ(operation, bio + OFF_BIO_OPF);
	io.operation = operation & 0xff;
	if (io.operation == OP_WRITE_ZEROES)
		io.operation = OP_DISCARD;
	if (io.operation != OP_READ && io.operation != OP_WRITE && io.operation != OP_DISCARD)
		return 0;
#ifdef OFF_BIO_DISK
	READ(disk, bio + OFF_BIO_DISK);
#else
	READ(disk, bio + OFF_BIO_BDEV);
	READ(disk, disk + OFF_BDEV_DISK);
#endif
	READ(sector, bio + OFF_BIO_SECTOR);
	READ(bytes, bio + OFF_BIO_SIZE);
	io.index = sector >> (PAGE_SHIFT - 9);
	io.pages = (((sector << 9) & (PAGE_SIZE - 1)) + bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
	if (io.operation == OP_DISCARD) {
		/* whole pages only */
		io.index = (sector + (PAGE_SIZE >> 9) - 1) >> (PAGE_SHIFT - 9);
		io.pages = (((sector << 9) + bytes) >> PAGE_SHIFT) - io.index;
	}
	zram_of_disk(disk, &io);
	if (io.operation == OP_WRITE) {
		READ(pages, bio + OFF_BIO_VECTORS);
		READ(first, bio + OFF_BIO_FIRST);
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

	READ(disk, ARG(ctx, 0) + OFF_BDEV_DISK);
	io.operation = ARG(ctx, 3) & 0xff;
	io.index = ARG(ctx, 1) >> (PAGE_SHIFT - 9);
	io.pages = 1;
	zram_of_disk(disk, &io);
	if (io.operation == OP_WRITE)
		io.memory_cgroup = memory_cgroup_of(ARG(ctx, 2));
	zram_io_enter(&io);
	return 0;
}

static inline void pages_stored(struct zram_io *io)
{
	u32 tgid = current_task();
	u64 time = bpf_ktime_get_ns();
	/* volatile, and a body without branches: otherwise the verifier of 6.1 gives up on 512 rounds */
	volatile u32 pages = io->pages;

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
		event.kind = EVENT_STORE;
		event.device = io->store;
		gone = !read_entry(io->table, io->index + i, &event);
		event.flags |= gone * FLAG_GONE;
		emit(&event, 1);
	}
	if (pages > MAX_PAGES_PER_BIO) {
		u32 kind = EVENT_STORE;
		u64 *count = lost.lookup(&kind);

		if (count)
			*count += pages - MAX_PAGES_PER_BIO;
	}
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
	event.tgid = current_task();
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

	event.tgid = current_task();
	event.time = bpf_ktime_get_ns();
	event.slot = io->index;
	event.run = 1;
	event.arg = io->pages;
	event.kind = EVENT_DISCARD;
	event.device = io->store;
	emit(&event, 1);
}

static inline int zram_io_return(bool failed)
{
	u64 id = bpf_get_current_pid_tgid();
	struct zram_io *running = zram_io_running.lookup(&id), io;

	if (!running)
		return 0;
	io = *running;
	zram_io_running.delete(&id);
	call_returned(io.operation == OP_WRITE ? EVENT_STORE : EVENT_LOAD, io.pages);
	if (failed)
		return 0; /* a huge page, for instance, which then comes as a bio */
	if (io.operation == OP_WRITE)
		pages_stored(&io);
	else if (io.operation == OP_READ)
		pages_loaded(&io);
	else if (io.operation == OP_DISCARD && (s32)io.pages > 0)
		pages_discarded(&io);
	return 0;
}

int zram_bio_return(void *ctx)
{
	return zram_io_return(false);
}

int zram_page_return(void *ctx)
{
	return zram_io_return((s32)RETURN_VALUE(ctx) != 0);
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
};

BPF_PERCPU_ARRAY(notifications, struct notification, 1);

/* zram_slot_free_notify(struct block_device *, unsigned long index) */
int notification_enter(void *ctx)
{
	u32 zero = 0, minor = 0;
	u64 disk = 0;
	struct notification *now = notifications.lookup(&zero);

	if (!now)
		return 0;
	READ(disk, ARG(ctx, 0) + OFF_BDEV_DISK);
	READ(minor, disk + OFF_DISK_MINOR);
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
	u32 zero = 0;
	u64 end = bpf_ktime_get_ns();
	struct notification *now = notifications.lookup(&zero);
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

/* zram_free_page(struct zram *, size_t index), or slot_free(): called for entries that hold nothing, too */
int entry_dropped(void *ctx)
{
	u32 zero = 0, minor = 0;
	u64 zram = ARG(ctx, 0), index = ARG(ctx, 1), table = 0, disk = 0, id = bpf_get_current_pid_tgid();
	struct notification *now = notifications.lookup(&zero);
	struct zram_io *running;
	struct event event = {};
	bool held;

	READ(table, zram + OFF_ZRAM_TABLE);
	held = read_entry(table, index, &event);
	if (now && now->running && now->index == index && now->task == id) {
		now->flags = event.flags | held * FLAG_DROPPED;
		now->size = event.size;
		return 0;
	}
	if (!held)
		return 0;
	event.kind = EVENT_DROP;
	running = zram_io_running.lookup(&id);
	if (running && running->operation == OP_WRITE)
		event.flags |= FLAG_REPLACED;
#ifdef ZRAM_UNDER_WB
	/* writeback_store() frees the object, and then says where the page is now. Another task that drops an entry
	 * under writeback does so for a write or a discard, or is a notification. */
	else if (!running && under_writeback(table, index))
		event.kind = EVENT_MOVED;
#endif
	READ(disk, zram + OFF_ZRAM_DISK);
	READ(minor, disk + OFF_DISK_MINOR);
	event.tgid = current_task();
	event.time = bpf_ktime_get_ns();
	event.slot = index;
	event.run = 1;
	event.device = minor;
	emit(&event, 1);
	return 0;
}

/* zram_reset_device(struct zram *): after this, whatever was held is gone */
int store_reset(void *ctx)
{
	u64 disk = 0;
	u32 minor = 0;
	struct event event = {};

	READ(disk, ARG(ctx, 0) + OFF_ZRAM_DISK);
	READ(minor, disk + OFF_DISK_MINOR);
	event.tgid = current_task();
	event.time = bpf_ktime_get_ns();
	event.kind = EVENT_RESET;
	event.device = minor;
	emit(&event, 1);
	return 0;
}
