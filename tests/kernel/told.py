"""What events tell, whichever of them does."""

from __future__ import annotations

import numpy as np

from swaptrace.events import EventFlag, EventKind


def notifications(events: np.ndarray) -> np.ndarray:
    """The events that tell of a notification: their own, and frees that tell of theirs."""
    return events[(events["kind"] == EventKind.NOTIFY) | (events["flags"] & EventFlag.NOTIFIED > 0)]
