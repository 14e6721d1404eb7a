cimport cython

from swaptrace.engine.arrays cimport Pages, int64_1d, int64_3d, uint8_1d

cpdef long long passed(long long idle) noexcept nogil

@cython.final
cdef class Ages:
    cdef int64_1d touched, unsized
    cdef uint8_1d number
    cdef int64_3d counts, time
    cdef long long since
    cdef bint wanted
    cdef void began(self, long long page, long long now) noexcept nogil
    cdef void found_unsized(self, long long area) noexcept nogil
    cdef void ended(self, long long area, long long page, long long size, long long now) noexcept nogil
    cdef void loaded(self, long long area, long long page, long long size, long long now) noexcept nogil
    cdef long long _idle(self, long long area, long long page, long long size, long long now) noexcept nogil
    cdef void _add(self, long long area, long long first, long long end, long long column, long long value) noexcept nogil
    cdef void _add_time(self, long long area, long long number, long long size, long long time) noexcept nogil
    cdef void _begin_anew(self, Pages pages) noexcept nogil
    cdef void _end(self, Pages pages, long long now) noexcept nogil
