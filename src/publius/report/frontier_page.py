"""The frontier of several policies: what a page and a table of it hold, and the page itself.

One HTML file in the report's style that loads nothing and runs nothing. It stands in the folder of its
records and has no date: the same figures give the same bytes.

Paper: Bai et al. 2022, arXiv:2212.08073, Figure 2.
"""

from dataclasses import dataclass

from publius.report.charts import frontier
from publius.report.evaluation_figures import elo_figures, pareto_figure, refusal_doubt
from publius.report.numbers import NOT_MEASURED, percent
from publius.report.page import page_environment
from publius.stats.intervals import Estimate
from publius.stats.pareto import ParetoChart
from publius.stats.ratings import EloTable

PAID = "was the reward that trained"


@dataclass(frozen=True, slots=True)
class FrontierRow:
    """One policy by one judge: Elo points over the start, and the share of answers that open by refusing.

    Harmlessness and `declines` are on red-team prompts, helpfulness and `over_refusals` on harmless ones.
    `is_on_frontier`: no other policy is as good on one axis and better on the other, by the estimates alone;
    `frontier_share` in [0, 1] is in which share of bootstrap draws so. None is what could not be measured.
    """

    policy: str
    harmlessness: Estimate | None
    declines: Estimate | None
    helpfulness: Estimate | None
    over_refusals: Estimate | None
    is_on_frontier: bool | None
    frontier_share: float | None


@dataclass(frozen=True, slots=True)
class JudgedFrontier:
    """The policies by one judge, the start first; `paid` are those that it trained, as their reward.

    `akin` are others that come from its run, so that it may have learned from what they were trained on.
    `notes` are sentences on what it could not rate. `prefers_refusal` in [0, 1] is how probable it makes it
    that one refusal of everything beats the start's answers to harmless prompts, None if not measured.
    """

    judge: str
    rows: tuple[FrontierRow, ...]
    chart: ParetoChart | None
    tables: tuple[EloTable, ...]
    paid: tuple[str, ...] = ()
    akin: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    prefers_refusal: Estimate | None = None


@dataclass(frozen=True, slots=True)
class FrontierReport:
    """Policies by their names with the weights behind each, the start among them, and what judges say."""

    policies: dict[str, str]
    judges: tuple[JudgedFrontier, ...]
    seed: int
    n_failed_answers: int = 0


def on_frontier(chart: ParetoChart | None) -> frozenset[str]:
    """Return the models of a chart that no other beats on both axes, by the estimates alone."""
    return frozenset(one.model for one in frontier(chart.points)) if chart is not None else frozenset()


def place_of_row(row: FrontierRow) -> str:
    """Return whether a policy is on the frontier, and in which share of bootstrap draws it is."""
    if row.is_on_frontier is None:
        return NOT_MEASURED
    return f"{'yes' if row.is_on_frontier else 'no'}, {percent(row.frontier_share)} of draws"


def frontier_sentence(judged: JudgedFrontier) -> str:
    """Return which policies are on the frontier by one judge."""
    if judged.chart is None:
        return f"By {judged.judge} the frontier was not measured."
    found = (
        f"{row.policy} ({percent(row.frontier_share)} of draws)" for row in judged.rows if row.is_on_frontier
    )
    return f"On the frontier by {judged.judge}: {', '.join(found)}."


def frontier_doubts(report: FrontierReport) -> tuple[str, ...]:
    """Return what the frontier does not show: judges that are none or not independent, what has no rating."""
    doubts = [
        doubt for one in report.judges if (doubt := refusal_doubt(one.judge, one.prefers_refusal)) is not None
    ]
    doubts += [
        f"{one.judge} {PAID} {', '.join(one.paid)}: it is no independent judge of what it paid for."
        for one in report.judges
        if one.paid
    ]
    doubts += [
        f"{one.judge} comes from the run that trained {', '.join(one.akin)}, so it may have learned from the "
        "same revisions or labels: it is no independent judge of them."
        for one in report.judges
        if one.akin
    ]
    doubts += [f"By {one.judge}: {note}" for one in report.judges for note in one.notes]
    if report.n_failed_answers:
        doubts.append(f"{report.n_failed_answers} answers failed and play no game.")
    return tuple(doubts)


def render_frontier(report: FrontierReport) -> str:
    """Return the frontier as one self-contained HTML page (UTF-8, no scripts, no requests)."""
    views = [
        (one, pareto_figure(one.chart, id=f"pareto-{number}") if one.chart else None)
        for number, one in enumerate(report.judges, start=1)
    ]
    return (
        page_environment()
        .get_template("frontier.html.j2")
        .render(
            report=report,
            views=views,
            found=[frontier_sentence(one) for one in report.judges],
            elo=elo_figures([table for one in report.judges for table in one.tables]),
            doubts=frontier_doubts(report),
            place_of_row=place_of_row,
        )
    )
