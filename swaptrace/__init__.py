"""swaptrace: how much memory stale swap slots hold, and how much of it slot-free notifications give back."""
