/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The state machine of `record --summary`: what swaptrace/analysis works out of a trace, worked out here, event by
 * event.
 *
 * No kernel header, no helper but the processor's number and array look-ups: the same file is compiled for the tests as
 * an ordinary library. Structures, places and limits come from swaptrace/summary/figures.py, where they are defined.
 *
 * Almost nothing here branches: up to 512 pages come in one event or one request, and the verifier gives up on a loop
 * of 512 rounds with more than a dozen branches. So conditions are numbers, 0 or 1, that are multiplied with; indexes
 * are masked, not compared; and arrays lie in one large value, which is looked up once.
 *
 * What several processors change at once is added to atomically, or there is one for each processor, and they are added
 * up when they are read. A page's record is changed by one event at a time, as the kernel does one thing at a time to a
 * slot; where it does not (a page is read back while its slot is freed), that page may count towards the wrong class.
 */

BPF_F_TABLE("array", u32, struct page_record, summary_pages, SUMMARY_PAGES, SUMMARY_MMAPABLE);
BPF_F_TABLE("array", u32, struct slot_record, summary_slots, SUMMARY_SLOTS, SUMMARY_MMAPABLE);

/* BCC makes code to print each member of what a map holds, but not of plain bytes (and stumbles over a sizeof). */
struct figures_bytes {
	char bytes[FIGURES_BYTES];
};

BPF_F_TABLE("array", u32, struct figures_bytes, summary_figures, 1, SUMMARY_MMAPABLE);

/*
 * What is added is hidden from the compiler: of an addition of 0 that it knows of it makes an atomic OR, which kernels
 * before 5.12 refuse.
 */
#define ADD(place, number)                                                                                             \
	({                                                                                                             \
		u64 added = (number);                                                                                  \
		OPAQUE(added);                                                                                         \
		(void)__sync_fetch_and_add(&(place), added);                                                           \
	})

/* 1 or 0. Numbers are smaller than 2^63. */
static inline u64 is_equal(u64 a, u64 b)
{
	u64 apart = a ^ b;

	OPAQUE(apart);
	apart = (apart - 1) >> 63;
	OPAQUE(apart);
	return apart;
}

static inline u64 is_less(u64 a, u64 b)
{
	u64 apart = a - b;

	OPAQUE(apart);
	apart >>= 63;
	OPAQUE(apart);
	return apart;
}

/* number - than, or 0 if that is negative. */
static inline s64 more_than(s64 number, s64 than)
{
	s64 apart = number - than, sign = apart >> 63;

	OPAQUE(sign);
	return apart & ~sign;
}

/*
 * A place in an array whose length is a power of two. Opaque, or the compiler would leave out a mask where it knows
 * that it takes nothing away. The verifier of 6.1 does not know: it forgets a bound when numbers are put together by a
 * bitwise or, and what it finds out about one register it does not carry over to a copy.
 */
static inline u64 within(u64 room, u64 place)
{
	OPAQUE(place);
	return place & (room - 1);
}

#define HAS(bits, bit) ((u64)(bits) / (bit)&1)
#define AT_LEAST(place, number) ((place) += more_than((number), (place)))

/* What an event is worked out with. */
struct work {
	struct figures *figures;
	struct area_part *area_parts; /* this processor's */
	struct store_part *store_parts;
};

static inline struct area_record *area_of(struct work *work, u32 area)
{
	return &work->figures->areas[within(AREAS_ROOM, area)];
}

static inline struct area_part *part_of_area(struct work *work, u32 area)
{
	return &work->area_parts[within(AREAS_ROOM, area)];
}

static inline struct store_part *part_of_store(struct work *work, u32 store)
{
	return &work->store_parts[within(STORES_ROOM, store)];
}

/*
 * The same number, through memory: the verifier would otherwise follow all that comes after it once for each value that
 * it knows the number can have.
 */
static inline u64 forgotten(struct area_part *part, u64 number)
{
	*(volatile u64 *)&part->scratch = number;
	return *(volatile u64 *)&part->scratch;
}

/* As swaptrace.analysis.histogram.bucket_of: 64 buckets an octave. */
static inline u32 bucket_of(u64 value)
{
	u64 ones = value | 64;
	u32 octave;

	ones |= ones >> 1;
	ones |= ones >> 2;
	ones |= ones >> 4;
	ones |= ones >> 8;
	ones |= ones >> 16;
	ones |= ones >> 32;
	/* how many bits are set is the number of the highest one, plus one */
	ones -= ones >> 1 & 0x5555555555555555ULL;
	ones = (ones & 0x3333333333333333ULL) + (ones >> 2 & 0x3333333333333333ULL);
	ones = (ones + (ones >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	octave = ((ones * 0x0101010101010101ULL >> 56) - 7) & 63;
	return octave * 64 + (u32)(value >> octave);
}

static inline void count_duration(struct work *work, u32 area, u32 histogram, u64 duration, u64 number)
{
	u64 place = within(AREAS_ROOM, area) * HISTOGRAMS + within(HISTOGRAMS_ROOM, histogram);

	place = place * BUCKETS + within(BUCKETS_ROOM, bucket_of(duration));
	ADD(work->figures->histograms[place], number);
}

/* The store's time, which never goes back, though time stamps of several processors may. */
static inline u64 tick(struct store_record *store, u64 time)
{
	u64 now = store->now;

	now += more_than(time, now);
	store->now = now;
	return now;
}

/*
 * Add bytes * time to a number of 128 bits. Together with the bytes themselves that gives their integral over time,
 * whatever the order of the additions.
 */
static inline void add_moment(u64 *low, u64 *high, s64 bytes, u64 time)
{
	s64 first = bytes * (s64)(time & 0x3fffffff), second = bytes * (s64)(time >> 30);
	u64 a = first, b = (u64)second << 30, old = *low, sum = old + a, carry;

	carry = ((old & a) | ((old | a) & ~sum)) >> 63;
	old = sum;
	sum = old + b;
	carry += ((old & b) | ((old | b) & ~sum)) >> 63;
	*low = sum;
	*high += (first >> 63) + (second >> 34) + carry;
}

/* A page of so many bytes comes to a class of an area (1), or leaves it (-1). */
static inline void account(struct work *work, u32 area, u32 bits, s64 pages, u32 size, u64 now)
{
	struct area_record *record = area_of(work, area);
	struct area_part *part = part_of_area(work, area);
	u32 class = bits & (CLASSES - 1);
	s64 bytes = pages * (s64)size;

	ADD(record->slots[class], pages);
	ADD(record->bytes[class], bytes);
	add_moment(&part->moment_low[class], &part->moment_high[class], bytes, now - SUMMARY_EPOCH);
}

static inline u64 counts(u32 holder, u32 bits)
{
	return is_less(holder, SUMMARY_AREAS) & is_less(0, bits & BITS_HELD);
}

/* Give a page's entry new bits, size and holder. */
static inline void change(struct work *work, struct page_record *page, u32 bits, u32 size, u32 holder, u64 now)
{
	account(work, page->holder, page->bits, -(s64)counts(page->holder, page->bits), page->size, now);
	account(work, holder, bits, counts(holder, bits), size, now);
	page->bits = bits;
	page->size = size;
	page->holder = holder;
}

#define AT_LEAST_NOW(place, number)                                                                                    \
	do {                                                                                                           \
		s64 now_ = (number);                                                                                   \
		if (now_ > (place))                                                                                    \
			(place) = now_;                                                                                \
	} while (0)

/* Stale entries by policy. Classes are sums of BIT_IN_USE, BIT_NONE, BIT_NOTIFY, BIT_OBSERVED and BIT_LOADED. */
static inline void stale_peaks(s64 *peaks, s64 *now)
{
	s64 none = now[2], notify = now[4], both = now[6], observed = now[8], first = now[10], second = now[12],
	    all = now[14];

	AT_LEAST_NOW(peaks[PEAK_NONE], none + both + first + all);
	AT_LEAST_NOW(peaks[PEAK_NOTIFY], notify + both + second + all);
	AT_LEAST_NOW(peaks[PEAK_OBSERVED], observed + first + second + all);
	AT_LEAST_NOW(peaks[PEAK_RECOVERED], none + first);
	AT_LEAST_NOW(peaks[PEAK_LEAKED], observed + first);
}

/* After a free, or when the size of what is stale turns out to be another one. */
static inline void look_for_stale_peaks(struct work *work, u32 area)
{
	struct area_record *record = area_of(work, area);
	struct area_part *part = part_of_area(work, area);

	stale_peaks(part->peak_slots, record->slots);
	stale_peaks(part->peak_bytes, record->bytes);
}

static inline void duplicate_peak(s64 *peaks, s64 *now)
{
	AT_LEAST(peaks[PEAK_DUPLICATE], now[19] + now[21] + now[23] + now[25] + now[27] + now[29] + now[31]);
}

/* After a load, or when the size of a duplicate turns out to be another one. */
static inline void look_for_duplicate_peak(struct work *work, u32 area)
{
	struct area_record *record = area_of(work, area);
	struct area_part *part = part_of_area(work, area);

	duplicate_peak(part->peak_slots, record->slots);
	duplicate_peak(part->peak_bytes, record->bytes);
}

/* After a reset of the store no page holds anything; each is found out when it is looked at next. */
static inline void refresh(struct page_record *page, struct store_record *store)
{
	u32 fresh = is_equal(page->bits >> RESETS_SHIFT, store->resets), kept = page->bits & BITS_PHASE;

	page->size *= fresh;
	kept += fresh * (page->bits & BITS_ENTRY);
	page->bits = kept | store->resets << RESETS_SHIFT;
}

/* The area whose slot a page is now; SUMMARY_AREAS or more if it is none. */
static inline u32 owner_of(struct work *work, struct page_record *page)
{
	u32 owner = page->owner;
	u64 ended = is_less(owner, SUMMARY_AREAS) & is_less(0, area_of(work, owner)->ended);

	return owner | ended * NOBODY;
}

/* Where a slot is in its life. */
static inline u64 phase_is(struct page_record *page, u32 phase)
{
	return is_equal(page->bits & BITS_PHASE, phase);
}

/* If `go`: the slot goes over to another phase. */
static inline void set_phase(struct page_record *page, u64 go, u32 phase, u64 time)
{
	page->bits = (page->bits & ~(BITS_PHASE * (u32)go)) | phase * (u32)go;
	page->since += go * (time - page->since);
}

/* -- the swap map's side */

/* The same as Lifetimes' _freed and Replay's _slot_free in swaptrace. A slot in use has its own area as the holder. */
static inline void slot_freed(struct work *work, struct page_record *page, u32 area, u32 reason, u64 time, u64 now)
{
	struct area_part *part = part_of_area(work, area);
	u64 used = phase_is(page, PHASE_USED), before = phase_is(page, PHASE_USED_BEFORE);
	u64 life = used * more_than(time, page->since);
	/* under the policy notify, the store drops the entry */
	u32 gone = HAS(page->bits, BIT_IN_USE) * (BIT_IN_USE | BIT_LOADED | BIT_NOTIFY);

	change(work, page, page->bits & ~gone, page->size, page->holder, now);
	part->counts[COUNT_FREES_UNWRITTEN] += (1 - (used | before)) & ~is_equal(page->owner, NO_PAGE);
	count_duration(work, area, HISTOGRAM_LIFETIME + reason, life, used);
	part->life_sum[reason] += life;
	AT_LEAST(part->life_largest[reason], life);
	set_phase(page, used | before, PHASE_FREE, time);
}

/* The page that a slot is, by its place in summary_slots. */
static inline struct page_record *page_of_slot(u32 place)
{
	struct slot_record *slot = summary_slots.lookup(&place);

	if (!slot)
		return 0;
	return summary_pages.lookup(&slot->page);
}

static inline void summarise_free(struct work *work, struct event *event)
{
	u32 reason = event->flags >> REASON_SHIFT & (REASONS - 1), run = event->run, area, left;
	struct type_record *type = &work->figures->types[within(TYPES_ROOM, event->device)];
	struct store_record *store = &work->figures->stores[within(STORES_ROOM, type->store)];
	struct area_part *part;
	u64 now;

	area = type->area;
	if (event->device >= TYPES_ROOM || area >= SUMMARY_AREAS)
		return;
	now = tick(store, event->time);
	part = part_of_area(work, area);
	reason = forgotten(part, reason) & (REASONS - 1);
	part->counts[COUNT_FREES] += run;
	part->reasons[reason] += run;
	left = more_than(type->slots, event->slot);
	run -= more_than(run, left);
	for (u32 i = 0; i < SUMMARY_LONGEST_RUN; i++) {
		u32 place = type->first + event->slot + i;
		struct page_record *page;

		if (i >= run)
			break;
		page = page_of_slot(place);
		if (!page)
			break;
		refresh(page, store);
		slot_freed(work, page, area, reason, event->time, now);
	}
	part->counts[COUNT_CUT_OFF] += more_than(run, SUMMARY_LONGEST_RUN);
	look_for_stale_peaks(work, area);
}

/* A life begins, if `go`: that of a slot that was free, or of which nothing was known. */
static inline void begin_life(struct work *work, struct page_record *page, u32 area, u64 go, u64 time)
{
	struct area_part *part = part_of_area(work, area);
	u64 reuse = go & phase_is(page, PHASE_FREE), gap = reuse * more_than(time, page->since);

	count_duration(work, area, HISTOGRAM_REUSE, gap, reuse);
	AT_LEAST(part->reuse_largest, gap);
	set_phase(page, go, PHASE_USED, time);
}

static inline u64 lives(struct page_record *page)
{
	return phase_is(page, PHASE_USED) | phase_is(page, PHASE_USED_BEFORE);
}

/* Slots were given out. To a disk nothing else tells that they are in use from now on. */
static inline void summarise_alloc(struct work *work, struct event *event)
{
	struct type_record *type = &work->figures->types[within(TYPES_ROOM, event->device)];
	u32 run = event->run, area = type->area, longest = SUMMARY_LONGEST_RUN;
	struct store_record *store = &work->figures->stores[within(STORES_ROOM, type->store)];

	if (__builtin_constant_p(event->run))
		longest = event->run;
	if (event->device >= TYPES_ROOM || area >= SUMMARY_AREAS)
		return;
	tick(store, event->time);
	part_of_area(work, area)->counts[COUNT_ALLOCATED] += run;
	if (!store->disk)
		return;
	run -= more_than(run, more_than(type->slots, event->slot));
	for (u32 i = 0; i < longest; i++) {
		u32 place = type->first + event->slot + i;
		struct page_record *page;

		if (i >= run)
			break;
		page = page_of_slot(place);
		if (!page)
			break;
		begin_life(work, page, area, 1 - lives(page), event->time);
	}
}

/* An area is off, or another one has its type: no slot is its own any more. Areas that come are only counted. */
static inline void summarise_call(struct work *work, struct event *event)
{
	struct type_record *type = &work->figures->types[within(TYPES_ROOM, event->device)];

	if (event->arg || event->device >= TYPES_ROOM)
		return;
	if (event->kind == EVENT_SWAPON)
		ADD(work->figures->came, 1);
	if (type->area >= SUMMARY_AREAS)
		return;
	area_of(work, type->area)->ended = event->time;
	type->area = NOBODY;
}

/* -- the store's side */

/*
 * An entry came (1) or went (-1): what zram's own counters make of it. On the backing device (moved), it counts as
 * nothing else.
 */
static inline void count_entry(struct store_part *part, s64 sign, u32 size, u64 same, u64 huge, u64 moved)
{
	part->pages += sign;
	part->compr += sign * size;
	part->written_back += sign * (s64)moved;
	part->same += sign * (s64)(same & ~moved);
	part->huge += sign * (s64)(huge & ~same & ~moved);
}

#define KEPT (BITS_PHASE | RESETS_MOST << RESETS_SHIFT)

static inline void summarise_store(struct work *work, struct event *event, struct store_part *store_part,
				   struct page_record *page, u64 now)
{
	u32 owner = owner_of(work, page), old = page->bits, size, longer;
	struct area_part *part = part_of_area(work, owner);
	u32 flags = forgotten(part, event->flags);
	u64 gone = HAS(flags, FLAG_GONE), kept = 1 - gone, used = is_less(owner, SUMMARY_AREAS), whole, place;
	u64 same = gone * HAS(old, BIT_SAME) + kept * HAS(flags, FLAG_SAME);
	u64 huge = gone * HAS(old, BIT_HUGE) + kept * HAS(flags, FLAG_HUGE);
	u64 rewritten = lives(page);

	/* GONE: freed and dropped before its size could be read; the free and the drop, which has it, came first */
	size = gone * page->size + kept * event->size;
	/* the kernel drops the old entry first, unless that was not seen */
	count_entry(store_part, -(s64)(kept & HAS(old, BIT_OBSERVED)), page->size, HAS(old, BIT_SAME),
		    HAS(old, BIT_HUGE), 0);
	count_entry(store_part, 1, size, same, huge, kept * HAS(flags, FLAG_WRITTEN_BACK));
	change(work, page,
	       (old & KEPT) | same * BIT_SAME | huge * BIT_HUGE | gone * BIT_NONE |
		       kept * (BITS_HELD | used * BIT_IN_USE),
	       size, owner, now);
	part->counts[COUNT_STORES] += used;
	whole = used & kept;
	longer = more_than(event->size, PAGE_SIZE);
	place = within(AREAS_ROOM, owner) * (PAGE_SIZE + 1) + within(2 * PAGE_SIZE, event->size - longer);
	ADD(work->figures->sizes[place], whole);
	part->counts[COUNT_REWRITES] += whole & rewritten;
	begin_life(work, page, owner, whole & ~rewritten, event->time);
	if (gone)
		look_for_stale_peaks(work, owner);
}

/* zram_free_page(): the driver really dropped an entry, and its true size is known. */
static inline void entry_gone(struct work *work, struct event *event, struct store_part *store_part,
			      struct page_record *page, u64 now)
{
	u32 bits = page->bits, holder = page->holder, size = page->size;
	u64 same = HAS(event->flags, FLAG_SAME), huge = HAS(event->flags, FLAG_HUGE);
	u64 any_policy = HAS(event->flags, FLAG_ANY_POLICY);

	/* what zswap writes back was in memory until now */
	count_entry(store_part, -1, event->size, same, huge, HAS(event->flags, FLAG_WRITTEN_BACK) & ~any_policy);
	if ((bits & BIT_OBSERVED && holder >= SUMMARY_AREAS) || any_policy)
		bits &= ~BITS_HELD; /* there is no policy about it */
	bits &= ~(BIT_OBSERVED | BIT_SAME | BIT_HUGE);
	change(work, page, bits | same * BIT_SAME | huge * BIT_HUGE, event->size, holder, now);
	if (event->size == size)
		return; /* less is held, and nothing more */
	look_for_stale_peaks(work, holder);
	look_for_duplicate_peak(work, holder);
}

static inline void summarise_drop(struct work *work, struct event *event, struct store_part *store_part,
				  struct page_record *page, u64 now)
{
	u32 owner = owner_of(work, page);

	entry_gone(work, event, store_part, page, now);
	if (owner >= SUMMARY_AREAS || event->flags & FLAG_REPLACED)
		return;
	part_of_area(work, owner)->counts[COUNT_DROPS] += 1;
	part_of_area(work, owner)->counts[COUNT_WRITTEN_BACK] +=
		HAS(event->flags, FLAG_ANY_POLICY) & HAS(event->flags, FLAG_WRITTEN_BACK);
}

/* writeback_store(): the entry's object goes, the entry stays: its page is on the backing device now. */
static inline void summarise_moved(struct work *work, struct event *event, struct store_part *store_part,
				   struct page_record *page, u64 now)
{
	u32 owner = owner_of(work, page);

	count_entry(store_part, -1, event->size, HAS(event->flags, FLAG_SAME), HAS(event->flags, FLAG_HUGE),
		    HAS(event->flags, FLAG_WRITTEN_BACK));
	count_entry(store_part, 1, 0, 0, 0, 1);
	change(work, page, page->bits & ~(BIT_SAME | BIT_HUGE), 0, page->holder, now);
	part_of_area(work, owner)->counts[COUNT_MOVED] += is_less(owner, SUMMARY_AREAS);
}

static inline void summarise_notify(struct work *work, struct event *event, struct store_part *store_part,
				    struct page_record *page, u64 now)
{
	u32 owner = owner_of(work, page), missed = HAS(event->flags, FLAG_MISSED);
	struct area_part *part = part_of_area(work, owner);

	page->bits |= missed * BIT_MISSED;
	if (event->flags & FLAG_DROPPED) {
		entry_gone(work, event, store_part, page, now);
		/* newer kernels tell zswap first, and free the slot later */
		if (page->bits & BIT_IN_USE)
			change(work, page, page->bits & ~BIT_NOTIFY, page->size, page->holder, now);
	}
	if (owner >= SUMMARY_AREAS)
		return;
	part->counts[COUNT_NOTIFY_FREE] += 1;
	part->counts[COUNT_MISS_FREE] += missed;
	count_duration(work, owner, HISTOGRAM_NOTIFICATION, event->arg, 1);
	part->notify_sum += event->arg;
	AT_LEAST(part->notify_largest, event->arg);
}

static inline void summarise_load(struct work *work, struct event *event, struct store_record *store, u64 now)
{
	u32 run = event->run;

	run -= more_than(run, store->pages - event->slot);
	for (u32 i = 0; i < SUMMARY_LONGEST_RUN; i++) {
		u32 index = store->first + event->slot + i, owner;
		struct page_record *page;

		if (i >= run)
			break;
		page = summary_pages.lookup(&index);
		if (!page)
			break;
		refresh(page, store);
		owner = owner_of(work, page);
		part_of_area(work, owner)->counts[COUNT_LOADS] += is_less(owner, SUMMARY_AREAS);
		change(work, page, page->bits | HAS(page->bits, BIT_IN_USE) * BIT_LOADED, page->size, page->holder,
		       now);
		look_for_duplicate_peak(work, page->holder);
	}
}

/* zram_reset_device(): nothing is left, under any policy. What was held was seen dropped, entry by entry. */
static inline void summarise_reset(struct work *work, struct store_record *store, u32 number, u64 now)
{
	for (u32 area = 0; area < SUMMARY_AREAS; area++) {
		struct area_record *record = area_of(work, area);
		struct area_part *part = part_of_area(work, area);

		if (record->store != number)
			continue;
		for (u32 class = 0; class < CLASSES; class ++) {
			s64 slots = record->slots[class], bytes = record->bytes[class];

			ADD(record->slots[class], -slots);
			ADD(record->bytes[class], -bytes);
			add_moment(&part->moment_low[class], &part->moment_high[class], -bytes, now - SUMMARY_EPOCH);
		}
	}
	store->resets += is_less(store->resets, RESETS_MOST);
}

/* A page beyond what the store was said to have: its counters are all there is to say, and of an unknown store nothing.
 */
static inline void count_beyond(struct event *event, struct store_part *part, u32 kind)
{
	u64 same = HAS(event->flags, FLAG_SAME), huge = HAS(event->flags, FLAG_HUGE);
	u64 moved = HAS(event->flags, FLAG_WRITTEN_BACK);

	if (kind == EVENT_STORE)
		count_entry(part, 1, event->size, same, huge, moved);
	else if (kind == EVENT_DROP || kind == EVENT_MOVED || (kind == EVENT_NOTIFY && event->flags & FLAG_DROPPED))
		count_entry(part, -1, event->size, same, huge, moved);
	if (kind == EVENT_MOVED)
		count_entry(part, 1, 0, 0, 0, 1);
}

static inline void summarise_in_store(struct work *work, struct event *event, u32 kind)
{
	u32 number = work->figures->store_of[event->device], index;
	struct store_record *store = &work->figures->stores[within(STORES_ROOM, number)];
	struct store_part *part = part_of_store(work, number);
	struct page_record *page;
	u64 now;

	if (kind == EVENT_RESET) {
		summarise_reset(work, store, number, tick(store, event->time));
		return;
	}
	if (event->slot >= store->pages) {
		count_beyond(event, part, kind);
		return;
	}
	now = tick(store, event->time);
	if (kind == EVENT_LOAD) {
		summarise_load(work, event, store, now);
		return;
	}
	index = store->first + event->slot;
	page = summary_pages.lookup(&index);
	if (!page)
		return;
	refresh(page, store);
	if (kind == EVENT_STORE)
		summarise_store(work, event, part, page, now);
	else if (kind == EVENT_DROP)
		summarise_drop(work, event, part, page, now);
	else if (kind == EVENT_NOTIFY)
		summarise_notify(work, event, part, page, now);
	else if (kind == EVENT_MOVED)
		summarise_moved(work, event, part, page, now);
}

/* kind: a constant, so that each program has its own part of this only. */
static inline void summarise(struct figures *figures, struct event *event, u32 kind)
{
	u64 here = bpf_get_smp_processor_id() & (PROCESSORS_ROOM - 1);
	struct work work = {};

	work.figures = figures;
	work.area_parts = &figures->area_parts[here * AREAS_ROOM];
	work.store_parts = &figures->store_parts[here * STORES_ROOM];
	/* or the compiler would put these numbers and those of areas and stores together by a bitwise or, of which the
	 * verifier of 6.1 knows nothing */
	OPAQUE(work.area_parts);
	OPAQUE(work.store_parts);
	figures->events[here * KINDS_ROOM + kind] += 1;
	if (kind == EVENT_FREE)
		summarise_free(&work, event);
	else if (kind == EVENT_ALLOC)
		summarise_alloc(&work, event);
	else if (kind == EVENT_SWAPON || kind == EVENT_SWAPOFF)
		summarise_call(&work, event);
	else if (kind == EVENT_STORE || kind == EVENT_LOAD || kind == EVENT_DROP || kind == EVENT_NOTIFY ||
		 kind == EVENT_MOVED || kind == EVENT_RESET)
		summarise_in_store(&work, event, kind);
}

/* The figures, if events are summarised; 0 if they are handed over. */
static inline struct figures *summarising(void)
{
	u32 zero = 0;
	struct figures *figures = (struct figures *)summary_figures.lookup(&zero);

	if (figures && !figures->on)
		figures = 0;
	/* or the compiler would ask for the switch, not for the pointer, when this is compared with 0: the verifier
	 * does not see that the one goes with the other */
	OPAQUE(figures);
	return figures;
}

/* Whether it matters which slots are given out, and not only how many: see summarise_alloc(). */
static inline bool asks_which_slots(u8 swap_type)
{
	struct figures *figures = summarising();
	u32 store;

	if (!figures)
		return true;
	store = figures->types[within(TYPES_ROOM, swap_type)].store;
	return figures->stores[within(STORES_ROOM, store)].disk;
}
