cimport cython

from swaptrace.engine.arrays cimport int64_1d, const_int64_2d, uint8_1d

@cython.final
cdef class Places:
    cdef readonly long long store
    cdef int64_1d type_area
    cdef const_int64_2d extents, by_page
    cdef uint8_1d owner
    cdef long long area_of(self, long long swap_type) noexcept nogil
    cdef long long owner_of(self, long long page) noexcept nogil
    cpdef (long long, long long) index_of(self, long long area, long long slot) noexcept nogil
    cpdef long long slot_of(self, long long area, long long page) noexcept nogil
