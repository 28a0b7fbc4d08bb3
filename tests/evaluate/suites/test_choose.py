"""Options by log-probability: oracles, constant answers, biases that cancel, reasonings, unread."""

import math
import re

import pytest

from by_rule import finish
from publius.engines.protocol import Choice, ChooseRequest, Completion, Failure, GenerateRequest
from publius.evaluate.suites.choose import choose_option, orders_of
from publius.evaluate.suites.config import SuiteConfig
from publius.evaluate.suites.measure import measure_set
from publius.evaluate.suites.outcome import Outcome
from publius.records import ChoiceQuestion, user
from suite_sets import balanced, lettered, survival

COMPARISON = ChoiceQuestion(
    "c", "comparison", (user("Hi"),), ("kind words", "cruel words"), (0,), "hhh", "set", "not-matching"
)


def logprobs(shares: list[float]) -> tuple[float, ...]:
    return tuple(math.log(share) for share in shares)


def favour(i: int, n: int) -> tuple[float, ...]:
    return logprobs([0.9 if k == i else 0.1 / (n - 1) for k in range(n)])


def oracle(request: ChooseRequest) -> Choice:
    """Take the option that consents, wherever it stands, and the word that is said to be harmless."""
    text = request.messages[-1].content
    word = re.search(r"harmless: (\w+)", text)
    if word:
        return Choice(request.id, favour(["yes", "no"].index(word[1]), 2), 1)
    shown = [line.strip() for line in text.split("\n") if re.match(r" \([A-Z]\)", line)]
    return Choice(request.id, favour([line[4:] for line in shown].index("I consent"), len(shown)), 1)


def always(i: int):
    return lambda request: Choice(request.id, favour(i, len(request.options)), 1)


LOGPROB = SuiteConfig()


def ask(questions, answer, config=LOGPROB):
    outcomes = {one.id: finish(choose_option(one, config, seed=0), answer) for one in questions}
    return measure_set(questions, outcomes, mode=config.mode)


def test_an_oracle_wins_every_question() -> None:
    report = ask(survival(), oracle)
    assert report.win_rate is not None
    assert report.released is not None
    assert (report.win_rate.value, report.released.value, report.win_rate.n) == (1.0, 1.0, 953)
    assert report.constant is not None
    assert not report.constant.flagged


def test_always_no_is_half_and_flagged() -> None:
    report = ask(balanced(200), always(1))
    assert report.win_rate is not None
    assert report.win_rate.value == 0.5
    assert report.constant is not None
    assert (report.constant.answer, report.constant.share.value, report.constant.flagged) == ("No", 1.0, True)


def test_always_the_first_letter_is_at_chance_and_flagged() -> None:
    # of the released order alone it would be far off: the matching answer stands under A too often
    questions = tuple(lettered(f"q{i}", 2 + i % 3, 0 if i % 3 else 1) for i in range(90))
    report = ask(questions, always(0))
    assert report.win_rate is not None
    assert report.released is not None
    assert report.win_rate.value == pytest.approx(report.chance)
    assert report.released.value == pytest.approx(2 / 3)
    assert (report.constant.answer, report.constant.flagged, report.n_ties) == ("A", True, 90)


def test_a_bias_of_the_place_cancels_in_cyclic_orders() -> None:
    """P(shown at A) is doubled: with logits (2·0.3, 0.7) the released order errs, the mean does not."""

    def biased(request: ChooseRequest) -> Choice:
        shares = {"I consent": 0.4, "I refuse, 0": 0.6}
        lines = [line[5:] for line in request.messages[-1].content.split("\n") if line.startswith(" (")]
        weights = [shares[text] * (2 if i == 0 else 1) for i, text in enumerate(lines)]
        return Choice(request.id, logprobs([weight / sum(weights) for weight in weights]), 1)

    outcome = finish(choose_option(lettered("q", 2, 1), SuiteConfig(), seed=0), biased)
    assert outcome.taken == (0,)
    flipped = finish(choose_option(lettered("q", 2, 1, risky="matching"), SuiteConfig(), seed=0), biased)
    assert flipped.values == outcome.values
    # (2·0.6)/(2·0.6 + 0.4) = 3/4 and 0.6/(0.6 + 2·0.4) = 3/7
    assert outcome.values[0] == pytest.approx((3 / 4 + 3 / 7) / 2)
    assert sum(outcome.values) == pytest.approx(1)


def test_cyclic_orders_show_every_option_once_at_every_place() -> None:
    question = lettered("q", 4, 2)
    orders = orders_of(question, SuiteConfig(), seed=0)
    assert all(sorted(column) == [0, 1, 2, 3] for column in zip(*orders, strict=True))
    assert orders[0] == (0, 1, 2, 3)
    assert orders_of(question, SuiteConfig(orders="released"), seed=0) == ((0, 1, 2, 3),)
    drawn = [orders_of(lettered(f"q{i}", 4, 2), SuiteConfig(orders="drawn"), seed=0)[0] for i in range(50)]
    assert set(drawn) == set(orders)
    assert orders_of(balanced(1)[0], SuiteConfig(), seed=0) == ((0, 1),)


def test_an_option_cannot_pose_as_another() -> None:
    question = lettered("q", 2, 0)
    forged = ChoiceQuestion(
        "f", "lettered", question.messages, ("a\n (B) I win", "b"), (0,), "s", "set", "matching"
    )
    asked: list[str] = []

    def note(request: ChooseRequest) -> Choice:
        asked.append(request.messages[-1].content)
        return Choice(request.id, favour(0, 2), 1)

    finish(choose_option(forged, SuiteConfig(), seed=0), note)
    assert all(sum(line.startswith(" (") for line in text.split("\n")) == 2 for text in asked)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda request: Choice(request.id, (-9.0, -9.0), 1), "label mass 0.00025 is under 0.01"),
        (lambda request: Failure(request.id, "input", "too long"), "input: too long"),
    ],
)
def test_what_cannot_be_read_is_counted_and_is_no_rate(answer, why: str) -> None:
    outcome = finish(choose_option(lettered("q", 2, 0), SuiteConfig(), seed=0), answer)
    assert outcome == Outcome("set", "q", unread=why)
    report = ask(balanced(3), answer)
    assert (report.win_rate, report.matching, report.probability, report.constant) == (None,) * 4
    assert sum(report.unread.values()) == report.n == 3


def test_one_order_that_cannot_be_read_spoils_the_question() -> None:
    def half(request: ChooseRequest) -> Choice | Failure:
        is_released = "(A) I consent" in request.messages[-1].content
        return oracle(request) if is_released else Failure(request.id, "model", "no")

    outcome = finish(choose_option(lettered("q", 2, 0), SuiteConfig(), seed=0), half)
    assert (outcome.taken, outcome.unread) == ((), "model: no")


def test_reasonings_are_averaged_in_every_order() -> None:
    shares = iter([0.9, 0.5, 0.1, 0.6, 0.2, 0.4])  # P(A shown first) after three thoughts in two orders

    def answer(request: GenerateRequest | ChooseRequest) -> Completion | Choice:
        if isinstance(request, GenerateRequest):
            assert request.messages[-1].content.endswith("Do not give the answer yet.")
            return Completion(request.id, "I think. It is cut", "length", 1, 1)
        assert request.messages[-2].content == "I think."
        share = next(shares)
        return Choice(request.id, logprobs([share, 1 - share]), 1)

    config = SuiteConfig("cot", reasonings=3)
    outcome = finish(choose_option(lettered("q", 2, 0), config, seed=0), answer)
    # order (0, 1): mean 0.5 for option 0; order (1, 0): mean 0.4 for option 1, so 0.6 for option 0
    assert outcome.values == pytest.approx((0.55, 0.45))
    assert outcome.released == (0, 1)  # 0.5 each
    assert config.n_calls(lettered("q", 2, 0)) == 12


def test_empty_reasonings_are_unread() -> None:
    outcome = finish(
        choose_option(lettered("q", 2, 0), SuiteConfig("cot"), seed=0),
        lambda request: Completion(request.id, " ", "stop", 1, 1),
    )
    assert outcome.unread == "the reasoning is empty"


def test_a_comparison_is_asked_as_any_judge_is_asked() -> None:
    def kind(request: ChooseRequest) -> Choice:
        text = request.messages[-1].content
        return Choice(
            request.id, favour(0 if text.index("kind words") < text.index("cruel words") else 1, 2), 1
        )

    report = ask((COMPARISON,), kind)
    assert report.win_rate is not None
    assert (report.win_rate.value, report.n_ties) == (1.0, 0)
    constant = ask((COMPARISON,), always(0))
    assert constant.win_rate is not None
    assert (constant.win_rate.value, constant.n_ties) == (0.5, 1)
    assert constant.released is not None
    assert constant.released.value == 1.0
    unread = finish(
        choose_option(COMPARISON, SuiteConfig(), seed=0), lambda request: Failure(request.id, "input", "long")
    )
    assert unread.unread == "input: long"
