"""The BPF programs (C for BCC), as package data: see swaptrace.tracing.programs for how they are put together."""
