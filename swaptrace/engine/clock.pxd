cimport cython

@cython.final
cdef class Clock:
    cdef public long long now, origin, width, bin, next, since
    cpdef Clock copy(self)
    cdef void settled(self, long long now) noexcept nogil
    cdef bint bin_is_over(self, long long now) noexcept nogil
    cdef bint close_bin(self) noexcept nogil

cpdef (long long, long long) add_integral(
    long long low, long long high, long long value, long long time, long long moment
) noexcept nogil
