"""Results that have to be the same: every field of both, to the last bit."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

import numpy as np

from swaptrace.report.as_json import as_json
from swaptrace.results.results import TraceResult
from swaptrace.trace.header import Kind

__all__ = ["same", "same_results"]

_WAYS = ("path", "summary")  # how results came here


def same(found: object, expected: object, where: str = "result") -> None:
    """Every field of two results, or of what is in them."""
    if is_dataclass(expected):
        assert type(found) is type(expected), where
        for field in fields(expected):
            same(getattr(found, field.name), getattr(expected, field.name), f"{where}.{field.name}")
    elif isinstance(expected, dict):
        assert isinstance(found, dict), where
        assert list(found) == list(expected), where
        for name in expected:
            same(found[name], expected[name], f"{where}.{name}")
    elif isinstance(expected, list):
        assert isinstance(found, list), where
        assert len(found) == len(expected), where
        for number, pair in enumerate(zip(found, expected, strict=True)):
            same(*pair, f"{where}.{number}")
    elif isinstance(expected, np.ndarray):
        assert isinstance(found, np.ndarray), where
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape), where
        assert np.array_equal(found, expected), where
    else:
        assert found == expected, where


def same_results(found: TraceResult, expected: TraceResult) -> None:
    """All but what says where they come from."""
    same(found.areas, expected.areas, "areas")
    for name in ("lost", "missed", "tasks"):
        same(getattr(found, name), getattr(expected, name), name)
    about = [{k: v for k, v in as_json(result)["trace"].items() if k not in _WAYS} for result in (found, expected)]
    same(*about, "trace")
    assert {**found.header, "kind": Kind.TRACE} == expected.header
