/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What all programs share: arguments, memory reads, the ring buffer, losses, command names.
 *
 * No kernel header is used. `struct event` and the EVENT_, FLAG_ and REASON_ constants come from swaptrace/events.py;
 * the OFF_, SIZE_ and other upper-case constants come from the running kernel's BTF (swaptrace/kernel/layout.py).
 */

/*
 * One argument of the probed function, or its return value, which comes after all `arguments` of them. A trampoline
 * (fentry, fexit) hands them over one after the other; a kprobe's places in pt_regs are per architecture.
 */
#ifdef TRAMPOLINES
#define ARG(ctx, n) (((u64 *)(ctx))[n])
#define RETURN_VALUE(ctx, arguments) (((u64 *)(ctx))[arguments])
#else
#define ARG(ctx, n) (*(u64 *)((void *)(ctx) + REGS_ARG##n))
#define RETURN_VALUE(ctx, arguments) (*(u64 *)((void *)(ctx) + REGS_RETURN))
#endif

#define READ(variable, address) bpf_probe_read_kernel(&(variable), sizeof(variable), (void *)(address))

/*
 * A field behind a pointer that a trampoline's program got as an argument, or from such a field: the verifier knows its
 * type, so that a plain load does.
 */
#ifdef TRAMPOLINES
#define LOAD(variable, address) ((variable) = *(typeof(variable) *)(address))
#else
#define LOAD(variable, address) READ(variable, address)
#endif

struct task_name {
	char comm[16];
};

BPF_RINGBUF_OUTPUT(ring, RING_PAGES);
BPF_PERCPU_ARRAY(lost, u64, EVENT_KINDS);

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
 * returned is counted in slots, by event kind. A trampoline misses none.
 */
struct calls {
	u64 entered;
	u64 returned;
};

BPF_PERCPU_ARRAY(calls, struct calls, EVENT_KINDS);

static inline void call_entered(u32 kind, u32 pages)
{
#ifndef TRAMPOLINES
	struct calls *count = calls.lookup(&kind);

	if (count)
		count->entered += pages;
#endif
}

static inline void call_returned(u32 kind, u32 pages)
{
#ifndef TRAMPOLINES
	struct calls *count = calls.lookup(&kind);

	if (count)
		count->returned += pages;
#endif
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

/*
 * The memory cgroup whose page was stored last on each processor. Serial numbers are never used again. Programs may be
 * preempted: the id is read before, and written after, what tells that it is the right one.
 */
struct last_cgroup {
	u64 memcg;
	u64 serial;
	u32 id;
	u32 padding[11];
};

BPF_ARRAY(last_cgroups, struct last_cgroup, PROCESSORS);

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
static inline u32 cgroup_number(u64 memcg)
{
	u32 processor = bpf_get_smp_processor_id();
	volatile struct last_cgroup *last = last_cgroups.lookup(&processor);
	u64 serial = 0, cgroup = 0, node = 0, id = 0;
	bool direct;

	memcg &= ~7ULL; /* flags (include/linux/memcontrol.h) */
	if (!memcg || !last)
		return 0;
	READ(serial, memcg + OFF_MEMCG_SERIAL);
	id = last->id;
	if (last->serial == serial && last->memcg == memcg)
		return id;
	direct = is_memory_cgroup(memcg);
	if (!direct) {
		READ(memcg, memcg + OFF_OBJCG_MEMCG);
		if (!is_memory_cgroup(memcg))
			return 0;
	}
	READ(cgroup, memcg + OFF_MEMCG_CGROUP);
	READ(node, cgroup + OFF_CGROUP_NODE);
	READ(id, node + OFF_NODE_ID);
	if (direct) {
		last->memcg = 0;
		last->serial = serial;
		last->id = id;
		last->memcg = memcg;
	}
	return id;
}
#endif

/* That of a page. */
static inline u32 memory_cgroup_of(u64 page)
{
	u64 memcg = 0;

#ifdef OFF_PAGE_MEMCG
	READ(memcg, page + OFF_PAGE_MEMCG);
	return cgroup_number(memcg);
#endif
	return 0;
}

/* That of a page or folio that is an argument of the function. */
static inline u32 memory_cgroup_of_argument(u64 page)
{
	u64 memcg = 0;

#ifdef OFF_PAGE_MEMCG
	LOAD(memcg, page + OFF_PAGE_MEMCG);
	return cgroup_number(memcg);
#endif
	return 0;
}

#ifdef OFF_POOL_CLASSES
/* The chain length of each size class of a zsmalloc pool, in pages: what the recorder needs to model it. */
BPF_ARRAY(pool_classes, u32, POOL_CLASSES);

static inline void read_pool_classes(u64 pool)
{
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
