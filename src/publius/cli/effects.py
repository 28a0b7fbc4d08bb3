"""`publius effects`: what does each principle of a run's constitution move, and against which others?

Paper: none. What it does: `publius.pipeline.effects`, `publius.feedback.effects`.
"""

import json
from pathlib import Path

import click

from publius.cli.display import Display
from publius.cli.options import asking_options
from publius.cli.text import columns, printable
from publius.errors import UsageError
from publius.pipeline.effects import PAGE, read_effects, run_effects
from publius.pipeline.effects_plan import STAGE, EffectsPlan, order_effects, plan_effects
from publius.records import encode
from publius.report.effects_figures import chance_sentences, effect_sentences
from publius.report.numbers import NOT_MEASURED, change, count, in_words, plain
from publius.stats.effects import EffectsReport, PrincipleEffects, Retraining
from publius.store import Budget

_FOUND = {"agree": "agree", "disagree": "DISAGREE", "undecided": "not decided"}


@click.command(
    epilog="Examples:\n\n  publius effects runs/demo --limit 40 --dry-run\n\n  publius effects runs/demo "
    "--confirm 2 --set pm.epochs=2\n\n  publius effects runs/demo --reward helpfulness=my-pm --json"
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--judge", default="judge", show_default=True, metavar="MODEL", help="Who judges the axes.")
@click.option(
    "--reward",
    "rewards",
    multiple=True,
    metavar="AXIS=DIR",
    help="A preference model in the judge's place: harmlessness=DIR or helpfulness=DIR.",
)
@click.option("--limit", type=click.IntRange(min=2), help="Draw N of the pairs.")
@click.option(
    "--confirm", type=click.IntRange(min=1), metavar="K", help="Retrain without the K largest, to check."
)
@click.option("--set", "settings", multiple=True, metavar="A.B=C", help="Change one setting of the recipe.")
@asking_options(plan="calls and trainings")
def effects(
    run: Path,
    judge: str,
    rewards: tuple[str, ...],
    limit: int | None,
    confirm: int | None,
    settings: tuple[str, ...],
    max_calls: int | None,
    max_tokens: int | None,
    max_cost: float | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    debug: bool,
) -> None:
    """Measure what each principle moves in RUN: its labels with and without it, judged on both axes.

    The feedback model votes under every principle on the pairs that RUN labelled under its constitution; what
    it was asked before is not asked again. --confirm K trains small preference models with and without.
    """
    del debug  # read by main
    order = order_effects(
        run,
        judge=judge,
        rewards=_rewards(rewards),
        n=limit or 0,
        n_confirm=confirm or 0,
        settings=settings,
    )
    if dry_run:
        plan = plan_effects(order)
        click.echo(json.dumps(encode(plan), indent=2) if as_json else printable(_plan_text(plan)))
        return
    with Display(quiet=quiet) as display:
        run_effects(order, display.listener(), budget=Budget(max_calls, max_tokens, max_cost))
    report, page = read_effects(run), run / "stages" / STAGE / PAGE
    for axis in report.own_judge:
        warning = f"{axis} is judged by the labeller's own weights: name another model with --judge"
        click.echo(printable(f"publius: warning: {warning}"), err=True)
    if as_json:
        click.echo(json.dumps({**encode(report), "page": str(page)}, indent=2))
    else:
        click.echo(printable(f"{report_text(report)}\n\n{page}".replace("\u00a0", " ")))


def report_text(report: EffectsReport) -> str:
    """Return the effects as lines of text: a table, what pulls against what, what chance would give."""
    judges = ", ".join(f"{axis} by {judge}" for axis, judge in report.judges.items())
    lines = [
        f"constitution {report.constitution!r}, {count(report.n_pairs)} pairs of {report.source}; "
        f"votes by {report.labeller}; {judges}"
    ]
    lines += [f"{axis}: {n} pairs without a verdict" for axis, n in report.n_unread.items() if n]
    if report.n_unparsed:
        lines.append(f"votes not read: {report.n_unparsed}")
        lines += [f"  {n:>6}  {reason}" for reason, n in report.unparsed.items()]
    if report.effects is None:
        return "\n".join([*lines, f"effects: {NOT_MEASURED}, no vote could be read"])
    lines += ["", *_table(report.effects), "", *effect_sentences(report.effects)]
    lines += chance_sentences(report.effects)
    if report.retraining is not None:
        lines += ["", *_retraining_lines(report.retraining)]
    return "\n".join(lines)


def _table(effects: PrincipleEffects) -> list[str]:
    axes = [one.axis for one in effects.principles[0].axes]
    rows = [["principle", *axes, "label moved by", "side changed", "pairs"]]
    for number, one in enumerate(effects.principles, start=1):
        moved = [change(axis.sampled, "elo").replace(" points", "") for axis in one.axes]
        flips = f"{one.flips.value:.1%}" if one.flips else NOT_MEASURED
        shift = plain(one.shift.value if one.shift else None, 2)
        rows.append([f"{number} {one.principle_id}", *moved, shift, flips, count(one.n)])
    title = "Elo points that a principle adds to what the labels pick (95 % interval over prompts)"
    return [title, *columns(rows)]


def _retraining_lines(found: Retraining) -> list[str]:
    rows = [["principle", "axis", "labels, all pairs", "labels, best of 2", "models, best of 2", "gap", ""]]
    for one in found.effects:
        numbers = (one.sampled, one.by_labels, one.by_models, one.gap)
        told = [change(number, "elo").replace(" points", "") for number in numbers]
        rows.append([one.principle_id, one.axis, *told, _FOUND[one.finding]])
    noise = "; ".join(f"{axis} {change(gain, 'elo')}" for axis, gain in found.noise.items())
    agreement = "whether the model of all principles agrees with the held-out labels was not measured"
    if found.accuracy is not None:
        share = in_words(found.accuracy, "share")
        agreement = f"the model of all principles agrees with the held-out labels on {share}"
    return [
        f"retrained on {count(found.n_train)} pairs ({count(found.steps)} steps each), best of 2 on "
        f"{count(found.n_held_out)} held-out pairs; {agreement}",
        *columns(rows),
        f"  another seed alone moves: {noise}",
        *([f"  {found.n_unscored} held-out pairs without a reward"] if found.n_unscored else []),
    ]


def _rewards(given: tuple[str, ...]) -> dict[str, Path]:
    named = [text.partition("=") for text in given]
    if any(not equals or not path for _, equals, path in named):
        raise UsageError("--reward reads AXIS=DIR", todo="--reward helpfulness=runs/demo/stages/pm/model")
    return {axis: Path(path) for axis, _, path in named}


def _plan_text(plan: EffectsPlan) -> str:
    trainings = f"; {plan.trainings} trainings of a preference model" if plan.trainings else ""
    return (
        f"{plan.n_pairs:,} pairs under {plan.n_principles} principles: at most "
        f"{plan.calls_of_labeller:,} calls of the labeller and {plan.calls_of_judge:,} of the judge"
        f"{trainings}; what was asked before costs nothing"
    )
