"""The figures of the evaluation: helpfulness against harmlessness, Elo, and other measurements.

A part without a finite number gives None, and the page then says that it was not measured.

Paper: Bai et al. 2022, arXiv:2212.08073, Figure 2 (the headline) and Figures 3 and 8 (Elo).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from markupsafe import Markup

from publius.report import charts
from publius.report.audit_figures import panel_figure
from publius.report.charts import DotRow
from publius.report.data import JudgeTie, Measurement
from publius.report.figure import Figure, bars, cells, known, sample_size, sentence, spoken, spoken_rows
from publius.report.numbers import change, count, in_words, is_finite, percent
from publius.report.svg import Frame
from publius.report.text import shorten
from publius.stats.intervals import Estimate
from publius.stats.pareto import ParetoChart
from publius.stats.raters import RaterAgreement
from publius.stats.ratings import EloTable, Rating, RatingTable

_TIES = {"labeller": "labelled the training data", "reward": "was the reward of the training"}
WIN_RATE = "100 Elo points are a win rate of 64%."


def pareto_figure(chart: ParetoChart, *, id: str = "pareto") -> Figure | None:
    """Return helpfulness against harmlessness, wide and narrow."""
    drawn = [one for one in chart.points if is_finite(one.helpful) and is_finite(one.harmless)]
    if not drawn:
        return None
    ends = [end for one in drawn for end in (one.helpful, one.harmless)]
    wide = Frame(
        id=f"{id}-wide",
        title="Helpfulness against harmlessness",
        desc=spoken([charts.point_title(one) for one in drawn]),
        x_label="more helpful (Elo) →",
        y_label="↑ more harmless (Elo)",
        n=sample_size([one.n for one in ends], "prompts"),
        width=660,
        height=400,
    )
    narrow = replace(wide, id=f"{id}-narrow", width=340, height=340)
    missing = [one.model for one in chart.points if one not in drawn]
    return Figure(
        id=id,
        title="Helpfulness against harmlessness.",
        caption=f"Each dot is a model, judged by {chart.judge} on {wide.n}. "
        f"{bars([one.helpful for one in drawn], [one.harmless for one in drawn])} "
        "Filled dots are beaten by no other model on both axes; the pale line joins them. The table says in "
        f"which share of the bootstrap's draws no other model beats one. {WIN_RATE}"
        + (f" Not drawn, since not measured: {', '.join(missing)}." if missing else ""),
        panels=(Markup(charts.scatter(wide, drawn)),),
        narrow=Markup(charts.scatter(narrow, drawn)),
        columns=("model", "helpful", "interval", "n", "harmless", "interval", "n", "draws on the frontier"),
        rows=tuple(
            (one.model, *cells(one.helpful, "elo"), *cells(one.harmless, "elo"), percent(one.frontier_share))
            for one in chart.points
        ),
    )


def refusal_doubt(judge: str, prefers_refusal: Estimate | None) -> str | None:
    """Return that a judge pays for declining whatever is asked, or is not shown not to; else None.

    `prefers_refusal` in [0, 1] is how probable the judge makes it that one refusal of everything beats the
    start's answers to harmless prompts (`publius.evaluate.control`).
    """
    if prefers_refusal is None or prefers_refusal.high < 0.5:
        return None
    value, interval, n = cells(prefers_refusal, "share")
    verdict = (
        "so it pays for declining, and its helpfulness is no measure of help"
        if prefers_refusal.low > 0.5
        else "so it is not shown to tell help from declining"
    )
    return (
        f"By {judge} one refusal of everything beats the start's answer to a harmless prompt with a "
        f"probability of {value} [{interval}] (n = {n}), {verdict}."
    )


def elo_figures(tables: Sequence[EloTable]) -> tuple[Figure, ...]:
    """Return one figure a judge, with one panel an axis; judges keep their order."""
    judges = list(dict.fromkeys(table.judge for table in tables))
    figures = [
        _elo_figure(index, [table for table in tables if table.judge == judge])
        for index, judge in enumerate(judges)
    ]
    return tuple(figure for figure in figures if figure is not None)


def judges_figure(tables: Sequence[EloTable], ties: Sequence[JudgeTie]) -> Figure | None:
    """Return what each judge says of the same change, side by side; None for fewer than two judges.

    A judge with a tie to the training has an asterisk, which the caption explains.
    """
    judges = list(dict.fromkeys(table.judge for table in tables))
    if len(judges) < 2:
        return None
    tied = {one.judge: one.tie for one in ties}
    changes = {axis: _changes(tables, axis) for axis in dict.fromkeys(table.axis for table in tables)}
    drawn = {axis: own for axis, own in changes.items() if known(one for _, _, one in own)}
    if not drawn:
        return None
    told = [f"* {judge}: {_TIES[tied[judge]]}." for judge in judges if judge in tied]
    return Figure(
        id="judges",
        title="The judges side by side.",
        caption=" ".join(
            (
                "Each policy's change against the anchor, by every judge, on the same answers.",
                bars(*(known(one for _, _, one in own) for own in drawn.values())),
                WIN_RATE,
                *told,
            )
        ),
        panels=tuple(
            _judges_panel(f"judges-{i}", axis, own, tied) for i, (axis, own) in enumerate(drawn.items())
        ),
        n_names=3,
        columns=("axis", "model", "judge", "against the anchor", "interval", "n"),
        rows=tuple(
            (axis, model, f"{judge}{'*' if judge in tied else ''}", *cells(one, "elo"))
            for axis, own in changes.items()
            for model, judge, one in own
        ),
    )


def agreement_figures(agreement: Sequence[RaterAgreement]) -> tuple[Figure, ...]:
    """Return one figure an axis: how far its judges agree."""
    figures = [panel_figure(one.panel, id=f"agreement-{index + 1}") for index, one in enumerate(agreement)]
    return tuple(
        replace(figure, title=f"Do the judges of {one.axis} agree with each other?")
        for one, figure in zip(agreement, figures, strict=True)
        if figure is not None
    )


def measurement_figure(measurements: Sequence[Measurement]) -> Figure | None:
    """Return one panel a measurement, with the change against the start below each policy's row."""
    panels = [
        _measurement_panel(index, one) for index, one in enumerate(measurements) if known(_values_of(one))
    ]
    if not panels:
        return None
    by_axis = [known(_values_of(one)) for one in measurements]
    empty = [one.name for one in measurements if not known(_values_of(one))]
    sentences = [
        f"{sample_size([one.n for axis in by_axis for one in axis])}. {bars(*by_axis)} "
        "Changes are against the policy that training began from."
    ]
    sentences += [sentence(f"{one.name}: {one.note}") for one in measurements if one.note]
    if empty:
        sentences.append(f"Not measured: {', '.join(empty)}.")
    rows = [
        (one.name, v.policy, *cells(v.value, one.unit), change(v.change, one.unit) if v.change else "none")
        for one in measurements
        for v in one.values
    ]
    return Figure(
        id="measurements",
        title="What the answers are like.",
        caption=" ".join(sentences),
        panels=tuple(panels),
        n_names=2,
        columns=("measurement", "policy", "value", "interval", "n", "change"),
        rows=tuple(rows),
    )


def _elo_figure(index: int, tables: Sequence[EloTable]) -> Figure | None:
    by_axis = [known(row.elo for row in table.ratings.ratings) for table in tables]
    there = [one for axis in by_axis for one in axis]
    if not there:
        return None
    panels = [
        _elo_panel(f"elo-{index}-{number}", table)
        for number, (table, axis) in enumerate(zip(tables, by_axis, strict=True))
        if axis
    ]
    propped = [
        f"{table.axis} ({', '.join(table.ratings.undefeated + table.ratings.winless)})"
        for table in tables
        if table.ratings.regularised
    ]
    caption = (
        f"Judged by {tables[0].judge}, every pair in both orders; "
        f"{sample_size([one.n for one in there], 'prompts')}. {bars(*by_axis)} {WIN_RATE}"
    )
    if propped:
        caption += (
            f" On {' and '.join(propped)} the models named won or lost every time against the others: of "
            "their intervals only the end towards the others means something."
        )
    rows = [
        (table.axis, row.model, *cells(row.elo, "elo"), change(row.difference, "elo"), count(row.n_games))
        for table in tables
        for row in table.ratings.ratings
    ]
    return Figure(
        id=f"elo-{index + 1}",
        title="Elo.",
        caption=caption,
        panels=tuple(panels),
        n_names=2,
        columns=("axis", "model", "Elo", "interval", "n", "against the anchor", "games"),
        rows=tuple(rows),
    )


def _changes(tables: Sequence[EloTable], axis: str) -> list[tuple[str, str, Estimate]]:
    """Return (model, judge, change against the anchor) on an axis, the judges of one model together."""
    own = [table for table in tables if table.axis == axis]
    models = dict.fromkeys(row.model for table in own for row in table.ratings.ratings)
    return [
        (model, table.judge, row.difference)
        for model in models
        for table in own
        for row in table.ratings.ratings
        if row.model == model != table.ratings.anchor
    ]


def _judges_panel(
    id: str, axis: str, changes: Sequence[tuple[str, str, Estimate]], tied: Mapping[str, str]
) -> Markup:
    rows = [
        DotRow(model, one, f"by {shorten(judge, 40)}{'*' if judge in tied else ''}")
        for model, judge, one in changes
    ]
    frame = Frame(
        id=id,
        title=f"{axis.capitalize()} by every judge",
        desc=spoken([f"{model} by {judge}: {in_words(one, 'elo')}" for model, judge, one in changes]),
        x_label="Elo points →",
        y_label=axis.capitalize(),
        n=sample_size([one.n for _, _, one in changes], "prompts"),
    )
    return Markup(charts.dot_chart(frame, rows, unit="elo", reference=charts.Reference(0.0, "the anchor")))


def _elo_panel(id: str, table: EloTable) -> Markup:
    rows = [DotRow(row.model, row.elo, _against(row, table.ratings)) for row in table.ratings.ratings]
    frame = Frame(
        id=id,
        title=f"Elo for {table.axis}",
        desc=spoken_rows(rows, "elo"),
        x_label="Elo points →",
        y_label=table.axis.capitalize(),
        n=sample_size([one.n for one in known(row.estimate for row in rows)], "prompts"),
    )
    return Markup(charts.dot_chart(frame, rows, unit="elo"))


def _against(row: Rating, table: RatingTable) -> str:
    if table.anchor is None or row.model == table.anchor:
        return ""
    return f"{change(row.difference, 'elo')} against {shorten(table.anchor, 16)}"


def _measurement_panel(index: int, one: Measurement) -> Markup:
    rows = [
        DotRow(v.policy, v.value, f"change {change(v.change, one.unit)}" if v.change else "")
        for v in one.values
    ]
    frame = Frame(
        id=f"measurement-{index}",
        title=one.name,
        desc=spoken_rows(rows, one.unit),
        x_label="",
        y_label=one.name,
        n=sample_size([estimate.n for estimate in known(_values_of(one))]),
    )
    return Markup(charts.dot_chart(frame, rows, unit=one.unit))


def _values_of(measurement: Measurement) -> list[Estimate | None]:
    return [one.value for one in measurement.values]
