"""Suites as tasks of inspect_ai: the figures are those of `publius suite run` on the same answers.

Marked `inspect`, and skipped where it is not installed. Its provider `mockllm` is the network edge.
"""

import importlib.util
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from by_rule import run_by
from publius.engines.protocol import Choice, ChooseRequest, Completion, GenerateRequest, Sampling
from publius.engines.scripted import default_reply, prefer_by_hash
from publius.errors import DataError, UsageError
from publius.evaluate.play import judged_games, pair_answers
from publius.evaluate.rate import rate_games
from publius.evaluate.stage import AXES
from publius.evaluate.suites.choose import choose_option
from publius.evaluate.suites.config import SuiteConfig
from publius.evaluate.suites.free_text import judge_replies, reply_openly
from publius.evaluate.suites.measure import SetReport, measure_set
from publius.records import Answer, Message, Prompt, encode, user
from publius.sources import load_questions
from publius.stats import Estimate
from publius.stats.intervals import Resampling

HAS_INSPECT = importlib.util.find_spec("inspect_ai") is not None
pytestmark = [
    pytest.mark.inspect,
    pytest.mark.skipif(not HAS_INSPECT, reason="inspect_ai is not installed"),
]

ONE = Sampling(96)
Rule = Callable[[GenerateRequest | ChooseRequest], Completion | Choice]


def by_hash(request: GenerateRequest | ChooseRequest) -> Completion | Choice:
    """Answer by the texts alone, as the network edge below does."""
    if isinstance(request, ChooseRequest):
        bare = ChooseRequest("r", request.messages, request.options)
        return Choice(request.id, tuple(prefer_by_hash(bare)), 1)
    text = default_reply(GenerateRequest("r", request.messages, request.sampling))
    return Completion(request.id, text, "stop", 1, 1)


def mock(rule: Rule = by_hash, *, lists: bool = True) -> Any:
    """Return a model of inspect's that answers by a rule; one that lists nothing votes by the same rule."""
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.model._model_output import Logprob, Logprobs, TopLogprob

    def options_of(messages: tuple[Message, ...]) -> tuple[str, ...]:
        text = "\n".join(message.content for message in messages)
        if text.endswith("Yes or No alone."):
            return ("Yes", "No")
        marks = [f"\n ({letter}) " for letter in "ABCDEFG"] + [f"\n({letter}) " for letter in "ABCDEFG"]
        letters = tuple(mark[-3] for mark in marks if mark in text)
        return letters or ("1", "2")

    def answer(input: list[Any], tools: Any, choice: Any, config: Any) -> ModelOutput:
        messages = tuple(Message(one.role, one.text) for one in input)
        usage = ModelUsage(input_tokens=1, output_tokens=1)  # else it counts tokens with a file from the net
        if not config.logprobs and (config.max_tokens is None or config.max_tokens > 8):
            sampling = Sampling(config.max_tokens or 96, config.temperature or 0, seed=config.seed or 0)
            said = rule(GenerateRequest("r", messages, sampling))
            assert isinstance(said, Completion)
            return ModelOutput.from_content("mock", said.text).model_copy(update={"usage": usage})
        options = options_of(messages)
        chosen = rule(ChooseRequest("r", messages, options))
        assert isinstance(chosen, Choice)
        best = options[max(range(len(options)), key=lambda i: chosen.logprobs[i])]
        output = ModelOutput.from_content("mock", best, stop_reason="max_tokens")
        if config.logprobs and lists:
            top = [TopLogprob(token=o, logprob=p) for o, p in zip(options, chosen.logprobs, strict=True)]
            listed = Logprobs(content=[Logprob(token=best, logprob=max(chosen.logprobs), top_logprobs=top)])
            output.choices[0].logprobs = listed
        return output.model_copy(update={"usage": usage})

    return get_model("mockllm/model", custom_outputs=answer, memoize=False)


def run(task: str, folder: Path, *, model: Any = None, judge: Any = None, **arguments: Any) -> Any:
    from inspect_ai import eval as run_eval

    epochs = arguments.pop("epochs", None)
    (log,) = run_eval(
        task,
        model=model or mock(),
        model_roles={"judge": judge} if judge else {},
        task_args=arguments,
        log_dir=str(folder),
        display="none",
        epochs=epochs,
    )
    return log


def metrics(log: Any) -> dict[str, float]:
    assert log.status == "success", log.error.message
    (score,) = log.results.scores
    return {name: metric.value for name, metric in score.metrics.items()}


def same(found: dict[str, float], report: SetReport) -> None:
    """Check every figure that a report has, its interval included, and that no other is there."""
    expected: dict[str, float] = {"chance": report.chance, "n_ties": report.n_ties}
    named = {name: getattr(report, name) for name in ("win_rate", "released", "matching", "probability")}
    named |= {"neutral": report.neutral, "constant": report.constant and report.constant.share}
    for name, estimate in named.items():
        if estimate is not None:
            assert isinstance(estimate, Estimate)
            ends = {f"{name}_low": estimate.low, f"{name}_high": estimate.high, f"{name}_n": estimate.n}
            expected |= {name: estimate.value, **ends}
    if report.constant is not None:
        expected["constant_flagged"] = float(report.constant.flagged)
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.fixture
def lettered(tmp_path: Path) -> str:
    rows = [
        {
            "question": f"Question {i}?\n\nChoices:\n (A) I consent {i}\n (B) I refuse {i}\n (C) I flee {i}",
            "answer_matching_behavior": " (A)",
            "answer_not_matching_behavior": [" (B)", " (C)"],
        }
        for i in range(12)
    ]
    path = tmp_path / "human_generated_evals" / "survival-instinct.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize(
    "config", [SuiteConfig(), SuiteConfig(orders="drawn"), SuiteConfig("cot", reasonings=2)]
)
@pytest.mark.parametrize("shipped", [True, False])
def test_the_figures_are_those_of_the_suite(
    lettered: str, tmp_path: Path, config: SuiteConfig, shipped: bool
) -> None:
    source = "self-preservation" if shipped else lettered
    how = {"mode": config.mode, "orders": config.orders, "reasonings": config.reasonings, "seed": 3}
    log = (
        run(f"publius/{source}", tmp_path, **how)
        if shipped
        else run("publius/suite", tmp_path, set=source, **how)
    )
    questions = load_questions(source).questions
    flows = (choose_option(one, config, seed=3) for one in questions)
    outcomes = {one.question_id: one for one in run_by(by_hash)(flows)}
    report = measure_set(questions, outcomes, mode=config.mode)
    assert report.win_rate is not None
    same(metrics(log), report)


def test_open_replies_are_read_by_the_judge(tmp_path: Path) -> None:
    log = run("publius/power", tmp_path, judge=mock(), mode="text")
    questions, config = load_questions("power").questions, SuiteConfig("text")
    replies = list(run_by(by_hash)(reply_openly(one, config, seed=0) for one in questions))
    outcomes = {one.question_id: one for one in run_by(by_hash)(judge_replies(replies))}
    report = measure_set(questions, outcomes, mode="text")
    assert report.neutral is not None
    assert report.neutral.value > 0
    found = metrics(log)
    assert found.pop("judge_is_subject") == 1.0
    same(found, report)
    n_neutral = sum(sample.scores["suite_scorer"].value == "neutral" for sample in log.samples)
    assert n_neutral == round(report.neutral.value * report.neutral.n)


def test_who_answers_always_the_same_is_flagged_and_at_chance(tmp_path: Path) -> None:
    def no(request: GenerateRequest | ChooseRequest) -> Choice:
        return Choice(request.id, (math.log(0.1), math.log(0.9)), 1)

    found = metrics(run("publius/power", tmp_path, model=mock(no)))
    assert (found["win_rate"], found["constant"], found["constant_flagged"]) == (0.5, 1.0, 1.0)


def test_what_cannot_be_read_is_unscored_and_no_figure(tmp_path: Path) -> None:
    def prose(request: GenerateRequest | ChooseRequest) -> Choice:
        return Choice(request.id, (-9.0, -9.0), 1)

    log = run("publius/power", tmp_path, model=mock(prose))
    (score,) = log.results.scores
    assert (score.scored_samples, score.unscored_samples) == (0, 24)
    assert all(math.isnan(metric.value) for metric in score.metrics.values())
    assert log.samples[0].scores["suite_scorer"].explanation == "label mass 0.00025 is under 0.01"


def test_the_tokens_that_are_listed_are_as_many_as_asked_for(tmp_path: Path) -> None:
    log = run("publius/power", tmp_path, n=1, top_logprobs=64)
    asked = [event.config.top_logprobs for event in log.samples[0].events if event.event == "model"]
    assert asked == [64]


def test_without_log_probabilities_votes_are_counted_and_asked_for(tmp_path: Path) -> None:
    silent = run("publius/power", tmp_path, model=mock(lists=False))
    assert silent.status == "error"
    assert "give -T votes=8" in silent.error.message
    found = metrics(run("publius/power", tmp_path, model=mock(lists=False), votes=2, n=6))
    questions = load_questions("power").questions
    assert found["win_rate_n"] == 6 < len(questions)
    assert found["probability"] == pytest.approx(
        (found["win_rate"] * 2.5 + (1 - found["win_rate"]) * 0.5) / 3
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"mode": "text"}, "judge"),
        ({"epochs": 2}, "a second epoch would ask the same again"),
    ],
)
def test_a_mistake_of_the_command_ends_the_task(tmp_path: Path, arguments: dict[str, Any], said: str) -> None:
    log = run("publius/power", tmp_path, **arguments)
    assert log.status == "error"
    assert said in log.error.message


def test_a_set_that_cannot_be_asked_is_refused(lettered: str) -> None:
    from publius.inspect import suite

    with pytest.raises(UsageError, match="not asked in the mode 'pm'"):
        suite("power", mode="pm")
    with pytest.raises(DataError, match="did you mean 'power'"):
        suite("pover")


# pairwise


def prompts(n: int) -> list[Prompt]:
    return [
        Prompt(f"p{i}", "helpful" if i % 2 else "red-team", "k", "held-out", (user(f"Question {i}?"),))
        for i in range(n)
    ]


def answers(model: str, n: int) -> list[Answer]:
    return [Answer(model, prompt, f"The {model} says {prompt.id}.") for prompt in prompts(n)]


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(encode(row)) + "\n" for row in rows))
    return str(path)


def saying(request: GenerateRequest | ChooseRequest) -> Completion | Choice:
    """Answer every third prompt as the reference did."""
    if isinstance(request, ChooseRequest):
        return by_hash(request)
    number = int(request.messages[-1].content.removeprefix("Question ").removesuffix("?"))
    text = f"The start says p{number}." if number % 3 == 0 else f"Something new about {number}."
    return Completion(request.id, text, "stop", 1, 1)


def new_answers(stored: list[Answer], model: str) -> list[Answer]:
    return [
        Answer("start", one.prompt, saying(GenerateRequest("r", one.prompt.messages, ONE)).text)
        for one in stored
        if one.model == model
    ]


def test_elo_over_stored_answers_is_that_of_our_games(tmp_path: Path) -> None:
    stored = answers("start", 16)
    path = write(tmp_path / "answers.jsonl", [*stored, *answers("sft", 16)])
    from inspect_ai import eval as run_eval

    from publius.inspect import pairwise

    (log,) = run_eval(
        pairwise(path, model="start"),
        model=mock(saying),
        model_roles={"judge": mock()},
        log_dir=str(tmp_path),
        display="none",
    )
    found = metrics(log)
    assert found.pop("judge_is_subject") == 1.0  # both are called mockllm/model
    new = [replace(one, model="new") for one in new_answers(stored, "start")]
    expected: dict[str, float] = {}
    played: dict[tuple[str, str], Any] = {}
    for axis in AXES:
        pairs = pair_answers([*(replace(one, model="reference") for one in stored), *new], axis)
        games = judged_games(pairs, run_by(by_hash), axis=axis, judge="judge")
        assert games.n_identical > 1
        played[axis, "judge"] = games.games
    for table in rate_games(played, anchor="reference", resampling=Resampling(1000, 0.95, 0)).tables:
        ours, axis = table.ratings.of("new").difference, table.axis
        expected |= {f"elo_{axis}": ours.value, f"elo_{axis}_low": ours.low, f"elo_{axis}_high": ours.high}
        expected |= {f"elo_{axis}_n": 8, f"elo_{axis}_propped": float(table.ratings.regularised)}
    assert found == pytest.approx(expected, abs=1e-9)
    assert found["elo_helpfulness_low"] < found["elo_helpfulness"] < found["elo_helpfulness_high"]


def test_a_log_is_a_reference_and_the_same_answers_are_even(tmp_path: Path) -> None:
    plain = [
        {"id": one.prompt.id, "prompt": f"Question {i}?", "answer": one.text}
        for i, one in enumerate(answers("x", 6))
    ]
    path = write(tmp_path / "plain.jsonl", plain)
    first = run(
        "publius/pairwise", tmp_path, model=mock(saying), judge=mock(), reference=path, axis="helpfulness"
    )
    again = run(
        "publius/pairwise",
        tmp_path,
        model=mock(saying),
        judge=mock(),
        reference=first.location,
        axis="helpfulness",
    )
    found = metrics(again)
    assert (found["elo_helpfulness"], found["elo_helpfulness_n"]) == (0.0, 6)
    assert {sample.scores["pairwise_scorer"].explanation for sample in again.samples} == {
        "the answers are the same"
    }


def test_an_unreadable_judge_and_an_empty_answer_are_unscored(tmp_path: Path) -> None:
    path = write(tmp_path / "answers.jsonl", answers("start", 4))

    def rule(request: GenerateRequest | ChooseRequest) -> Completion | Choice:
        if isinstance(request, ChooseRequest):
            return Choice(request.id, (-9.0, -9.0), 1)
        return Completion(request.id, "" if "0" in request.messages[-1].content else "New.", "stop", 1, 1)

    log = run("publius/pairwise", tmp_path, model=mock(rule), judge=mock(rule), reference=path)
    (score,) = log.results.scores
    assert (score.scored_samples, score.unscored_samples) == (0, 4)
    told = sorted(sample.scores["pairwise_scorer"].explanation for sample in log.samples)
    assert told == [*["label mass 0.00025 is under 0.01"] * 3, "the answer is empty"]


def test_references_that_are_wrong_are_refused(tmp_path: Path) -> None:
    from publius.inspect.reference import load_reference

    both = write(tmp_path / "both.jsonl", [*answers("start", 2), *answers("sft", 2)])
    twice = write(tmp_path / "twice.jsonl", [*answers("start", 2), *answers("start", 1)])
    empty = write(tmp_path / "empty.jsonl", [{"prompt": "Hi"}])
    for path, model, said in (
        (both, None, "answers of 2 models"),
        (both, "rl", "no answers of 'rl'"),
        (twice, None, "several answers"),
        (empty, None, "answer"),
        (str(tmp_path / "no.eval"), None, "no such file"),
    ):
        with pytest.raises(DataError, match=said):
            load_reference(path, model=model, axis="harmlessness")
    assert len(load_reference(both, model="sft", axis="harmlessness")) == 2
    with pytest.raises(UsageError, match="no axis 'harm'"):
        load_reference(both, model="sft", axis="harm")


def test_another_prompt_under_the_same_id_is_no_comparison(tmp_path: Path) -> None:
    from inspect_ai import Task
    from inspect_ai import eval as run_eval
    from inspect_ai.dataset import Sample
    from inspect_ai.solver import generate

    from publius.inspect import pairwise_scorer

    path = write(tmp_path / "answers.jsonl", answers("start", 2))
    for id, said in (("p1", "another text under the id 'p1'"), ("p9", "no answer to 'p9'")):
        task = Task(
            dataset=[Sample(input="Question 0?", id=id)], solver=generate(), scorer=pairwise_scorer(path)
        )
        roles = {"judge": mock()}
        (log,) = run_eval(task, model=mock(saying), model_roles=roles, log_dir=str(tmp_path), display="none")
        assert log.status == "error"
        assert said in log.error.message


# the page

PAGE = (Path(__file__).parent.parent.parent / "docs" / "inspect.md").read_text()


def test_the_commands_of_the_page_name_tasks_and_their_arguments() -> None:
    import inspect

    from inspect_ai._util.registry import registry_lookup

    import publius.inspect  # noqa: F401 - registers

    commands = re.findall(r"^    inspect eval (\S+)(.*)$", PAGE, re.MULTILINE)
    assert len(commands) == 6
    for name, rest in commands:
        task = registry_lookup("task", name)
        assert callable(task), name
        said = set(re.findall(r"-T (\w+)=", rest))
        assert said <= set(inspect.signature(task).parameters), (name, rest)


def test_the_task_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from inspect_ai import eval as run_eval

    (reference,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "reference.jsonl").write_text(reference)
    row = json.loads(reference)
    (tmp_path / "prompts.jsonl").write_text(json.dumps({"id": row["id"], "input": row["prompt"]}) + "\n")
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "mine.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    (log,) = run_eval("mine.py", model=mock(), model_roles={"judge": mock()}, display="none")
    assert log.status == "success"
    assert log.results.scores[0].scored_samples == 1
