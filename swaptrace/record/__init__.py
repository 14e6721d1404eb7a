"""The commands record, selftest and check."""
