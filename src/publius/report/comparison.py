"""A comparison of arms: tables whose every number has n, an interval and its records; as a page.

A row is a measured thing, with what blind guessing would reach; a column is an arm. No data is None.

Papers: the tables follow arXiv:2310.13798, figures 4 to 9, and arXiv:2212.08073, figures 2 to 8.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from publius.report import charts
from publius.report.charts import DotRow, Reference
from publius.report.data import Unit
from publius.report.figure import Figure, bars, cells, known, sample_size, sentence, spoken_rows
from publius.report.numbers import plain
from publius.report.page import page_environment
from publius.report.svg import Frame
from publius.stats.intervals import Estimate


@dataclass(frozen=True, slots=True)
class Cell:
    """A number of one arm, and the file that it was counted from, named from the experiment's directory."""

    estimate: Estimate | None
    records: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured, what blind guessing reaches (None where it means nothing), a cell for every arm."""

    name: str
    chance: float | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of numbers for arms. `measure` says what a number is, `judge` who decided.

    `counted` is what n counts, in the plural; `chance_is` what the chance column holds.
    """

    id: str
    title: str
    measure: str
    judge: str
    unit: Unit
    counted: str
    arms: tuple[str, ...]
    rows: tuple[Row, ...]
    chance_is: str = "chance"


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that an experiment found, and what it does not show."""

    name: str
    description: str
    kind: str
    seed: int
    arms: tuple[str, ...]
    tables: tuple[Table, ...]
    not_concluded: tuple[str, ...]


def render_comparison(comparison: Comparison) -> str:
    """Return a comparison as one self-contained HTML page (UTF-8, no scripts, no requests)."""
    views = [(table, table_figure(table)) for table in comparison.tables]
    return (
        page_environment()
        .get_template("comparison.html.j2")
        .render(comparison=comparison, views=views, chance_text=chance_text)
    )


def table_figure(table: Table) -> Figure | None:
    """Return a table as a figure, one panel a row with a dot an arm, or None without a finite number."""
    panels = [(row, _panel(table, row, index)) for index, row in enumerate(table.rows)]
    drawn = [(row, panel) for row, panel in panels if panel is not None]
    if not drawn:
        return None
    there = [known(cell.estimate for cell in row.cells) for row, _ in drawn]
    caption = (
        f"{sentence(table.measure)} Judged by {table.judge}; "
        f"{sample_size([one.n for own in there for one in own], table.counted)}. {bars(*there)}"
    )
    if any(row.chance is not None for row, _ in drawn):
        caption += f" The line is {table.chance_is}."
    return Figure(
        id=table.id,
        title=sentence(table.title),
        caption=caption,
        panels=tuple(panel for _, panel in drawn),
        columns=("measured", table.chance_is, "arm", "value", "interval", "n"),
        rows=tuple(
            (row.name, chance_text(row, table.unit), arm, *cells(cell.estimate, table.unit))
            for row in table.rows
            for arm, cell in zip(table.arms, row.cells, strict=True)
        ),
        n_names=1,
    )


def chance_text(row: Row, unit: Unit) -> str:
    """Return a row's chance as text, a dash where it has none.

    >>> chance_text(Row("power", 0.5, ()), "share"), chance_text(Row("length", None, ()), "number")
    ('50%', '–')
    """
    if row.chance is None:
        return "–"
    return f"{row.chance * 100:.0f}%" if unit == "share" else plain(row.chance)


def _panel(table: Table, row: Row, index: int) -> Markup | None:
    dots = [DotRow(arm, cell.estimate) for arm, cell in zip(table.arms, row.cells, strict=True)]
    there: Sequence[Estimate] = known(dot.estimate for dot in dots)
    if not there:
        return None
    frame = Frame(
        id=f"{table.id}-{index}",
        title=row.name,
        desc=spoken_rows(dots, table.unit),
        x_label="",
        y_label=row.name,
        n=sample_size([one.n for one in there], table.counted),
    )
    line = None if row.chance is None else Reference(row.chance, table.chance_is)
    return Markup(charts.dot_chart(frame, dots, unit=table.unit, reference=line))
