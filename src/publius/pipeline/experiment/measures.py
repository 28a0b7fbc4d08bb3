"""What several kinds of experiment measure of preference models, as tables with an arm a column.

Paper: arXiv:2310.13798, §3.1 (win rate: the harmless answer is rated above all others).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from publius.evaluate.suites.config import SuiteConfig
from publius.evaluate.suites.measure import chance_of, win_share
from publius.evaluate.suites.outcome import Outcome
from publius.feedback.relabel import label_movement
from publius.feedback.stage import PREFERENCES
from publius.pipeline.experiment.kind import Comparing
from publius.pipeline.suite import STAGE as SUITE
from publius.pipeline.suite import SuiteOrder, draw_questions, read_suite, run_suites
from publius.preference.loading import load_preference_model
from publius.preference.measure import measure_pairs, score_pairs
from publius.preference.stage import PREFERENCE_MODEL
from publius.records import ChoiceQuestion, Preference, is_held_back
from publius.report.comparison import Cell, Row, Table
from publius.sources import load_audit, load_questions
from publius.stats import Estimate
from publius.stats.group_mean import group_mean
from publius.stats.intervals import rate
from publius.store import read_records, write_records

PM_STAGE = "pm"
SCORE_RATE = 64e9
"""Parameters × tokens a second that a preference model reads in float32 on two cores (dev/LOG.md)."""
_JUDGE = "the arm's preference model"
_REWARDED = "Share of questions whose harmless answer gets the highest reward."


@dataclass(frozen=True)
class Asked:
    """How arms did: wins in [0, 1] by arm, set and question, and the file that holds an arm's outcomes.

    `constant`: the sets, by arm, to which its model gave (nearly) always one answer.
    """

    sets: Mapping[str, Sequence[ChoiceQuestion]]
    wins: Mapping[str, Mapping[str, Mapping[str, float]]]
    records: Mapping[str, str]
    constant: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def only(self, sets: Sequence[str]) -> "Asked":
        """Return the same of some sets."""
        wins = {arm: {name: own[name] for name in sets} for arm, own in self.wins.items()}
        return Asked({name: self.sets[name] for name in sets}, wins, self.records, self.constant)


def preference_model(comparing: Comparing, arm: str) -> Path:
    """Return the directory of an arm's preference model."""
    return comparing.arm(arm) / "stages" / PM_STAGE / PREFERENCE_MODEL


def ask_suites(comparing: Comparing, sets: Sequence[str], *, n: int) -> Asked:
    """Put sets to the preference model of every arm that has one; `n` questions of each (0: all)."""
    sets = tuple(dict.fromkeys(sets))
    drawn = {name: draw_questions(load_questions(name).questions, n, seed=comparing.seed) for name in sets}
    wins: dict[str, dict[str, dict[str, float]]] = {}
    records: dict[str, str] = {}
    constant: dict[str, tuple[str, ...]] = {}
    for arm in comparing.with_stage(PM_STAGE):
        order = SuiteOrder(
            sets, SuiteConfig(mode="pm"), pms=(preference_model(comparing, arm),), n=n, seed=comparing.seed
        )
        out = comparing.measure(f"suites-{arm}")
        run_suites(order, out, comparing.listener)
        file = out / "stages" / SUITE / "outcomes-1.jsonl"
        found = {(one.source, one.question_id): one for one in read_records(file, Outcome)}
        wins[arm] = {
            name: {
                question.id: share
                for question in questions
                if (share := win_share(question, found[name, question.id], "pm")) is not None
            }
            for name, questions in drawn.items()
        }
        records[arm] = comparing.link(file)
        (subject,) = read_suite(out).subjects
        constant[arm] = tuple(one.source for one in subject.sets if one.constant and one.constant.flagged)
    return Asked(drawn, wins, records, constant)


def constant_answers(asked: Asked) -> tuple[str, ...]:
    """Return in words which preference models hardly look at the questions."""
    return tuple(
        f"The preference model of {arm} prefers one and the same answer in {len(sets)} of "
        f"{len(asked.sets)} sets ({', '.join(sets)}): its share there is hardly about the questions."
        for arm, sets in asked.constant.items()
        if sets
    )


def win_rate_table(asked: Asked, *, id: str, title: str) -> Table | None:
    """Return win rates of arms on every set and their average, or None without a set."""
    if not asked.sets:
        return None
    rows = [
        Row(
            name,
            chance_of(questions),
            tuple(
                Cell(rate(sum(own[name].values()), len(own[name])), asked.records[arm])
                for arm, own in asked.wins.items()
            ),
        )
        for name, questions in asked.sets.items()
    ]
    chances = [row.chance for row in rows if row.chance is not None]
    average = tuple(
        Cell(_mean([list(each.values()) for each in own.values()]), asked.records[arm])
        for arm, own in asked.wins.items()
    )
    if len(rows) > 1:
        rows.append(Row(f"average of {len(rows)} sets", sum(chances) / len(chances), average))
    return Table(id, title, _REWARDED, _JUDGE, "share", "questions", tuple(asked.wins), tuple(rows))


def difference_table(groups: Mapping[str, Asked], *, base: str) -> Table | None:
    """Return how much more often each arm wins than `base` on the same questions, on average of sets."""
    wins = next(iter(groups.values())).wins
    others = tuple(arm for arm in wins if arm != base)
    if base not in wins or not others:
        return None
    rows = tuple(
        Row(
            name,
            0.0,
            tuple(Cell(_difference(asked, arm, base), asked.records[arm]) for arm in others),
        )
        for name, asked in groups.items()
        if asked.sets
    )
    return Table(
        "difference",
        f"Average win rate, difference from {base}",
        f"Share of harmless answers preferred less that of {base}, on the same questions.",
        "the arms' preference models",
        "share",
        "questions",
        others,
        rows,
        chance_is="no difference",
    )


def accuracy_table(comparing: Comparing, comparisons: Sequence[str]) -> Table | None:
    """Return how often preference models side with people, on comparisons that they were not trained on.

    Where an arm learned from people, all are measured on prompts that its training left out.
    """
    arms = comparing.with_stage(PM_STAGE)
    learned = any(comparing.recipes[arm].human_preferences for arm in arms)
    loaded = {spec: load_audit(spec) for spec in comparisons}
    found: dict[str, dict[str, Cell]] = {spec: {} for spec in comparisons}
    for done, arm in enumerate(arms):
        comparing.listener.on_progress("accuracy", arm, done, len(arms))
        model = load_preference_model(preference_model(comparing, arm))
        for spec, preferences in loaded.items():
            kept = [one for one in preferences if not learned or is_held_back(one.comparison.messages)]
            pairs = score_pairs(model, kept).pairs
            file = comparing.measure(f"accuracy-{arm}") / f"{_file_name(spec)}.jsonl"
            write_records(file, [pair._asdict() for pair in pairs])
            accuracy = measure_pairs(pairs).accuracy if pairs else None
            found[spec][arm] = Cell(accuracy, comparing.link(file))
    if not comparisons:
        return None
    rows = tuple(Row(spec, 0.5, tuple(own[arm] for arm in arms)) for spec, own in found.items())
    return Table(
        "people",
        "Accuracy on people's comparisons",
        "Share of comparisons in which the answer that people prefer gets the higher reward.",
        _JUDGE,
        "share",
        "prompts",
        arms,
        rows,
    )


def label_table(comparing: Comparing, *, base: str) -> Table | None:
    """Return how far labels agree with those of `base`, of arms that have the same pairs."""
    own = comparing.figures(base, "label")
    arms = [
        arm
        for arm in comparing.with_stage("label")
        if arm != base and own is not None and _pairs(comparing, arm) == own["pairs_hash"]
    ]
    if not arms:
        return None
    before = read_records(_labels(comparing, base), Preference)
    moved = {
        arm: label_movement(zip(before, read_records(_labels(comparing, arm), Preference), strict=True))
        for arm in arms
    }
    links = {arm: comparing.link(_labels(comparing, arm)) for arm in arms}
    rows = (
        Row("same side", 0.5, tuple(Cell(moved[arm].agreement, links[arm]) for arm in arms)),
        Row("distance of labels", None, tuple(Cell(moved[arm].distance, links[arm]) for arm in arms)),
    )
    return Table(
        "labels",
        f"Labels of the same pairs, against those of {base}",
        "Share of pairs with the same better answer, and the mean distance of the probabilities.",
        "the feedback model under each arm's constitution",
        "share",
        "prompts",
        tuple(arms),
        rows,
    )


def untrusted_labels(comparing: Comparing) -> tuple[str, ...]:
    """Return what to say of arms whose feedback model could not be told from chance."""
    found = {arm: comparing.figures(arm, "label") for arm in comparing.with_stage("label")}
    blind = [arm for arm, own in found.items() if own is not None and not own["audit"]["trusted"]]
    if not blind:
        return ()
    what = (
        "the feedback model's agreement with people could not be told from chance; its labels carry no shown"
    )
    return (f"{', '.join(blind)}: {what} information.",)


def _pairs(comparing: Comparing, arm: str) -> str:
    figures = comparing.figures(arm, "label")
    return "" if figures is None else figures["pairs_hash"]


def _labels(comparing: Comparing, arm: str) -> Path:
    return comparing.arm(arm) / "stages" / "label" / PREFERENCES


def _difference(asked: Asked, arm: str, base: str) -> Estimate | None:
    after, before = asked.wins[arm], asked.wins[base]
    return _mean(
        [[after[name][id] - before[name][id] for id in after[name] if id in before[name]] for name in after],
        low=-1.0,
    )


def _mean(groups: Sequence[Sequence[float]], *, low: float = 0.0) -> Estimate | None:
    """Return the mean of means of values in [`low`, 1] with an interval, None where a group has too few."""
    clusters = [{str(i): [value] for i, value in enumerate(group)} for group in groups]
    return group_mean(clusters, low=low, high=1.0, seed=0)


def _file_name(spec: str) -> str:
    return "".join(char if char.isalnum() else "-" for char in Path(spec).name)
