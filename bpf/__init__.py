"""The BPF programs (C for BCC), as package data: see swaptrace.live.programs for how they are put together."""
