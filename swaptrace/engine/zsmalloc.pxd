cimport cython

from swaptrace.engine.arrays cimport (
    SizeClasses, Zspages, const_int8_1d, const_int16_1d, int32_1d, int32_2d, int64_1d
)

@cython.final
cdef class Allocator:
    cdef int32_1d objects
    cdef Zspages zspages
    cdef int32_2d lists
    cdef int64_1d totals
    cdef const_int16_1d size_class
    cdef SizeClasses classes
    cdef const_int8_1d fullness
    cdef long long rule, full
    cpdef long long pages(self) noexcept nogil
    cdef long long _alloc_zspage(self, long long size_class) noexcept nogil
    cdef void _free_zspage(self, long long zspage) noexcept nogil
    cdef long long _insert_zspage(self, long long zspage) noexcept nogil
    cdef void _remove_zspage(self, long long zspage) noexcept nogil
    cdef long long _fix_fullness_group(self, long long zspage) noexcept nogil
    cdef long long _fullest(self, long long size_class) noexcept nogil
    cdef void _obj_malloc(self, long long zspage, long long obj) noexcept nogil
    cdef void _zs_free(self, long long zspage) noexcept nogil
    cpdef void malloc(self, long long obj, long long size) noexcept nogil
    cpdef void free(self, long long obj) noexcept nogil
