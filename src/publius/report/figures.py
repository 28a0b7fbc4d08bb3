"""Turn parts of a run into figures: a picture, a caption with n and interval, and the numbers.

A part without a finite number gives None, and the page then says that it was not measured.

Paper: Bai et al. 2022, arXiv:2212.08073, Figures 2, 3, 5, 8 and 9 have the like.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from publius.report import charts
from publius.report.charts import DotRow, LineSeries, Reference
from publius.report.data import (
    AuditSummary,
    EloTable,
    LabelSummary,
    Measurement,
    ParetoChart,
    PMSummary,
    RLStep,
    RLSummary,
    Unit,
)
from publius.report.numbers import change, count, in_words, interval, is_finite, measured, plain, range_of
from publius.report.svg import Frame
from publius.stats.intervals import Estimate
from publius.stats.ratings import Rating, RatingTable

DRAWN_STEPS = 200
"""A longer training is thinned to this many points, and the caption says so."""

WIN_RATE = "100 Elo points are a win rate of 64 %."


@dataclass(frozen=True, slots=True)
class Figure:
    """One or more panels with one caption; `narrow` replaces the panels on a phone, if it is there."""

    id: str
    title: str
    caption: str
    panels: tuple[Markup, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    narrow: Markup | None = None


def pareto_figure(chart: ParetoChart) -> Figure | None:
    """Return helpfulness against harmlessness, wide and narrow."""
    drawn = [one for one in chart.points if is_finite(one.helpful) and is_finite(one.harmless)]
    if not drawn:
        return None
    ends = [end for one in drawn for end in (one.helpful, one.harmless)]
    told = [
        f"{one.model}: helpful {in_words(one.helpful, 'elo')}, harmless {in_words(one.harmless, 'elo')}"
        for one in drawn
    ]
    wide = Frame(
        id="pareto-wide",
        title="Helpfulness against harmlessness",
        desc=_spoken(told),
        x_label="more helpful (Elo) →",
        y_label="↑ more harmless (Elo)",
        n=_sample(ends),
        width=660,
        height=400,
    )
    narrow = replace(wide, id="pareto-narrow", width=340, height=340)
    missing = [one.model for one in chart.points if one not in drawn]
    caption = (
        f"Each dot is a model, judged by {chart.judge}; n counts prompts. {_bars(ends)} "
        "Filled dots are beaten by no other model on both axes; the line joins them. "
        f"{WIN_RATE}" + (f" Without an interval and so not drawn: {', '.join(missing)}." if missing else "")
    )
    rows = [
        (one.model, *_cells(one.helpful, "elo"), *_cells(one.harmless, "elo"))
        for one in sorted(chart.points, key=lambda one: -one.helpful.value)
    ]
    return Figure(
        id="pareto",
        title="Helpfulness against harmlessness.",
        caption=caption,
        panels=(Markup(charts.scatter(wide, drawn)),),
        narrow=Markup(charts.scatter(narrow, drawn)),
        columns=("model", "helpful", "interval", "n", "harmless", "interval", "n"),
        rows=tuple(rows),
    )


def audit_figure(audit: AuditSummary) -> Figure | None:
    """Return the feedback model's accuracy by kind of comparison, with chance as the reference."""
    rows = [DotRow("all comparisons", audit.accuracy)]
    rows += [DotRow(one.kind, one.accuracy) for one in audit.by_kind]
    known = _known(row.estimate for row in rows)
    if not known:
        return None
    frame = Frame(
        id="audit-accuracy",
        title="Accuracy of the feedback model",
        desc=_spoken_rows(rows, "share"),
        x_label="share judged as people did",
        y_label="Accuracy",
        n=_sample(known),
    )
    return _dots(
        frame,
        rows,
        "share",
        title="Is the feedback model right?",
        caption=f"Answers of {audit.judge} to comparisons whose better answer is known. "
        f"{_bars(known)} The dashed line is chance.",
        reference=Reference(0.5, "chance"),
    )


def label_figure(labels: LabelSummary) -> Figure | None:
    """Return the histogram of the soft labels."""
    n_labels = sum(one.n for one in labels.histogram)
    if not n_labels:
        return None
    frame = Frame(
        id="label-histogram",
        title="Soft labels",
        desc=_spoken(
            [f"{plain(one.low)} to {plain(one.high)}: {count(one.n)}" for one in labels.histogram]
        ),
        x_label="P(A is better)",
        y_label="Comparisons",
        n=f"n = {count(n_labels)}",
    )
    return Figure(
        id="labels-histogram",
        title="How sure are the labels?",
        caption=f"Soft labels of n = {count(n_labels)} comparisons: all of them, counted, "
        "so there is no interval. Labels near 0 and 1 are confident; a heap at one half says that "
        "the judge could not tell.",
        panels=(Markup(charts.histogram(frame, labels.histogram)),),
        columns=("from", "to", "comparisons"),
        rows=tuple((plain(one.low), plain(one.high), count(one.n)) for one in labels.histogram),
    )


def principle_figure(labels: LabelSummary) -> Figure | None:
    """Return the mean soft label by principle."""
    rows = [DotRow(one.principle_id, one.mean_prob_a) for one in labels.per_principle]
    known = _known(row.estimate for row in rows)
    if not known:
        return None
    frame = Frame(
        id="label-principles",
        title="Mean label by principle",
        desc=_spoken_rows(rows, "share"),
        x_label="mean P(A is better)",
        y_label="Principle",
        n=_sample(known),
    )
    return _dots(
        frame,
        rows,
        "share",
        title="Which way does each principle lean?",
        caption=f"Mean soft label under each principle. {_bars(known)} The dashed line is one half.",
        reference=Reference(0.5, "one half"),
    )


def reliability_figure(pm: PMSummary) -> Figure | None:
    """Return the preference model's reliability diagram."""
    bins = [one for one in pm.bins if is_finite(one.outcome) and math.isfinite(one.mean_prob)]
    if not bins:
        return None
    told = [
        f"predicted {plain(one.mean_prob * 100)} %: {in_words(one.outcome, 'share')}" for one in bins
    ]
    frame = Frame(
        id="pm-reliability",
        title="Calibration of the preference model",
        desc=_spoken(told),
        x_label="predicted P(A is better)",
        y_label="Came true",
        n=f"n = {count(sum(one.outcome.n for one in bins))}",
        height=320,
    )
    return Figure(
        id="pm-calibration",
        title="Does 70 % mean 70 %?",
        caption="Held-out comparisons, grouped by what the preference model predicted. "
        f"{_bars([one.outcome for one in bins])} Grey columns show how many comparisons are in a "
        f"group (largest: {count(max(one.outcome.n for one in bins))}). On the dashed line the "
        "model is as often right as it claims.",
        panels=(Markup(charts.reliability_diagram(frame, bins)),),
        columns=("predicted", "came true", "interval", "n"),
        rows=tuple(
            (f"{plain(one.mean_prob * 100)} %", *_cells(one.outcome, "share")) for one in bins
        ),
    )


def rl_figure(rl: RLSummary) -> Figure | None:
    """Return reward, KL and length by step, one panel each; what was not logged is named."""
    steps = thinned(rl.steps)
    xs = tuple(float(one.step) for one in steps)
    reward = LineSeries(
        "training PM", xs, tuple(one.reward for one in steps), tuple(one.reward_std for one in steps)
    )
    held_out = LineSeries("held-out PM", xs, tuple(one.held_out_reward for one in steps))
    wanted = {
        "Reward": [one for one in (reward, held_out) if _has_values(one)],
        "KL to the start (nats)": [LineSeries("KL", xs, tuple(one.kl for one in steps))],
        "Length (tokens)": [LineSeries("length", xs, tuple(one.length for one in steps))],
    }
    best = None if rl.best_step is None else Reference(rl.best_step, f"kept: {rl.best_step}")
    drawn = {name: lines for name, lines in wanted.items() if any(map(_has_values, lines))}
    if not drawn:
        return None
    panels = tuple(
        Markup(charts.line_chart(_rl_frame(index, name, lines, rl.n_per_step), lines, marker=best))
        for index, (name, lines) in enumerate(drawn.items())
    )
    absent = [name for name in wanted if name not in drawn]
    sentences = [
        f"{rl.algorithm}, {count(len(rl.steps))} steps; each point is a mean over "
        f"n = {count(rl.n_per_step)} answers. The band is one standard deviation of the reward among "
        "these answers: a spread, not an interval of the mean; KL and length are logged without one."
    ]
    if len(steps) < len(rl.steps):
        sentences.append(f"Drawn and listed are {count(len(steps))} steps, evenly spaced.")
    if absent:
        sentences.append(f"Not measured: {', '.join(absent)}.")
    rows = [
        (
            count(one.step),
            *(plain(v) for v in (one.reward, one.reward_std, one.held_out_reward, one.kl, one.length)),
        )
        for one in steps
    ]
    return Figure(
        id="rl-curves",
        title="Reward, drift and length.",
        caption=" ".join(sentences),
        panels=panels,
        columns=("step", "reward", "std", "held-out reward", "KL", "length"),
        rows=tuple(rows),
    )


def elo_figures(tables: Sequence[EloTable]) -> tuple[Figure, ...]:
    """Return one figure a judge, with one panel an axis; judges keep their order."""
    judges = list(dict.fromkeys(table.judge for table in tables))
    figures = [
        _elo_figure(index, judge, [table for table in tables if table.judge == judge])
        for index, judge in enumerate(judges)
    ]
    return tuple(figure for figure in figures if figure is not None)


def measurement_figure(measurements: Sequence[Measurement]) -> Figure | None:
    """Return one panel a measurement, with the change against the start below each policy's row."""
    panels: list[Markup] = []
    for index, one in enumerate(measurements):
        rows = [
            DotRow(v.policy, v.value, f"change {change(v.change, one.unit)}" if v.change else "")
            for v in one.values
        ]
        known = _known(row.estimate for row in rows)
        if known:
            frame = Frame(
                id=f"measurement-{index}",
                title=one.name,
                desc=_spoken_rows(rows, one.unit),
                x_label="",
                y_label=one.name,
                n=_sample(known),
            )
            panels.append(Markup(charts.dot_chart(frame, rows, unit=one.unit)))
    if not panels:
        return None
    known = _known(v.value for one in measurements for v in one.values)
    empty = [one.name for one in measurements if not _known(v.value for v in one.values)]
    notes = [f"{one.name}: {one.note}" for one in measurements if one.note]
    absent = [f"Not measured: {', '.join(empty)}."] if empty else []
    table = [
        (one.name, v.policy, *_cells(v.value, one.unit), change(v.change, one.unit) if v.change else "none")
        for one in measurements
        for v in one.values
    ]
    return Figure(
        id="measurements",
        title="What the answers look like.",
        caption=" ".join(
            [f"{_bars(known)} Changes are against the policy that training began from.", *notes, *absent]
        ),
        panels=tuple(panels),
        columns=("measurement", "policy", "value", "interval", "n", "change"),
        rows=tuple(table),
    )


def thinned(steps: Sequence[RLStep]) -> tuple[RLStep, ...]:
    """Return at most `DRAWN_STEPS` steps, evenly spaced, with the first and the last.

    >>> [one.step for one in thinned([RLStep(step) for step in range(1000)])][:3]
    [0, 5, 10]
    """
    if len(steps) <= DRAWN_STEPS:
        return tuple(steps)
    last = len(steps) - 1
    return tuple(steps[round(index * last / (DRAWN_STEPS - 1))] for index in range(DRAWN_STEPS))


def _elo_figure(index: int, judge: str, tables: Sequence[EloTable]) -> Figure | None:
    panels: list[Markup] = []
    rows: list[tuple[str, ...]] = []
    for number, table in enumerate(tables):
        known = _known(row.elo for row in table.ratings.ratings)
        dots = [DotRow(row.model, row.elo, _against(row, table.ratings)) for row in table.ratings.ratings]
        rows += [
            (table.axis, row.model, *_cells(row.elo, "elo"), change(row.difference, "elo"), count(row.n_games))
            for row in table.ratings.ratings
        ]
        if known:
            frame = Frame(
                id=f"elo-{index}-{number}",
                title=f"Elo for {table.axis}",
                desc=_spoken_rows(dots, "elo"),
                x_label="Elo points →",
                y_label=table.axis.capitalize(),
                n=_sample(known),
            )
            panels.append(Markup(charts.dot_chart(frame, dots, unit="elo")))
    if not panels:
        return None
    known = _known(row.elo for table in tables for row in table.ratings.ratings)
    propped = [table.axis for table in tables if table.ratings.regularised]
    caption = (
        f"Judged by {judge}, every pair in both orders; n counts prompts. {_bars(known)} {WIN_RATE}"
        + (
            f" On {' and '.join(propped)} a model won (or lost) every time, so only the near ends of the "
            "intervals are to be read; an arrow marks one that goes on beyond the chart."
            if propped
            else ""
        )
    )
    return Figure(
        id=f"elo-{index}",
        title="Elo.",
        caption=caption,
        panels=tuple(panels),
        columns=("axis", "model", "Elo", "interval", "n", "against the anchor", "games"),
        rows=tuple(rows),
    )


def _against(row: Rating, table: RatingTable) -> str:
    return (
        "the anchor" if row.model == table.anchor else f"against {table.anchor}: {change(row.difference, 'elo')}"
    )


def _dots(
    frame: Frame, rows: Sequence[DotRow], unit: Unit, *, title: str, caption: str, reference: Reference
) -> Figure:
    return Figure(
        id=f"{frame.id}-figure",
        title=title,
        caption=caption,
        panels=(Markup(charts.dot_chart(frame, rows, unit=unit, reference=reference)),),
        columns=(frame.y_label.lower(), "value", "interval", "n"),
        rows=tuple((row.name, *_cells(row.estimate, unit)) for row in rows),
    )


def _rl_frame(index: int, name: str, lines: Sequence[LineSeries], n_per_step: int) -> Frame:
    told = [
        f"{line.name}: from {plain(ys[0])} to {plain(ys[-1])}"
        for line in lines
        if (ys := [y for y in line.ys if y is not None])
    ]
    return Frame(
        id=f"rl-{index}",
        title=f"{name} by step",
        desc=_spoken(told),
        x_label="step",
        y_label=name,
        n=f"n = {count(n_per_step)} a step",
        width=320,
    )


def _has_values(line: LineSeries) -> bool:
    return any(y is not None and math.isfinite(y) for y in line.ys)


def _known(estimates: Iterable[Estimate | None]) -> list[Estimate]:
    return [one for one in estimates if is_finite(one)]


def _sample(estimates: Sequence[Estimate]) -> str:
    return range_of([one.n for one in estimates])


def _bars(estimates: Sequence[Estimate]) -> str:
    """Return what the bars mean, with the level that the estimates themselves carry."""
    levels = sorted({one.level for one in estimates})
    return f"Bars are {' and '.join(f'{level * 100:g} %' for level in levels)} intervals."


def _cells(estimate: Estimate | None, unit: Unit) -> tuple[str, str, str]:
    n = count(estimate.n) if is_finite(estimate) else "none"
    return measured(estimate, unit), interval(estimate, unit), n


def _spoken_rows(rows: Sequence[DotRow], unit: Unit) -> str:
    return _spoken([f"{row.name}: {in_words(row.estimate, unit)}" for row in rows])


def _spoken(told: Sequence[str]) -> str:
    """Return the first dozen of what a picture shows, for those who do not see it."""
    more = f"; {len(told) - 12} more in the table" if len(told) > 12 else ""
    return "; ".join(told[:12]) + more + "."
