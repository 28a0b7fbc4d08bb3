"""Show audits as pages: the label stage's own, and those of `publius audit`.

Paper: none. The page is `publius.report.audit_page`, the audit `publius.feedback.audit`: here they meet.
"""

from pathlib import Path

from publius.feedback.stage import AUDIT
from publius.records import decode
from publius.report.audit_page import render_audit
from publius.stats.audit import Audit, AuditReport
from publius.store import read_json, write_atomic

PAGE = "audit.html"


def write_page(report: AuditReport, path: Path) -> None:
    """Write an audit as one HTML page."""
    write_atomic(path, render_audit(report).encode("utf-8", "replace"))


def show_label_audit(folder: Path, *, source: str) -> None:
    """Write the page of the audit in a label stage's folder; nothing where the stage has not audited yet.

    `source` names the comparisons that the feedback model was audited on.
    """
    if (folder / AUDIT).exists():
        audit = decode(Audit, read_json(folder / AUDIT))
        write_page(AuditReport(source, audit.n + audit.n_unlabelled, (audit,)), folder / PAGE)
