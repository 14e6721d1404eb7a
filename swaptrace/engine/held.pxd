cimport cython

from swaptrace.engine.arrays cimport int64_2d

@cython.final
cdef class Held:
    cdef int64_2d rows
    cdef long long since, settled
    cdef void add(self, long long area, long long size, long long now) noexcept nogil
    cpdef void settle(self, long long now) noexcept nogil
