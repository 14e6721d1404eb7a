"""How much of what was stored is left, as guests leave it and as the model frees it."""

from __future__ import annotations

#: By name: one of so many parts is left.
LEVELS = {"full": 1, "half": 2, "quarter": 4, "5 %": 20}
AGAIN = ", again"  # after their names: once it was filled a second time
REPLACED = "half, replaced"
CHURNED = "30 processes"  # the checkpoint of the churn that is compacted: the last one at which processes live
