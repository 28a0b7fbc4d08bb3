"""The report: one self-contained HTML file that shows a run to someone who was not there.

`data` says what a report contains, `page.render_report` draws it; `audit_page.render_audit` draws an
audit alone, `effects_page.render_effects` the effects of principles, `frontier_page.render_frontier`
policies of several trainings, `card.render_card` the model card; nothing here reads or writes files. The
other files: `text` (hostile text made visible), `numbers` (how numbers are written), `svg` and `charts`
(pictures), the `figures` (a picture with caption and data table), `examples` (chains as word diffs). A page
loads nothing, runs no script, and reads well on paper.

Paper: none; the parts follow Bai et al. 2022, arXiv:2212.08073.
"""

from publius.report.audit_page import render_audit
from publius.report.card import BaseModel, CardKind, ModelCard, Rating, RewardPart, render_card
from publius.report.data import (
    HistogramBin,
    JudgeTie,
    LabelSummary,
    Measurement,
    ModelUse,
    MonitorCurve,
    MonitorPoint,
    OriginCount,
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
    TemperedError,
    TrickEffect,
    Version,
)
from publius.report.effects_page import render_effects
from publius.report.page import render_report

__all__ = [
    "BaseModel",
    "CardKind",
    "HistogramBin",
    "JudgeTie",
    "LabelSummary",
    "Measurement",
    "ModelCard",
    "ModelUse",
    "MonitorCurve",
    "MonitorPoint",
    "OriginCount",
    "PMSummary",
    "PolicyAnswer",
    "PolicyValue",
    "PrincipleLabels",
    "PrincipleRevisions",
    "RLStep",
    "RLSummary",
    "Rating",
    "ReportData",
    "RevisionSummary",
    "RewardPart",
    "SampleAnswers",
    "StageSummary",
    "TemperedError",
    "TrickEffect",
    "Version",
    "render_audit",
    "render_card",
    "render_effects",
    "render_report",
]
