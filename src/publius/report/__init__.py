"""The report: one self-contained HTML file that shows a run to someone who was not there.

`data` says what a report contains, `page.render_report` draws it; nothing here reads or writes
files. The other files: `text` (hostile text made visible), `numbers` (how numbers are written),
`svg` and `charts` (pictures), `figures` (a picture with caption and data table), `examples`
(chains as word diffs). The page loads nothing, runs no script, and reads well on paper.

Paper: none; the parts follow Bai et al. 2022, arXiv:2212.08073.
"""

from publius.report.data import (
    AuditSummary,
    EloTable,
    HistogramBin,
    KindAccuracy,
    LabelSummary,
    Measurement,
    ModelUse,
    OriginCount,
    ParetoChart,
    ParetoPoint,
    PMSummary,
    PolicyAnswer,
    PolicyValue,
    PrincipleLabels,
    PrincipleRevisions,
    ReportData,
    RevisionSummary,
    RLStep,
    RLSummary,
    SampleAnswers,
    StageSummary,
    Version,
)
from publius.report.page import render_report

__all__ = [
    "AuditSummary",
    "EloTable",
    "HistogramBin",
    "KindAccuracy",
    "LabelSummary",
    "Measurement",
    "ModelUse",
    "OriginCount",
    "PMSummary",
    "ParetoChart",
    "ParetoPoint",
    "PolicyAnswer",
    "PolicyValue",
    "PrincipleLabels",
    "PrincipleRevisions",
    "RLStep",
    "RLSummary",
    "ReportData",
    "RevisionSummary",
    "SampleAnswers",
    "StageSummary",
    "Version",
    "render_report",
]
