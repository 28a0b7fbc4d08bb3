"""Render the report: one HTML file that loads nothing, runs nothing, and holds all of its numbers.

Everything that the template prints goes through `_shown`: text is escaped and its invisible
characters are written out, None becomes "not measured"; so no field can be forgotten. The page's own
policy (`Content-Security-Policy`) forbids scripts and requests even if that failed.

Paper: none.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from publius.report import audit_figures, evaluation_figures, figure, numbers, pm_figures, training_figures
from publius.report.data import ReportData, StageSummary
from publius.report.examples import answer_views, chain_views
from publius.report.text import markup, visible

CHAINS_BUDGET = 900_000
ANSWERS_BUDGET = 300_000
"""Characters of HTML text for chains and for sample answers, so that a page stays near a megabyte."""

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
            audit=audit_figures.accuracy_figure(data.audit, id="audit") if data.audit else None,
            audit_found=audit_figures.audit_sentence(data.audit) if data.audit else None,
            most_principles=audit_figures.MOST_PRINCIPLES,
            labels=training_figures.label_figure(data.labels) if data.labels else None,
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
        "cells": figure.cells,
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
