/* What stands for BCC and the kernel when the BPF programs are compiled as a library: see native_programs.py. */

#include <stdbool.h>
#include <string.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef signed short s16;
typedef signed int s32;
typedef signed long long s64;
#define PAGE_SIZE 4096
#define BPF_F_MMAPABLE (1 << 10)
#undef __clang_major__
#define __clang_major__ 14 /* the compiler that BCC has: see common.h */

u32 native_processor;
u64 native_time, native_thread, native_task, native_registers, native_faults, native_size;
char native_name[16];
u8 *native_memory;
u64 native_swap_info[32], native_zswap_pools[2]; /* MAX_SWAP_TYPES (swaptrace/kernel/layout.py) */

static u64 bpf_get_smp_processor_id(void)
{
	return native_processor;
}
static u64 bpf_ktime_get_ns(void)
{
	return native_time;
}
static u64 bpf_get_current_pid_tgid(void)
{
	return native_thread;
}
static u64 bpf_get_current_task(void)
{
	return native_task;
}
static u32 bpf_get_prandom_u32(void)
{
	static u32 number;
	return ++number;
}
static long bpf_get_current_comm(void *to, u32 size)
{
	memcpy(to, native_name, size);
	return 0;
}

static bool native_readable(u64 address, u64 size)
{
	return (address >= (u64)native_memory && address + size <= (u64)native_memory + native_size) ||
	       (address >= (u64)native_swap_info && address + size <= (u64)native_swap_info + sizeof(native_swap_info)) ||
	       (address >= (u64)native_zswap_pools && address + size <= (u64)(native_zswap_pools + 2));
}

static long bpf_probe_read_kernel(void *to, u32 size, const void *from)
{
	u64 address = (u64)from;

	if (address >> 56 == 0xff)
		address &= ~(0xffULL << 56);
	memset(to, 0, size);
	if (!native_readable(address, size)) {
		native_faults++;
		return -14;
	}
	memcpy(to, (void *)address, size);
	return 0;
}

static long bpf_probe_read_user_str(void *to, u32 size, const void *from)
{
	u32 length = 0;

	if (!native_readable((u64)from, 1))
		return -14;
	while (length + 1 < size && ((const char *)from)[length])
		((char *)to)[length] = ((const char *)from)[length], length++;
	((char *)to)[length] = 0;
	return length + 1;
}
#define bpf_probe_read_user(to, size, from) bpf_probe_read_kernel(to, size, from)

/* Maps. All of them lie in one section, so that they can be emptied together. */
#define NATIVE_MAP __attribute__((section("native_maps")))
#define NATIVE_ARRAY(name, leaf, length, copies, copy)                                                                 \
	NATIVE_MAP leaf name##_map[copies][length];                                                                    \
	static leaf *name##_lookup(void *key)                                                                          \
	{                                                                                                              \
		u32 place = *(u32 *)key;                                                                               \
		return place < (length) ? &name##_map[copy][place] : 0;                                                \
	}                                                                                                              \
	static int name##_update(void *key, void *value)                                                               \
	{                                                                                                              \
		leaf *found = name##_lookup(key);                                                                      \
		if (found)                                                                                             \
			*found = *(leaf *)value;                                                                       \
		return found ? 0 : -7;                                                                                 \
	}                                                                                                              \
	static struct {                                                                                                \
		leaf *(*lookup)(void *);                                                                               \
		int (*update)(void *, void *);                                                                         \
	} name = {name##_lookup, name##_update};
#define BPF_ARRAY(name, leaf, length) NATIVE_ARRAY(name, leaf, length, 1, 0)
#define BPF_PERCPU_ARRAY(name, leaf, length) NATIVE_ARRAY(name, leaf, length, PROCESSORS, native_processor)
#define BPF_F_TABLE(kind, key, leaf, name, length, flags) NATIVE_ARRAY(name, leaf, length, 1, 0)

#define NATIVE_HASH 64
#define BPF_HASH(name, key_type, leaf, length)                                                                         \
	NATIVE_MAP struct {                                                                                            \
		key_type key;                                                                                          \
		leaf value;                                                                                            \
		bool used;                                                                                             \
	} name##_map[NATIVE_HASH];                                                                                     \
	static leaf *name##_lookup(void *key)                                                                          \
	{                                                                                                              \
		for (u32 i = 0; i < NATIVE_HASH; i++)                                                                  \
			if (name##_map[i].used && !memcmp(&name##_map[i].key, key, sizeof(key_type)))                  \
				return &name##_map[i].value;                                                           \
		return 0;                                                                                              \
	}                                                                                                              \
	static int name##_update(void *key, void *value)                                                               \
	{                                                                                                              \
		leaf *found = name##_lookup(key);                                                                      \
		for (u32 i = 0; !found && i < NATIVE_HASH; i++)                                                        \
			if (!name##_map[i].used) {                                                                     \
				name##_map[i].used = true;                                                             \
				name##_map[i].key = *(key_type *)key;                                                  \
				found = &name##_map[i].value;                                                          \
			}                                                                                              \
		if (found)                                                                                             \
			*found = *(leaf *)value;                                                                       \
		return found ? 0 : -7;                                                                                 \
	}                                                                                                              \
	static int name##_delete(void *key)                                                                            \
	{                                                                                                              \
		for (u32 i = 0; i < NATIVE_HASH; i++)                                                                  \
			if (name##_map[i].used && !memcmp(&name##_map[i].key, key, sizeof(key_type))) {                \
				name##_map[i].used = false;                                                            \
				return 0;                                                                              \
			}                                                                                              \
		return -2;                                                                                             \
	}                                                                                                              \
	static struct {                                                                                                \
		leaf *(*lookup)(void *);                                                                               \
		int (*update)(void *, void *);                                                                         \
		int (*delete)(void *);                                                                                 \
	} name = {name##_lookup, name##_update, name##_delete};
#define BPF_TABLE(kind, key_type, leaf, name, length) BPF_HASH(name, key_type, leaf, length)

/* The ring. */
#define BPF_RB_NO_WAKEUP 1
#define NATIVE_EVENTS 1024
NATIVE_MAP u32 native_emitted, native_room;
#define BPF_RINGBUF_OUTPUT(name, pages)                                                                                \
	NATIVE_MAP struct event native_events[NATIVE_EVENTS];                                                          \
	static int name##_output(void *event, u64 size, u64 flags)                                                     \
	{                                                                                                              \
		if (size != sizeof(struct event) || native_emitted >= native_room)                                     \
			return -11;                                                                                    \
		native_events[native_emitted++] = *(struct event *)event;                                              \
		return 0;                                                                                              \
	}                                                                                                              \
	static struct {                                                                                                \
		int (*ringbuf_output)(void *, u64, u64);                                                               \
	} name = {name##_output};
