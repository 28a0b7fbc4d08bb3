import math

import pytest

from publius.report import numbers
from publius.stats.intervals import Estimate


def estimate(value: float, half: float) -> Estimate:
    return Estimate(value, value - half, value + half, n=50, level=0.9)


@pytest.mark.parametrize(
    ("value", "half", "unit", "number", "interval"),
    [
        (0.734, 0.08, "share", "73%", "65 to 81"),
        (0.734, 0.012, "share", "73.4%", "72.2 to 74.6"),
        (0.0, 0.0, "share", "0%", "0 to 0"),
        (-0.004, 0.05, "share", "0%", "−5 to 5"),
        (54.4, 30.0, "elo", "+54", "+24 to +84"),
        (-54.4, 30.0, "elo", "−54", "−84 to −24"),
        (0.0, 30.0, "elo", "0", "−30 to +30"),
        (1234.5, 20.0, "number", "1,234", "1,214 to 1,254"),
        (0.125, 0.001, "number", "0.1250", "0.1240 to 0.1260"),
    ],
)
def test_the_interval_decides_the_decimals(
    value: float, half: float, unit: numbers.Unit, number: str, interval: str
) -> None:
    one = estimate(value, half)
    assert numbers.measured(one, unit) == number
    assert numbers.interval(one, unit) == interval


def test_the_level_is_that_of_the_estimate() -> None:
    words = numbers.in_words(estimate(0.5, 0.1), "share")
    assert words.replace("\u00a0", " ") == "50% (90% interval 40 to 60, n = 50)"


@pytest.mark.parametrize(
    "nothing", [None, Estimate(math.nan, 0, 1, 9, 0.95), Estimate(0, -math.inf, 1, 9, 0.95)]
)
def test_no_number_is_not_measured(nothing: Estimate | None) -> None:
    for write in (numbers.measured, numbers.interval, numbers.in_words, numbers.change):
        assert write(nothing, "share") == "not measured"


def test_absent_plain_values_are_not_zero() -> None:
    written = (
        numbers.count(None),
        numbers.plain(None),
        numbers.plain(math.inf),
        numbers.duration(None),
        numbers.duration(math.nan),
        numbers.size(None),
    )
    assert set(written) == {"not measured"}
    assert (numbers.count(0), numbers.plain(0.0), numbers.duration(0)) == ("0", "0", "0.0 s")


@pytest.mark.parametrize(
    ("seconds", "text"), [(9.96, "10 s"), (59.6, "1 min 0 s"), (3599.7, "1 h 0 min"), (59.4, "59 s")]
)
def test_a_rounded_time_carries_over(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(100.0, "100"), (0.1, "0.1"), (12345.6, "12,346"), (-0.5, "−0.5")]
)
def test_plain_numbers(value: float, text: str) -> None:
    assert numbers.plain(value) == text
