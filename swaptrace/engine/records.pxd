cimport cython

from swaptrace.engine.arrays cimport Events

@cython.final
cdef class EventRecords:
    cdef readonly object array
    cdef Events records
