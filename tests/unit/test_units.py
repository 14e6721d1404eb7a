"""Every figure looks the same wherever it is shown."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from swaptrace import units


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, units.DASH),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1023.96 * 1024, "1.0 MiB"),
        (123.4 * 2**20, "123.4 MiB"),
        (7.5 * 2**30, "7.5 GiB"),
        (5000 * 2**50, "5,000.0 PiB"),
        (-4096, "-4.0 KiB"),
        (-0.2, "0 B"),
    ],
)
def test_size(value: float | None, said: str) -> None:
    assert units.size(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, units.DASH),
        (0, "0 ns"),
        (850, "850 ns"),
        (999.6, "1.0 µs"),
        (1_234, "1.2 µs"),
        (999_960, "1.0 ms"),
        (34_500_000, "34.5 ms"),
        (2.34e9, "2.3 s"),
        (59.94e9, "59.9 s"),
        (59.96e9, "1 min"),
        (200e9, "3 min 20 s"),
        (3_900e9, "1 h 5 min"),
        (3_600e9, "1 h"),
        (183_600e9, "2 d 3 h"),
    ],
)
def test_duration(value: float | None, said: str) -> None:
    assert units.duration(value) == said


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (None, units.DASH),
        (0, "0 %"),
        (0.0004, "< 0.1 %"),
        (0.034, "3.4 %"),
        (0.0996, "10 %"),
        (0.45, "45 %"),
        (0.9999, "> 99 %"),
        (1, "100 %"),
        (1.5, "150 %"),
    ],
)
def test_percent(share: float | None, said: str) -> None:
    assert units.percent(share) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, units.DASH), (0, "0 B"), (1234.5, "1,234 B"), (123.4 * 2**20, "129,394,278 B"), (-4096, "-4,096 B"),
     (-0.2, "0 B")],
)  # fmt: skip
def test_exact_bytes(value: float | None, said: str) -> None:
    with units.exact_bytes():
        assert units.size(value) == said
        assert units.byte_seconds(value) == (said if value is None else f"{said}·s")
    with units.exact_bytes(False):
        assert units.size(4096) == "4.0 KiB"
    assert units.size(4096) == "4.0 KiB"


def test_exact_bytes_end_with_an_error() -> None:
    with pytest.raises(ValueError, match="x"), units.exact_bytes():
        raise ValueError("x")
    assert units.size(4096) == "4.0 KiB"


def test_counts_rates_and_byte_seconds() -> None:
    assert [units.count(value) for value in (None, 0, 1_234_567, -5)] == [units.DASH, "0", "1,234,567", "-5"]
    assert [units.rate(value) for value in (None, 0, 0.021, 3.44, 12_345.4)] == [
        units.DASH,
        "0/s",
        "0.02/s",
        "3.4/s",
        "12,345/s",
    ]
    assert [units.byte_seconds(value) for value in (None, 1.5 * 2**30)] == [units.DASH, "1.5 GiB·s"]
    assert [units.signed(text) for text in ("5", "-5", units.DASH)] == ["+5", "-5", units.DASH]


def test_units_of_axes() -> None:
    assert [units.byte_unit(value) for value in (0, 1023, 2**20, 2**40)] == [
        ("B", 1.0),
        ("B", 1.0),
        ("MiB", 2.0**20),
        ("TiB", 2.0**40),
    ]
    assert [units.time_unit(1e9 * value)[0] for value in (0.01, 1, 599, 601, 10_800)] == [
        "milliseconds",
        "seconds",
        "seconds",
        "minutes",
        "hours",
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, units.DASH), (0, "0"), (12_345.6, "12,346"), (123.4, "123"), (1.234, "1.23"), (0.0123, "0.0123"),
     (0.000686, "0.000686"), (1.2e-30, "1.2e-30"), (-4.5, "-4.50")],
)  # fmt: skip
def test_number(value: float | None, said: str) -> None:
    assert units.number(value) == said


@pytest.mark.parametrize(
    ("kind", "say", "values"),
    [
        ("bytes", units.size, [-5 << 20, -1, 0, 1023, 1024, 1 << 20, 1 << 40, 5000 << 50]),
        ("byte-seconds", units.byte_seconds, [0, 700, 1 << 20, 1 << 33]),
        ("time", units.duration, [0, 850, 1_234, 34_500_000, 59.9e9, 61e9, 3601e9, 90_000e9, 1e6 * 86_400e9]),
        ("count", units.count, [-1000, -1, 0, 1_234_567]),
        ("share", units.percent, [0, 0.0001, 0.001, 0.0444, 0.5, 0.99, 0.999, 1]),
        ("rate", units.rate, [0, 0.02, 3.4, 12_345]),
    ],
)
def test_magnitudes_are_in_the_order_of_the_figures(
    kind: str, say: Callable[[float], str], values: list[float]
) -> None:
    found = [units.magnitude(say(value)) for value in values]
    assert {each[0] for each in found if each} == {kind}
    magnitudes = [each[1] for each in found if each]
    assert magnitudes == sorted(set(magnitudes)) and len(magnitudes) == len(values)
    assert magnitudes == pytest.approx(values, rel=0.06, abs=0.001)  # what the text leaves of it


@pytest.mark.parametrize(
    "text", [units.DASH, "", "✓", "not reached", "within", "5 apples", "3 min 2 MiB", "1 page", "-"]
)
def test_what_is_no_figure_has_no_magnitude(text: str) -> None:
    assert units.magnitude(text) is None


def test_magnitude_of_signed_figures() -> None:
    assert units.magnitude("+4.0 KiB") == ("bytes", 4096) and units.magnitude("-4.0 KiB") == ("bytes", -4096)
