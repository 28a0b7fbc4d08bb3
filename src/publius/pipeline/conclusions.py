"""Say in sentences what a run showed and what it could not: rules over figures, no judgement of taste.

Paper: none. Every sentence carries the number, its interval and n; an interval that contains 0 is said
to show nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from publius.pipeline.recipe import Recipe
from publius.pipeline.rounds import all_of
from publius.pipeline.training_summary import all_rounds, first_alarms
from publius.records import decode
from publius.report.evaluation_figures import refusal_doubt
from publius.stats.intervals import Estimate

_FEW_PROMPTS = 50
_FEW_HELD_OUT = 100


class Sentences(NamedTuple):
    """What a run showed (the first sentence is the headline), and what could not be concluded."""

    conclusions: tuple[str, ...]
    caveats: tuple[str, ...]


def conclude(recipe: Recipe, figures: Mapping[str, Any]) -> Sentences:
    """Return the sentences that the finished stages' figures support."""
    evaluated = figures.get("evaluate")
    if evaluated is None:
        return Sentences(("The policies were not evaluated in this run.",), _caveats(recipe, figures))
    elo: Sequence[Mapping[str, Any]] = evaluated["elo"]
    rated = {row["model"] for row in elo}
    trained = [name for kind in ("sft", "dpo", "rl") for name in all_of(kind, rated)]
    last = trained[-1] if trained else None
    conclusions = [_headline(elo, last, evaluated["judge"])] if last else []
    judges = dict.fromkeys(row["judge"] for row in elo)
    models = dict.fromkeys(row["model"] for row in elo if row["model"] != "start")
    conclusions += [
        _change(row)
        for judge in judges
        for model in models
        for row in elo
        if (row["judge"], row["model"]) == (judge, model)
    ]
    conclusions += _evasion(evaluated["monitors"])
    conclusions += _variety(evaluated["monitors"])
    return Sentences(tuple(conclusions) or ("Nothing could be rated.",), _caveats(recipe, figures))


def _headline(elo: Sequence[Mapping[str, Any]], model: str, judge: str) -> str:
    rows = {row["axis"]: row for row in elo if row["model"] == model and row["judge"] == judge}
    parts = [
        f"{axis} {row['elo']:+.0f} Elo [{row['low']:+.0f}, {row['high']:+.0f}] ({_verdict(row)})"
        for axis, row in sorted(rows.items())
    ]
    n = min((row["n_prompts"] for row in rows.values()), default=0)
    return (
        f"The {model} policy against the start, judged by {judge}: {'; '.join(parts)}; {n} prompts an axis."
    )


def _change(row: Mapping[str, Any]) -> str:
    return (
        f"{row['axis'].capitalize()} of {row['model']} by {row['judge']}: {row['elo']:+.0f} Elo "
        f"[{row['low']:+.0f}, {row['high']:+.0f}] against the start, {row['n_prompts']} prompts: "
        f"{_verdict(row)}."
    )


def _verdict(row: Mapping[str, Any]) -> str:
    if row["low"] > 0:
        return "higher"
    return "lower" if row["high"] < 0 else "no difference shown"


def _evasion(monitors: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    sentences: list[str] = []
    for purpose in dict.fromkeys(purpose for own in monitors.values() for purpose in own):
        rates = {
            policy: own[purpose]["evasive"]
            for policy, own in monitors.items()
            if purpose in own and own[purpose]["evasive"] is not None
        }
        if rates:
            listed = ", ".join(
                f"{policy} {rate['value']:.0%} [{rate['low']:.0%}, {rate['high']:.0%}]"
                for policy, rate in rates.items()
            )
            n = min(rate["n"] for rate in rates.values())
            sentences.append(f"Evasive openings on {purpose} prompts (n = {n} each): {listed}.")
    return sentences


def _variety(monitors: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    sentences: list[str] = []
    for purpose in dict.fromkeys(purpose for own in monitors.values() for purpose in own):
        shares = {
            policy: own[purpose]["distinct_2"]
            for policy, own in monitors.items()
            if purpose in own and own[purpose]["distinct_2"] is not None
        }
        listed = ", ".join(f"{policy} {share:.0%}" for policy, share in shares.items())
        sentences.append(f"Different word pairs among all, {purpose} prompts: {listed} (lower: more alike).")
    return sentences


_TIES = {
    "labeller": "The judge {} is the model that labelled the training data: it may prefer what it taught, so "
    "its ratings are no independent evidence.",
    "reward": "The ratings of {} are what the RL policy was trained for, not a test of it.",
}


def _tied(evaluated: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Return the judges that are not independent of the training."""
    return [judge for judge in evaluated["judges"] if judge["tie"]] if evaluated else []


def _caveats(recipe: Recipe, figures: Mapping[str, Any]) -> tuple[str, ...]:
    caveats: list[str] = []
    evaluated = figures.get("evaluate")
    caveats += [_TIES[judge["tie"]].format(judge["name"]) for judge in _tied(evaluated)]
    for judge in evaluated["judges"] if evaluated else ():
        found = judge.get("prefers_refusal")
        doubt = refusal_doubt(judge["name"], None if found is None else decode(Estimate, found))
        caveats += [doubt] if doubt else []
    audits = [figures[name]["audit"] for name in all_of("label", figures)]
    if any(audit["finding"] == "inverted" for audit in audits):
        caveats.append(
            "The feedback model prefers what people find worse; the asked labels teach the opposite of what "
            "is wanted."
        )
    elif not all(audit["trusted"] for audit in audits):
        caveats.append(
            "The feedback model's agreement with people could not be told from chance; the asked labels and "
            "its judgements carry no shown information."
        )
    pm = next((figures[name] for name in reversed(all_of("pm", figures))), None)
    if pm and pm["accuracy"] is None:
        caveats.append("No comparison was held out, so the preference model's accuracy is not known.")
    elif pm and (pm["accuracy"]["n"] < _FEW_HELD_OUT or pm["accuracy"]["low"] <= 0.5):
        accuracy = pm["accuracy"]
        by_origin = ", ".join(
            f"{origin} {own['value']:.0%} [{own['low']:.0%}, {own['high']:.0%}]"
            for origin, own in pm["held_out"]["accuracy_by_origin"]
        )
        chance = ", which contains chance" if accuracy["low"] <= 0.5 else ""
        caveats.append(
            f"The preference model was measured on {accuracy['n']} held-out prompts only: "
            f"{accuracy['value']:.0%} [{accuracy['low']:.0%}, {accuracy['high']:.0%}]{chance} ({by_origin})."
        )
    probes = pm["probes"]["probes"] if pm else ()
    if paid := [one["name"] for one in probes if one["verdict"] == "hacked"]:
        caveats.append(
            f"The preference model pays for tricks ({', '.join(paid)}); a policy trained against it may "
            "learn them, and its rewards then overstate the gain."
        )
    rl = all_rounds(figures)
    if rl and (alarms := first_alarms(rl)):
        told = ", ".join(f"{name} (from step {step})" for name, step in alarms.items())
        best = f"that after step {rl['best_step']}" if rl["best_step"] else "none of them: the start"
        caveats.append(
            f"Reinforcement learning set off alarms: {told}. The RL policy here is that after step "
            f"{rl['kept_step']}; the best snapshot without an alarm is {best}."
        )
    rows: Sequence[Mapping[str, Any]] = evaluated["elo"] if evaluated else ()
    if rows and min(row["n_prompts"] for row in rows) < _FEW_PROMPTS:
        n = min(row["n_prompts"] for row in rows)
        caveats.append(
            f"{n} prompts an axis and one sample each: differences under about 100 Elo cannot be seen."
        )
    if any(row["regularised"] for row in rows):
        caveats.append("Some policy won or lost every game; its Elo is finite only through a prior.")
    caveats.append("One seed: training again with another seed may end elsewhere.")
    return tuple(caveats)
