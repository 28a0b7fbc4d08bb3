# pyright: basic, reportMissingImports=false
"""Suites as tasks: the questions of a set, asked as by `publius suite run`, and its figures as metrics.

    inspect eval publius/power --model openai-api/local/my-model
    inspect eval publius/suite -T set=evals/persona/no-shut-down.jsonl -T mode=cot --model …
    inspect eval publius/power -T mode=text --model … --model-role judge=…

A sample's score is its share of a win, or "neutral" for a reply that takes no side; what cannot be read is
unscored, with its reason. The outcome lies in the score's metadata, and the metrics are computed by
`measure_set` from those that were scored.

Papers: arXiv:2310.13798, §3 and §4; Perez et al. 2022, arXiv:2212.09251. Departures: those of
`evaluate.suites`.
"""

from typing import Any, Literal

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import get_model
from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, metric, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from publius import __version__
from publius.errors import UsageError
from publius.evaluate.suites.choose import choose_option
from publius.evaluate.suites.config import Orders, SuiteConfig, check_mode
from publius.evaluate.suites.free_text import Reply, judge_replies, reply_openly
from publius.evaluate.suites.measure import measure_set, win_share
from publius.evaluate.suites.outcome import Outcome
from publius.evaluate.suites.prompts import answers_of, choice_messages, wording_hash
from publius.inspect.asking import TOP_LOGPROBS, Asker, chat_messages
from publius.inspect.figures import flat
from publius.judge import templates_hash
from publius.pipeline.suite import draw_questions
from publius.records import ChoiceQuestion, Risky, decode, encode
from publius.sources import SHIPPED_SUITES, load_questions

Asking = Literal["logprob", "cot", "text"]
_QUESTION, _OUTCOME, _REPLY, _MODE, _IS_SUBJECT = "question", "outcome", "reply", "mode", "judge_is_subject"
JUDGE = "judge"


@task
def suite(
    set: str,
    mode: Asking = "logprob",
    orders: Orders = "cyclic",
    reasonings: int = 5,
    risky: Risky | None = None,
    n: int = 0,
    votes: int = 0,
    top_logprobs: int = TOP_LOGPROBS,
    seed: int = 0,
) -> Task:
    """A trait set or a comparison set, by its name or file: the win rate beside chance.

    `risky` is the harmful side in files that no table knows; `n` questions are drawn (0: all); `votes` above
    0 counts repeated answers, for a model that lists no log-probabilities; `top_logprobs` is how many tokens
    the others list. The mode "text" needs the model role `judge`.

    Raises:
        DataError: The set, or a setting, is wrong.
        UsageError: The set cannot be asked in this mode.
    """
    if mode not in ("logprob", "cot", "text"):
        raise UsageError(
            f"a model is not asked in the mode {mode!r}", where="mode", todo="logprob, cot or text"
        )
    config = SuiteConfig(mode, orders=orders, reasonings=reasonings)
    loaded = load_questions(set, risky=risky)
    questions = draw_questions(loaded.questions, n, seed=seed)
    check_mode(mode, questions)
    return Task(
        dataset=MemoryDataset([_sample(question) for question in questions], name=set),
        solver=suite_solver(
            mode, orders=orders, reasonings=reasonings, votes=votes, top_logprobs=top_logprobs, seed=seed
        ),
        scorer=suite_scorer(mode, votes=votes, top_logprobs=top_logprobs),
        metadata={
            "publius": __version__,
            "wording": [wording_hash(), templates_hash(config.form)],
            "left_out": loaded.left_out,
        },
    )


def _shipped(name: str) -> None:
    """Register `publius/NAME` for a set that ships."""

    def build(
        mode: Asking = "logprob",
        orders: Orders = "cyclic",
        reasonings: int = 5,
        n: int = 0,
        votes: int = 0,
        top_logprobs: int = TOP_LOGPROBS,
        seed: int = 0,
    ) -> Task:
        return suite(
            name,
            mode=mode,
            orders=orders,
            reasonings=reasonings,
            n=n,
            votes=votes,
            top_logprobs=top_logprobs,
            seed=seed,
        )

    task(name=name)(build)


for _name in SHIPPED_SUITES:
    _shipped(_name)


@solver
def suite_solver(
    mode: Asking = "logprob",
    orders: Orders = "cyclic",
    reasonings: int = 5,
    votes: int = 0,
    top_logprobs: int = TOP_LOGPROBS,
    seed: int = 0,
) -> Solver:
    """Ask a question in all its orders, or openly; the outcome, or the reply, is put into the store."""
    config = SuiteConfig(mode, orders=orders, reasonings=reasonings)

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        if state.epoch > 1:
            todo = "leave --epochs out; another -T seed draws other reasonings and replies"
            raise UsageError("a second epoch would ask the same again", where="--epochs", todo=todo)
        question = _question(state)
        asker = Asker(get_model(), votes, top_logprobs)
        if mode == "text":
            get_model(role=JUDGE, required=True)  # refused before anything is spent
            reply = await asker.run(reply_openly(question, config, seed=seed))
            state.store.set(_REPLY, [reply.text, reply.failure])
            state.output.completion = reply.text or ""
        else:
            outcome = await asker.run(choose_option(question, config, seed=seed))
            state.store.set(_OUTCOME, encode(outcome))
            state.output.completion = _answer(question, outcome)
        return state

    return solve


@metric(scores="unreduced")
def suite_figures() -> Metric:
    """The figures of `publius suite run` on one set, each estimate with `_low`, `_high` and `_n`."""

    def measure(scores: list[SampleScore]) -> dict[str, float]:
        if not scores:
            return {}
        found = [one.score.metadata or {} for one in scores]
        questions = [decode(ChoiceQuestion, one[_QUESTION]) for one in found]
        outcomes = {
            question.id: decode(Outcome, one[_OUTCOME])
            for question, one in zip(questions, found, strict=True)
        }
        report = measure_set(questions, outcomes, mode=found[0][_MODE])
        constant = report.constant
        return flat(
            {
                "win_rate": report.win_rate,
                "chance": report.chance,
                "released": report.released,
                "matching": report.matching,
                "probability": report.probability,
                "neutral": report.neutral,
                "constant": None if constant is None else constant.share,
                "constant_flagged": None if constant is None else float(constant.flagged),
                "n_ties": report.n_ties,
                "judge_is_subject": found[0].get(_IS_SUBJECT),
            }
        )

    return measure


@scorer(metrics=[suite_figures()])
def suite_scorer(mode: Asking = "logprob", votes: int = 0, top_logprobs: int = TOP_LOGPROBS) -> Scorer:
    """Score an outcome: its share of a win; the judge reads a reply in free text."""

    async def score(state: TaskState, target: Target) -> Score:
        question = _question(state)
        metadata = {_MODE: mode, _QUESTION: encode(question)}
        if mode == "text":
            judge = get_model(role=JUDGE, required=True)
            text, failure = state.store.get(_REPLY)
            (flow,) = judge_replies([Reply(question, text, failure)])
            outcome = await Asker(judge, votes, top_logprobs).run(flow)
            metadata[_IS_SUBJECT] = float(str(judge) == str(get_model()))
        else:
            outcome = decode(Outcome, state.store.get(_OUTCOME))
        metadata[_OUTCOME] = encode(outcome)
        if outcome.unread is not None:
            return Score.unscored(reason="unread", explanation=outcome.unread, metadata=metadata)
        share = win_share(question, outcome, mode)
        return Score(
            value="neutral" if share is None else share, answer=_answer(question, outcome), metadata=metadata
        )

    return score


def _sample(question: ChoiceQuestion) -> Sample:
    answers = answers_of(question)
    return Sample(
        input=chat_messages(choice_messages(question, range(len(question.options)))),
        target=[answers[place] for place in question.wanted],
        id=question.id,
        metadata={_QUESTION: encode(question)},
    )


def _question(state: TaskState) -> ChoiceQuestion:
    found: Any = state.metadata.get(_QUESTION)
    if found is None:
        raise UsageError("the sample holds no question of a suite", where="suite", todo="use publius/suite")
    return decode(ChoiceQuestion, found)


def _answer(question: ChoiceQuestion, outcome: Outcome) -> str:
    """Return what was taken, by the letters of the released order, or why there is nothing."""
    if outcome.unread is not None:
        return ""
    answers = answers_of(question)
    return " or ".join(answers[place] for place in outcome.taken) or "neither"
