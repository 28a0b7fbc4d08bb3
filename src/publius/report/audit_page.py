"""Render an audit: one HTML file in the report's style that loads nothing and runs nothing.

It has no date, so that the same audit gives the same bytes.

Paper: none; what it shows follows Bai et al. 2022, arXiv:2212.08073, §4.1.
"""

from dataclasses import dataclass

from publius.report import audit_figures
from publius.report.figure import Figure
from publius.report.page import page_environment
from publius.stats.audit import Audit, AuditReport
from publius.stats.panel import Panel


@dataclass(frozen=True, slots=True)
class _View:
    """One audit as the page shows it: its place in the page, its sentence, its figures."""

    id: str
    audit: Audit
    verdict: str
    form: str
    figures: tuple[Figure, ...]


def render_audit(report: AuditReport) -> str:
    """Return an audit as one self-contained HTML page (UTF-8, no scripts, no requests)."""
    views = [_view(audit, f"judge-{i}") for i, audit in enumerate(report.audits, start=1)]
    labels = [
        _view(audit.labels, f"labels-{i}", title=audit.judge)
        for i, audit in enumerate(report.audits, start=1)
        if audit.labels is not None
    ]
    panel = None if report.panel is None else audit_figures.panel_figure(report.panel, id="agreement")
    return (
        page_environment()
        .get_template("audit.html.j2")
        .render(
            report=report,
            views=views,
            labels=labels,
            order=audit_figures.order_figure(report.audits, id="order"),
            panel=panel,
            worth=_worth(report.panel),
            most_principles=audit_figures.MOST_PRINCIPLES,
        )
    )


def _view(audit: Audit, id: str, *, title: str = "") -> _View:
    made = (
        audit_figures.accuracy_figure(audit, id=f"{id}-accuracy"),
        audit_figures.order_figure([audit], id=f"{id}-order") if title else None,
        audit_figures.calibration_figure(audit.calibration, id=f"{id}-calibration")
        if audit.calibration
        else None,
        audit_figures.length_figure(audit, id=f"{id}-length"),
        audit_figures.principle_figure(audit, id=f"{id}-principles") if len(audit.principles) > 1 else None,
        audit_figures.panel_figure(audit.among_principles, id=f"{id}-among")
        if audit.among_principles and audit.among_principles.pairs
        else None,
    )
    form = ", ".join(f"{name} {value}" for name, value in audit.form.items())
    return _View(
        id, audit, audit_figures.audit_sentence(audit), form, tuple(one for one in made if one is not None)
    )


def _worth(panel: Panel | None) -> str:
    """Return how many judges a panel is worth, as a sentence; empty where there is no panel."""
    if panel is None:
        return ""
    if panel.effective is None:
        return "How many independent judges they are worth is not known."
    return (
        f"By their errors on {panel.n_effective:,} comparisons that all of them and people labelled, these "
        f"{len(panel.judges)} judges are worth {panel.effective:.1f} independent ones."
    )
