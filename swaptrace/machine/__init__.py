"""Swap areas, stores and what lies between them, as the running machine tells of them without tracing."""
