"""Render the effects of principles: one HTML file in the report's style that loads nothing and runs nothing.

It stands in the folder of its records, so that every number of its tables leads to the file that it was
counted from: Elo to the verdicts, what becomes of labels to the votes, what models pick to their rewards. It
has no date: the same effects give the same bytes.

Paper: none; the estimators are `publius.feedback.effects`.
"""

from publius.report.effects_figures import (
    chance_sentences,
    effect_doubts,
    effect_sentences,
    effects_figure,
    pairs_figure,
    shown_pairs,
)
from publius.report.page import page_environment
from publius.stats.effects import EffectsReport

MOST_PAIRS = 120
"""Pairs of principles that the page lists at most besides those of which something was found."""


def render_effects(report: EffectsReport) -> str:
    """Return the effects of principles as one self-contained HTML page (UTF-8, no scripts, no requests)."""
    effects = report.effects
    pairs = shown_pairs(effects, MOST_PAIRS) if effects else []
    return (
        page_environment()
        .get_template("effects.html.j2")
        .render(
            report=report,
            effects=effects,
            found=effect_sentences(effects) if effects else [],
            chance=chance_sentences(effects) if effects else [],
            doubts=effect_doubts(report),
            moves=effects_figure(effects) if effects else None,
            against=pairs_figure([pair for _, pair in pairs]),
            pairs=pairs,
            numbers={one.principle_id: i for i, one in enumerate(effects.principles, start=1)}
            if effects
            else {},
        )
    )
