"""The colours of all charts: a quantity has the same one in each.

They are Okabe and Ito's, which people with any kind of colour vision can tell apart.
"""

from __future__ import annotations

from swaptrace.policies import POLICIES

LIVE = "#0072B2"  # blue
STALE = POLICIES["none"].line.color  # vermilion
GIVEN_BACK = POLICIES["notify"].line.color  # green
FREE = "#CC79A7"  # pink: the time that a slot is free
INK = POLICIES["observed"].line.color
MUTED = "#6B6B6B"
GRID = "#E4E4E4"
AXIS = "#AAAAAA"

#: Same-filled, up to half a page, more, incompressible.
SIZES = ("#999999", "#56B4E9", "#E69F00", INK)

#: What these are on dark paper; the others are seen on both.
DARK = {INK: "#E8E8E4", MUTED: "#A5A5A0", GRID: "#3A3D41", AXIS: "#6B6E72"}


def in_css(color: str) -> str:
    """A colour as the page has it: by the paper."""
    return f"light-dark({color}, {DARK[color]})" if color in DARK else color
