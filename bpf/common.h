/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What all programs share: arguments, memory reads, the ring buffer, losses, command names.
 *
 * No kernel header is used. `struct event` and the EVENT_, FLAG_ and REASON_ constants come from swaptrace/events.py;
 * the OFF_, SIZE_ and other upper-case constants come from the running kernel's BTF (swaptrace/live/layout.py).
 */

/* One argument of the probed function, or its return value: places in pt_regs are per architecture. */
#define ARG(ctx, n) (*(u64 *)((void *)(ctx) + REGS_ARG##n))
#define RETURN_VALUE(ctx) (*(u64 *)((void *)(ctx) + REGS_RETURN))

#define READ(variable, address) bpf_probe_read_kernel(&(variable), sizeof(variable), (void *)(address))

struct task_name {
	char comm[16];
};

BPF_RINGBUF_OUTPUT(ring, RING_PAGES);
BPF_PERCPU_ARRAY(lost, u64, EVENT_KINDS);
BPF_TABLE("lru_hash", u32, u8, known_tasks, 16384);
BPF_PERCPU_ARRAY(last_task, u32, 1);

static inline void emit(struct event *event, u32 pages)
{
	/* The reader looks at the ring by itself, often enough: a wake-up for every event would cost the most of all.
	 */
	if (ring.ringbuf_output(event, sizeof(*event), BPF_RB_NO_WAKEUP)) {
		u32 kind = event->kind;
		u64 *count = lost.lookup(&kind);
		if (count)
			*count += pages;
	}
}

/*
 * A kretprobe's return may be missed: the kernel keeps a limited number of calls in mind. What was entered and has not
 * returned is counted in slots, by event kind.
 */
struct calls {
	u64 entered;
	u64 returned;
};

BPF_PERCPU_ARRAY(calls, struct calls, EVENT_KINDS);

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

/* Tell the name of each process once; as a rule, the last one on this CPU was the same. */
static inline u32 current_task(void)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32, zero = 0;
	u32 *last = last_task.lookup(&zero);
	struct event event = {};
	u8 yes = 1;

	if (last && *last == tgid)
		return tgid;
	if (last)
		*last = tgid;
	if (known_tasks.lookup(&tgid))
		return tgid;
	known_tasks.update(&tgid, &yes);
	event.time = bpf_ktime_get_ns();
	event.kind = EVENT_TASK;
	event.tgid = tgid;
	bpf_get_current_comm(&event.slot, sizeof(struct task_name));
	emit(&event, 1);
	return tgid;
}
