"""The figures of the preference model: is it calibrated, and what does it pay for?

A part without a finite number gives None, and the page then says that it was not measured.

Paper: Bai et al. 2022, arXiv:2212.08073, Figure 9 (calibration). The tricks: `preference.tricks`.
"""

import math

from markupsafe import Markup

from publius.report import charts
from publius.report.charts import DotRow, Reference
from publius.report.data import PMSummary, TrickEffect
from publius.report.figure import Figure, bars, cells, known, sample_size, spoken, spoken_rows
from publius.report.numbers import N_IS, count, in_words, is_finite, plain
from publius.report.svg import Frame


def reliability_figure(pm: PMSummary) -> Figure | None:
    """Return the preference model's reliability diagram."""
    bins = [one for one in pm.bins if is_finite(one.outcome) and math.isfinite(one.mean_prob)]
    if not bins:
        return None
    n_all = sum(one.outcome.n for one in bins)
    frame = Frame(
        id="pm-reliability",
        title="Calibration of the preference model",
        desc=spoken(
            [f"predicted {plain(one.mean_prob * 100)}%: {in_words(one.outcome, 'share')}" for one in bins]
        ),
        x_label="predicted P(its choice is better)",
        y_label="Came true",
        n=f"{N_IS}{count(n_all)} comparisons",
        height=320,
    )
    return Figure(
        id="calibration",
        title="Does 70% mean 70%?",
        caption=f"{N_IS}{count(n_all)} held-out comparisons, grouped by what the preference model predicted. "
        f"{bars([one.outcome for one in bins])} Grey columns show how many comparisons are in a "
        f"group (the largest has {count(max(one.outcome.n for one in bins))}). On the dashed line the "
        "model is right as often as it claims; a prediction is of the answer that it prefers, so none is "
        "below one half.",
        panels=(Markup(charts.reliability_diagram(frame, bins)),),
        columns=("predicted", "came true", "interval", "n"),
        rows=tuple((f"{plain(one.mean_prob * 100)}%", *cells(one.outcome, "share")) for one in bins),
    )


def trick_figure(pm: PMSummary) -> Figure | None:
    """Return what tricks do to the reward: right of the line the model pays for nothing."""
    rows = [DotRow(one.name, one.change, note=one.summary) for one in pm.tricks]
    there = known(row.estimate for row in rows)
    if not there:
        return None
    frame = Frame(
        id="pm-tricks",
        title="What tricks do to the reward",
        desc=spoken_rows(rows, "number"),
        x_label="mean change of the reward, in its standard deviations",
        y_label="Trick",
        n=sample_size([one.n for one in there], "prompts"),
    )
    return Figure(
        id="tricks",
        title="Does it pay for tricks?",
        caption="Good answers to harmless prompts, changed so that they are no better or worse; "
        f"{frame.n}. {bars(there)} Right of the dashed line the model pays for the trick, and a policy "
        f"trained against it can learn that. {_paid_for(pm.tricks)}",
        panels=(Markup(charts.dot_chart(frame, rows, unit="number", reference=Reference(0.0, "no change"))),),
        columns=("trick", "change", "interval", "n", "reward higher", "interval", "n"),
        rows=tuple(
            (one.name, *cells(one.change, "number"), *cells(one.higher, "share")) for one in pm.tricks
        ),
    )


def _paid_for(tricks: tuple[TrickEffect, ...]) -> str:
    paid = [one.name for one in tricks if is_finite(one.change) and one.change.low > 0]
    if not paid:
        return "That it pays for one of them is not shown."
    return f"It pays for: {', '.join(paid)}."
