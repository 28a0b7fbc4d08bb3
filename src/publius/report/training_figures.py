"""The figures of the stages that make the policy: labels, RL.

A part without a finite number gives None, and the page then says that it was not measured.

Paper: Bai et al. 2022, arXiv:2212.08073, Figure 8 (training curves).
"""

import math
from collections.abc import Sequence

from markupsafe import Markup

from publius.report import charts
from publius.report.charts import DotRow, LineSeries, Reference
from publius.report.data import LabelSummary, MonitorCurve, RLStep, RLSummary
from publius.report.figure import Figure, bars, cells, known, sample_size, spoken, spoken_rows
from publius.report.numbers import N_IS, count, plain
from publius.report.svg import Frame

DRAWN_STEPS = 200
"""A longer training is thinned to this many points, and the caption says so."""


def label_figure(labels: LabelSummary, *, id: str) -> Figure | None:
    """Return the histogram of the soft labels and, beside it, their mean under each principle."""
    n_labels = sum(one.n for one in labels.histogram)
    rows = [DotRow(one.principle_id, one.mean_prob_a) for one in labels.per_principle]
    there = known(row.estimate for row in rows)
    panels: list[Markup] = []
    sentences: list[str] = []
    table = [(f"{plain(one.low)} to {plain(one.high)}", "", "", count(one.n)) for one in labels.histogram]
    if n_labels:
        panels.append(Markup(charts.histogram(_histogram_frame(labels, n_labels, id=id), labels.histogram)))
        sentences.append(
            f"The soft labels of {N_IS}{count(n_labels)} comparisons; a count has no interval. "
            "Near 0 and 1 the judge was sure; a heap at one half says that it could not tell."
        )
    if there:
        frame = Frame(
            id=f"{id}-principles",
            title="Mean label by principle",
            desc=spoken_rows(rows, "share"),
            x_label="mean P(A is better)",
            y_label="Principle",
            n=sample_size([one.n for one in there]),
        )
        half = Reference(0.5, "one half")
        panels.append(Markup(charts.dot_chart(frame, rows, unit="share", reference=half)))
        sentences.append(
            f"By principle: the mean label under each, {frame.n}. {bars(there)} The dashed line is one half."
        )
        table += [(row.name, *cells(row.estimate, "share")) for row in rows]
    if not panels:
        return None
    return Figure(
        id=id,
        title="How sure are the labels?",
        caption=" ".join(sentences),
        panels=tuple(panels),
        columns=("label, or principle", "mean", "interval", "n"),
        rows=tuple(table),
    )


def rl_figure(rl: RLSummary) -> Figure | None:
    """Return reward, KL and length by step, one panel each; what was not logged is named."""
    steps = thinned(rl.steps)
    wanted = _rl_lines(steps)
    drawn = {name: lines for name, lines in wanted.items() if any(map(_has_values, lines))}
    if not drawn:
        return None
    is_kept = rl.kept_step in (None, rl.best_step)
    kept = f"{'kept' if is_kept else 'best'}: {rl.best_step}"
    best = None if rl.best_step is None else Reference(rl.best_step, kept)
    panels = tuple(
        Markup(charts.line_chart(_rl_frame(index, name, lines, rl.n_per_step), lines, marker=best))
        for index, (name, lines) in enumerate(drawn.items())
    )
    sentences = [
        f"{rl.algorithm}, {count(len(rl.steps))} steps; each point is a mean over "
        f"{N_IS}{count(rl.n_per_step)} answers. The band is one standard deviation of the reward among "
        "these answers: a spread, not an interval of the mean; KL and length are logged without one."
    ]
    if len(steps) < len(rl.steps):
        sentences.append(f"Drawn and listed are {count(len(steps))} of the steps, evenly spaced.")
    if rl.best_step is not None and not is_kept:
        start = "the start: every snapshot set off an alarm" if rl.best_step == 0 else f"step {rl.best_step}"
        sentences.append(f"The model is the policy after step {rl.kept_step}; the best is {start}.")
    if absent := [name for name in wanted if name not in drawn]:
        sentences.append(f"Not measured: {', '.join(absent)}.")
    return Figure(
        id="curves",
        title="Reward, drift and length.",
        caption=" ".join(sentences),
        panels=panels,
        columns=("step", "reward", "std", "held-out reward", "KL", "length"),
        rows=tuple(
            (
                count(one.step),
                *(plain(v) for v in (one.reward, one.reward_std, one.held_out_reward, one.kl, one.length)),
            )
            for one in steps
        ),
    )


def monitor_figure(rl: RLSummary) -> Figure | None:
    """Return every monitor over the snapshots beside its bound, and what set off an alarm when."""
    curves = [one for one in rl.monitors if any(point.value is not None for point in one.points)]
    if not curves:
        return None
    alarms = {one.name: [p.step for p in one.points if p.is_alarm] for one in curves}
    told = [f"{name} from step {steps[0]}" for name, steps in alarms.items() if steps]
    sentences = [
        "What could show that training went wrong, at each snapshot; below or above the line of its bound a "
        "monitor sounds, where it has an interval only if all of that lies beyond.",
        f"Sounded: {'; '.join(told)}." if told else "None sounded.",
    ]
    if ns := [point.estimate.n for one in curves for point in one.points if point.estimate is not None]:
        sentences.append(f"Intervals: {sample_size(ns, 'prompts')} a snapshot.")
    if absent := [one.name for one in rl.monitors if one not in curves]:
        sentences.append(f"Not measured: {', '.join(absent)}.")
    return Figure(
        id="monitors",
        title="Did training go wrong?",
        caption=" ".join(sentences),
        panels=tuple(Markup(_monitor_chart(index, one)) for index, one in enumerate(curves)),
        columns=("monitor", "counted", "bound", "first", "last", "interval", "n", "alarms at"),
        rows=tuple(
            (
                one.name,
                one.what,
                f"{'at least' if one.is_least else 'at most'} {plain(one.bound)}",
                plain(one.points[0].value),
                plain(one.points[-1].value),
                *cells(one.points[-1].estimate, "number")[1:],
                ", ".join(map(str, alarms[one.name])) or "none",
            )
            for one in curves
        ),
        n_names=2,
    )


def _monitor_chart(index: int, curve: MonitorCurve) -> str:
    xs = tuple(float(point.step) for point in curve.points)
    lines = [
        LineSeries(curve.name, xs, tuple(point.value for point in curve.points)),
        LineSeries("bound", xs, (curve.bound,) * len(xs)),
    ]
    ns = [point.estimate.n for point in curve.points if point.estimate is not None]
    frame = Frame(
        id=f"monitor-{index}",
        title=f"{curve.name} by step",
        desc=spoken([f"step {point.step}: {plain(point.value)}" for point in curve.points]),
        x_label="step",
        y_label=curve.what,
        n=sample_size(ns, "prompts") if ns else sample_size([len(xs)], "snapshots"),
        width=320,
    )
    return charts.line_chart(frame, lines)


def thinned(steps: Sequence[RLStep]) -> tuple[RLStep, ...]:
    """Return at most `DRAWN_STEPS` steps, evenly spaced, with the first and the last.

    >>> [one.step for one in thinned([RLStep(step) for step in range(1000)])][:3]
    [0, 5, 10]
    """
    if len(steps) <= DRAWN_STEPS:
        return tuple(steps)
    last = len(steps) - 1
    return tuple(steps[round(index * last / (DRAWN_STEPS - 1))] for index in range(DRAWN_STEPS))


def _histogram_frame(labels: LabelSummary, n_labels: int, *, id: str) -> Frame:
    return Frame(
        id=f"{id}-histogram",
        title="Soft labels",
        desc=spoken([f"{plain(one.low)} to {plain(one.high)}: {count(one.n)}" for one in labels.histogram]),
        x_label="P(A is better)",
        y_label="Comparisons",
        n=f"{N_IS}{count(n_labels)}",
    )


def _rl_lines(steps: Sequence[RLStep]) -> dict[str, list[LineSeries]]:
    xs = tuple(float(one.step) for one in steps)
    stds = tuple(one.reward_std for one in steps)
    reward = LineSeries("training PM", xs, tuple(one.reward for one in steps), stds)
    held_out = LineSeries("held-out PM", xs, tuple(one.held_out_reward for one in steps))
    return {
        "Reward": [one for one in (reward, held_out) if _has_values(one)],
        "KL to the start (nats)": [LineSeries("KL", xs, tuple(one.kl for one in steps))],
        "Length (tokens)": [LineSeries("length", xs, tuple(one.length for one in steps))],
    }


def _rl_frame(index: int, name: str, lines: Sequence[LineSeries], n_per_step: int) -> Frame:
    told = [
        f"{line.name}: from {plain(ys[0])} to {plain(ys[-1])}"
        for line in lines
        if (ys := [y for y in line.ys if y is not None and math.isfinite(y)])
    ]
    return Frame(
        id=f"rl-{index}",
        title=f"{name} by step",
        desc=spoken(told),
        x_label="step",
        y_label=name,
        n=f"{N_IS}{count(n_per_step)} a step",
        width=320,
    )


def _has_values(line: LineSeries) -> bool:
    return any(y is not None and math.isfinite(y) for y in line.ys)
