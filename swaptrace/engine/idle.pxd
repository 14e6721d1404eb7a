cimport cython

from swaptrace.engine.arrays cimport int64_2d, uint8_1d, uint32_1d
from swaptrace.engine.delays cimport Delays
from swaptrace.engine.held cimport Held

@cython.final
cdef class Idle:
    cdef bint wanted
    cdef long long _threshold
    cdef Delays queue
    cdef uint8_1d state
    cdef uint32_1d size
    cdef Held recorded, remaining
    cdef int64_2d counts
    cdef void touched(self, long long page, long long now) noexcept nogil
    cdef void began(self, long long area, long long page, long long size, long long now) noexcept nogil
    cdef void ended(self, long long area, long long page, long long now) noexcept nogil
    cdef void loaded(self, long long area, long long page) noexcept nogil
    cdef void written(self, long long area, long long page, long long now) noexcept nogil
