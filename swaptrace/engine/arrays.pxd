# The arrays of the loops, as Cython sees them: records, and typed memoryviews of one to four dimensions.
#
# A record has the fields of a NumPy dtype, which is where they are described; Cython compares the two whenever an array
# is handed to a loop, and raises ValueError where they differ.

cdef struct Event:  # swaptrace.events.EVENT
    unsigned long long time
    unsigned int tgid
    unsigned short device
    unsigned char kind
    unsigned char reason
    unsigned int slot
    unsigned int size
    unsigned int arg
    unsigned short flags
    unsigned short run

cdef struct Page:  # swaptrace.engine.replay.PAGE
    unsigned int size
    unsigned short bits
    unsigned char holder
    unsigned char row

cdef struct Operation:  # swaptrace.engine.pools.OPERATION
    long long time
    unsigned int page
    unsigned int size
    unsigned int pools
    unsigned int unused

cdef struct SizeClass:  # swaptrace.engine.zsmalloc.SIZE_CLASS
    int index
    int size
    int objs_per_zspage
    int pages_per_zspage
    int fullness

cdef struct Zspage:  # swaptrace.engine.zsmalloc.ZSPAGE
    int next
    int prev
    unsigned short inuse
    unsigned short size_class
    unsigned char fullness
    unsigned char unused
    unsigned short reserved

cdef struct Life:  # swaptrace.engine.lives.LIFE
    long long stored
    long long freed
    long long dropped
    long long replaced
    unsigned int slot
    unsigned int page
    unsigned int size
    unsigned int last
    unsigned int cgroup
    unsigned int tgid
    unsigned int stores
    unsigned int loads
    unsigned short bits
    unsigned char area
    unsigned char reason
    unsigned int unused

ctypedef const Event[::1] Events
ctypedef Event[::1] MutableEvents
ctypedef Page[::1] Pages
ctypedef Operation[::1] Operations
ctypedef const SizeClass[::1] SizeClasses
ctypedef Zspage[::1] Zspages
ctypedef Life[::1] Lives

ctypedef unsigned char[::1] uint8_1d
ctypedef unsigned short[::1] uint16_1d
ctypedef const unsigned char[::1] const_uint8_1d
ctypedef const signed char[::1] const_int8_1d
ctypedef const signed char[:, :, ::1] const_int8_3d
ctypedef const short[::1] const_int16_1d
ctypedef unsigned int[::1] uint32_1d
ctypedef int[::1] int32_1d
ctypedef const int[:, ::1] const_int32_2d
ctypedef int[:, ::1] int32_2d
ctypedef int[:, :, ::1] int32_3d
ctypedef int[:, :, :, ::1] int32_4d
ctypedef long long[::1] int64_1d
ctypedef long long[:, ::1] int64_2d
ctypedef const long long[:, ::1] const_int64_2d
ctypedef long long[:, :, ::1] int64_3d
ctypedef long long[:, :, :, ::1] int64_4d
