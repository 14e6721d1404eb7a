cimport cython

from swaptrace.engine.arrays cimport (
    const_int8_3d, const_int32_2d, const_int64_2d, int32_3d, int32_4d, int64_1d, int64_3d, int64_4d
)
from swaptrace.engine.classes cimport Classes
from swaptrace.engine.clock cimport Clock
from swaptrace.engine.groups cimport Groups

@cython.final
cdef class Levels:
    cdef readonly Clock clock
    cdef const_int8_3d which, ends
    cdef const_int32_2d on_map
    cdef const_int64_2d member
    cdef readonly Classes classes
    cdef readonly Groups groups
    cdef int64_3d sums
    cdef int64_4d series
    cdef int32_3d row
    cdef int32_4d map
    cdef int64_1d per_row
    cdef void move(
        self, long long area, long long row, long long old_class, long long old_size, long long new_class,
        long long new_size
    ) noexcept nogil
    cdef void _enter(self, long long area, long long peak, long long size) noexcept nogil
    cdef void tick(self, long long time) noexcept nogil
    cdef void _settle(self, long long now) noexcept nogil
    cdef void _note_sums(self, long long area, long long bin) noexcept nogil
    cdef void _close_bin(self) noexcept nogil
    cdef long long row_of(self, long long area, long long slot) noexcept nogil
