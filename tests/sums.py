"""The sums over all groups of a breakdown have to be the totals."""

from __future__ import annotations

from swaptrace.results.results import AreaResult, TraceResult, Values

__all__ = ["check_sums"]


def totals(area: AreaResult) -> Values:
    """What the sums over an area's groups have to be."""
    none, recovered = area.policies["none"], area.recovered["compr_bytes"]
    assert recovered is not None
    return {
        "live_slots_end": area.live_slots_end,
        "live_compr_bytes_end": area.live_compr_bytes_end,
        "duplicate_slots_end": area.duplicate_slots_end,
        "duplicate_compr_bytes_end": area.duplicate_compr_bytes.end,
        "duplicate_compr_byte_seconds": area.duplicate_compr_bytes.byte_ns,
        "stale_slots_end": none.stale_slots_end,
        "stale_compr_bytes_end": none.stale_compr_bytes.end,
        "stale_compr_byte_seconds": none.stale_compr_bytes.byte_ns,
        "recovered_compr_bytes_end": recovered.end,
        "recovered_compr_byte_seconds": recovered.byte_ns,
        "stores": area.stores,
        "loads": area.loads,
        "refaults": area.refaults or 0,
        "frees": area.frees,
        **{f"frees_{reason}": number for reason, number in area.free_reasons.items()},
    }


def check_sums(result: TraceResult) -> None:
    """Of each area, the sums over all groups are its own figures, to the last bit."""
    assert result.attributed is not None
    for area, groups in zip(result.areas, result.attributed.areas, strict=True):
        for figure, total in totals(area).items():
            assert sum(values[figure] for values in groups.values()) == total, (result.attributed.by, figure)
