"""Render the report: one HTML file that loads nothing, runs nothing, and holds all of its numbers.

Everything that the template prints goes through `_shown`: text is escaped and its invisible
characters are written out, None becomes "not measured"; so no field can be forgotten. The page's own
policy (`Content-Security-Policy`) forbids scripts and requests even if that failed.

Paper: none.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from publius.report import audit_figures, evaluation_figures, numbers, pm_figures, training_figures
from publius.report.data import LabelSummary, ReportData, StageSummary
from publius.report.examples import Answers, answer_views, chain_views, label_views
from publius.report.figure import Figure, cells
from publius.report.text import markup, visible

CHAINS_BUDGET = 900_000
ANSWERS_BUDGET = 300_000
LABELS_BUDGET = 60_000
"""Characters of HTML text of chains, sample answers and a round's pairs; a page stays near a megabyte."""

OPEN_CHAINS = 4
OPEN_PRINCIPLES = 5


def render_report(data: ReportData) -> str:
    """Return the report of a run as one self-contained HTML page (UTF-8, no scripts, no requests)."""
    statements = {p.id: p.statement for p in data.constitution.principles} if data.constitution else {}
    chains = data.revision.examples if data.revision else ()
    return (
        page_environment()
        .get_template("report.html.j2")
        .render(
            data=data,
            created=_date(data.created),
            pareto=evaluation_figures.pareto_figure(data.pareto) if data.pareto else None,
            most_principles=audit_figures.MOST_PRINCIPLES,
            labels=[_label_view(one, number) for number, one in enumerate(data.labels, start=1)],
            reliability=pm_figures.reliability_figure(data.pm) if data.pm else None,
            tricks=pm_figures.trick_figure(data.pm) if data.pm else None,
            curves=training_figures.rl_figure(data.rl) if data.rl else None,
            monitors=training_figures.monitor_figure(data.rl) if data.rl else None,
            elo=evaluation_figures.elo_figures(data.elo),
            judges=evaluation_figures.judges_figure(data.elo, data.ties),
            agreement=evaluation_figures.agreement_figures(data.agreement),
            measurements=evaluation_figures.measurement_figure(data.measurements),
            chains=chain_views(chains, statements=statements, budget=CHAINS_BUDGET),
            samples=answer_views(data.samples, budget=ANSWERS_BUDGET),
            shares=_time_shares(data.stages),
            open_chains=OPEN_CHAINS,
            open_principles=OPEN_PRINCIPLES,
        )
    )


@dataclass(frozen=True, slots=True)
class _LabelView:
    """One round's labels as the page shows them; `number` makes its ids, `drawn` counts pairs by origin."""

    number: int
    summary: LabelSummary
    found: str | None
    audit: Figure | None
    figure: Figure | None
    examples: Answers
    drawn: Counter[str]


def _label_view(labels: LabelSummary, number: int) -> _LabelView:
    audit = labels.audit
    return _LabelView(
        number,
        labels,
        audit_figures.audit_sentence(audit) if audit else None,
        audit_figures.accuracy_figure(audit, id=f"audit-{number}") if audit else None,
        training_figures.label_figure(labels, id=f"soft-labels-{number}"),
        label_views(labels.examples, budget=LABELS_BUDGET),
        Counter(item.origin for item in labels.examples),
    )


@cache
def page_environment() -> Environment:
    """Return what renders every page: the templates, their filters, and the escape of all that they print."""
    environment = Environment(
        loader=PackageLoader("publius.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    filters = cast(dict[str, Callable[..., str]], environment.filters)  # typed by what jinja ships
    filters |= {
        "cells": cells,
        "count": numbers.count,
        "plain": numbers.plain,
        "in_words": numbers.in_words,
        "duration": numbers.duration,
        "size": numbers.size,
        "visible": visible,  # for the page's title, which takes no markup
    }
    return environment


def _shown(value: object) -> Markup:
    """Return what the page prints for a value of the template."""
    if isinstance(value, Markup):
        return value
    return markup(numbers.NOT_MEASURED if value is None else str(value))


def _date(moment: datetime) -> str:
    utc = moment.astimezone(UTC)
    return f"{utc.day} {utc:%B %Y, %H:%M} UTC"


def _time_shares(stages: Sequence[StageSummary]) -> tuple[int | None, ...]:
    """Return each stage's time in percent of the longest stage's."""
    longest = max((stage.seconds for stage in stages if stage.seconds is not None), default=0)
    return tuple(
        None if stage.seconds is None or not longest else round(100 * stage.seconds / longest)
        for stage in stages
    )
