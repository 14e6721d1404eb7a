cimport cython

from swaptrace.engine.arrays cimport int64_3d

@cython.final
cdef class Classes:
    cdef readonly int64_3d now, integral
    cdef void leave(self, long long row, long long number, long long size, long long since) noexcept nogil
    cdef void enter(self, long long row, long long number, long long size, long long since) noexcept nogil
    cdef void settle(self, long long since) noexcept nogil
