cimport cython

from swaptrace.engine.arrays cimport int32_1d, int32_2d, int64_2d
from swaptrace.engine.classes cimport Classes

@cython.final
cdef class Groups:
    cdef readonly bint wanted, at_store, at_free
    cdef public long long group, later
    cdef readonly int32_1d numbers
    cdef int32_2d row_of
    cdef int32_1d row
    cdef readonly int64_2d counts
    cdef readonly Classes classes
    cdef readonly list rows
    cdef void stored(self, long long area) noexcept nogil
    cdef void found(self, long long area) noexcept nogil
    cdef void freed(self, long long area, long long page, bint used, long long reason) noexcept nogil
    cdef void loaded(self, long long area, long long page, bint used, bint again) noexcept nogil
    cdef long long _row(self, long long area, long long page, bint used, bint by_event) noexcept nogil
    cdef void move(
        self, long long page, long long old_class, long long old_size, bint was_held, long long new_class,
        long long new_size, bint is_held, long long since
    ) noexcept nogil
