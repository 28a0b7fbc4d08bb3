"""Effects of principles for a report: figures, and sentences that say no more than the intervals do.

Paper: none. The estimators: `publius.feedback.effects`.
"""

from collections.abc import Sequence

from publius.report.charts import DotRow, Reference
from publius.report.dots import Part, dots_figure
from publius.report.figure import Figure
from publius.report.numbers import change, count, plain
from publius.stats.effects import EffectsReport, PrincipleEffect, PrincipleEffects, PrinciplePair, Retraining

_ZERO = Reference(0.0, "none")


def effects_figure(effects: PrincipleEffects, *, id: str = "effects") -> Figure | None:
    """Return what every principle moves on each axis; None where nothing was measured."""
    axes = list(dict.fromkeys(axis.axis for one in effects.principles for axis in one.axes))
    parts = [
        Part(
            axis.capitalize(),
            [
                DotRow(one.principle_id, own.sampled)
                for one in effects.principles
                for own in one.axes
                if own.axis == axis
            ],
            "elo",
            _ZERO,
            "Elo points with the principle − without",
        )
        for axis in axes
    ]
    note = (
        "What the labels pick with a principle against what they pick without it, an answer being picked "
        "with the probability that its label gives; 100 points are a win rate of 64%. "
        f"{chance_sentences(effects)[0]}"
    )
    return dots_figure(id, "What does each principle move?", parts, note=note)


def pairs_figure(pairs: Sequence[PrinciplePair]) -> Figure | None:
    """Return how the votes of two principles go together, in the order given; None without a pair."""
    beyond = [DotRow(_pair_name(pair), pair.beyond) for pair in pairs]
    whole = [DotRow(_pair_name(pair), pair.correlation) for pair in pairs]
    return dots_figure(
        "against",
        "Which votes go together?",
        [
            Part("Beyond the others", beyond, "number", _ZERO, "partial correlation of votes"),
            Part("Correlation", whole, "number", _ZERO, "correlation of votes"),
        ],
        note="Votes of two principles on the same answers, the most opposed first. Left of the dashed "
        "line they prefer different answers; beyond the others means with the mean of the other principles "
        "held fixed.",
    )


def sorted_pairs(effects: PrincipleEffects) -> list[tuple[str, PrinciplePair]]:
    """Return every two principles with what was found of them in words, the most opposed first."""
    of = {one.principle_id: one for one in effects.principles}

    def found(pair: PrinciplePair) -> str:
        left = of[pair.left]
        told = [
            word
            for word, others in (("pull against each other", left.pulls_against), ("repeat", left.repeats))
            if pair.right in others
        ]
        return ", ".join(told)

    pairs = sorted(effects.pairs, key=lambda pair: (pair.beyond or pair.correlation).value)
    return [(found(pair), pair) for pair in pairs]


def shown_pairs(effects: PrincipleEffects, most: int) -> list[tuple[str, PrinciplePair]]:
    """Return of `sorted_pairs` all of which something was found, and the first of the others up to `most`."""
    pairs = sorted_pairs(effects)
    room = most - sum(bool(found) for found, _ in pairs)
    others = [pair for found, pair in pairs if not found][: max(0, room)]
    return [(found, pair) for found, pair in pairs if found or pair in others]


def effect_sentences(effects: PrincipleEffects) -> list[str]:
    """Return a sentence for every principle that moves something, pulls against another or repeats one."""
    number = {one.principle_id: i for i, one in enumerate(effects.principles, start=1)}
    return [
        f"Principle {number[one.principle_id]} ({one.principle_id}) {', and '.join(told)}."
        for one in effects.principles
        if (told := _told(one, number))
    ]


def _told(one: PrincipleEffect, number: dict[str, int]) -> list[str]:
    moved = [
        f"{axis.axis} {change(axis.sampled, 'elo')}"
        for axis in one.axes
        if axis.sampled is not None and axis.sampled.excludes_zero
    ]
    told = [f"moves {' and '.join(moved)}"] if moved else []
    for verb, others in (("pulls against", one.pulls_against), ("repeats", one.repeats)):
        if others:
            told.append(f"{verb} {', '.join(f'{number[id]} ({id})' for id in others)}")
    return told


def chance_sentences(effects: PrincipleEffects) -> list[str]:
    """Return how many intervals exclude zero, and how many would if there were nothing to find."""
    moved, opposed = effects.moved, effects.opposed
    return [
        f"{moved.n_found} of {moved.n} intervals of effects exclude zero; "
        f"{plain(moved.by_chance, 2)} would by chance.",
        f"{opposed.n_found} of {opposed.n} pairs of principles pull against each other; "
        f"{plain(opposed.by_chance, 2)} would by chance.",
    ]


def effect_doubts(report: EffectsReport) -> list[str]:
    """Return what the effects do not show, a sentence each."""
    doubts = [
        f"{axis.capitalize()} is judged by the labeller's own weights: its effects show how far that model "
        "agrees with itself, not what a principle does."
        for axis in report.own_judge
    ]
    doubts += [
        f"{count(n)} of {count(report.n_pairs)} pairs have no verdict on {axis} and count for nothing there."
        for axis, n in report.n_unread.items()
        if n
    ]
    effects = report.effects
    if effects is None:
        return [*doubts, "What the principles move is not known."]
    if undecided := _undecided(effects):
        doubts.append(f"Not decided, since the interval includes zero: {undecided}.")
    if effects.moved.n_found:
        doubts.append(
            f"Which of the {count(effects.moved.n_found)} intervals that exclude zero do so by chance is not "
            f"known; {plain(effects.moved.by_chance, 2)} would."
        )
    doubts.append(
        "An effect is that of a principle beside all the others of this constitution, on these pairs of "
        "answers; what it would do alone, or to another policy's answers, was not measured."
    )
    return [*doubts, *_retraining_doubts(report.retraining)]


def _undecided(effects: PrincipleEffects) -> str:
    """Return on each axis the numbers of the principles whose effect is not told from zero."""
    open_ones: dict[str, list[str]] = {}
    for number, one in enumerate(effects.principles, start=1):
        for axis in one.axes:
            if axis.sampled is None or not axis.sampled.excludes_zero:
                open_ones.setdefault(axis.axis, []).append(str(number))
    return "; ".join(
        f"{axis} of {'principle' if len(own) == 1 else 'principles'} {', '.join(own)}"
        for axis, own in open_ones.items()
    )


def _retraining_doubts(check: Retraining | None) -> list[str]:
    if check is None:
        return ["Nothing was trained: that a model learns these effects is not shown."]
    doubts = [
        f"The effect of {one.principle_id} on {one.axis} "
        + (
            "is another in trained models than in labels."
            if one.finding == "disagree"
            else "was not decided by retraining."
        )
        for one in check.effects
        if one.finding != "agree"
    ]
    return [
        *doubts,
        "A policy was not trained; the models retrained are small preference models of one seed.",
    ]


def _pair_name(pair: PrinciplePair) -> str:
    return f"{pair.left} / {pair.right}"
