"""What holds for all tests."""

from __future__ import annotations

import os
import time

from hypothesis import HealthCheck, settings

# The golden reports have their times in this zone.
os.environ["TZ"] = "UTC"
time.tzset()

# How long it takes to think of an example says how busy the machine is, as the virtual machines run meanwhile, and
# nothing of what is tested.
settings.register_profile("busy machine", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")
