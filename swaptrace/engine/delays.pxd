cimport cython

from swaptrace.engine.arrays cimport int64_1d

@cython.final
cdef class Delays:
    cdef int64_1d delay, held, pools, due, before, after
    cdef void put(self, long long page, long long bits, long long now) noexcept nogil
    cdef void forget(self, long long page) noexcept nogil
    cdef void _leave(self, Py_ssize_t queue, long long place) noexcept nogil
    cdef Py_ssize_t first_before(self, long long time) noexcept nogil
    cdef long long due_of(self, Py_ssize_t queue) noexcept nogil
    cdef long long pop(self, Py_ssize_t queue) noexcept nogil
