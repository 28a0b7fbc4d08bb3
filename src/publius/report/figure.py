"""What a figure is, and the phrases that every caption and data table shares.

Paper: none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from publius.report.charts import DotRow, axis_limits
from publius.report.data import Unit
from publius.report.numbers import N_IS, count, in_words, interval, is_finite, measured
from publius.stats.intervals import Estimate


@dataclass(frozen=True, slots=True)
class Figure:
    """One or more panels with one caption; `narrow` replaces the panels on a phone, if it is there.

    `columns` and `rows` are the numbers behind the picture, as text; the first `n_names` columns hold
    names, the others numbers.
    """

    id: str
    title: str
    caption: str
    panels: tuple[Markup, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    narrow: Markup | None = None
    n_names: int = 1


def known(estimates: Iterable[Estimate | None]) -> list[Estimate]:
    """Return the estimates that are there and finite."""
    return [one for one in estimates if is_finite(one)]


def sample_size(ns: Iterable[int], noun: str = "") -> str:
    """Return the n of several numbers as one statement.

    >>> sample_size([96, 40], "prompts").replace("\\xa0", " ")
    'n = 40 to 96 prompts'
    """
    low, *rest = sorted(set(ns))
    text = f"{N_IS}{count(low)}" if not rest else f"{N_IS}{count(low)} to {count(rest[-1])}"
    return f"{text} {noun}" if noun else text


def bars(*axes: Sequence[Estimate]) -> str:
    """Return what the bars mean, with the level that the estimates themselves carry.

    Each argument is what one axis shows; where a bar is longer than its axis, the arrow is explained.

    >>> bars([Estimate(0.5, 0.4, 0.6, n=90, level=0.95)])
    'Bars are 95% intervals.'
    """
    levels = sorted({one.level for estimates in axes for one in estimates})
    text = f"Bars are {' and '.join(f'{level * 100:g}%' for level in levels)} intervals."
    if any(_goes_beyond(estimates) for estimates in axes if estimates):
        text += " An arrow marks one that goes on beyond the chart."
    return text


def cells(estimate: Estimate | None, unit: Unit) -> tuple[str, str, str]:
    """Return value, interval and n as cells of a data table.

    >>> cells(Estimate(0.5, 0.4, 0.6, n=90, level=0.95), "share")
    ('50%', '40 to 60', '90')
    """
    n = count(estimate.n) if is_finite(estimate) else "none"
    return measured(estimate, unit), interval(estimate, unit), n


def spoken_rows(rows: Sequence[DotRow], unit: Unit) -> str:
    """Return rows of a chart for those who do not see it."""
    return spoken([f"{row.name}: {in_words(row.estimate, unit)}" for row in rows])


def spoken(told: Sequence[str]) -> str:
    """Return the first dozen of what a picture shows, for those who do not see it.

    >>> spoken(["up", "down"])
    'up; down.'
    """
    more = f"; {len(told) - 12} more in the table" if len(told) > 12 else ""
    return "; ".join(told[:12]) + more + "."


def sentence(text: str) -> str:
    """Return `text` with a full stop, if it ends without a mark.

    >>> sentence("less is better"), sentence("Why?")
    ('less is better.', 'Why?')
    """
    return text if text.rstrip().endswith((".", "!", "?", "…")) else f"{text.rstrip()}."


def _goes_beyond(estimates: Sequence[Estimate]) -> bool:
    low, high = axis_limits(estimates)
    return any(one.low < low or one.high > high for one in estimates)
