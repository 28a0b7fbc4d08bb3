"""Flows through the journal: each at its own pace, in order, nothing asked twice, failures accounted for."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from publius.engines.flow import Flow, ask
from publius.engines.protocol import (
    Answer,
    Capabilities,
    Completion,
    Failure,
    GenerateRequest,
    ModelIdentity,
    Request,
    Sampling,
)
from publius.engines.scripted import ScriptedEngine
from publius.errors import BudgetReached, EngineError
from publius.records import user
from publius.store import Budget, Journal, JournaledEngine, Price

SAMPLING = Sampling(8)


def request(id: str, text: str = "") -> GenerateRequest:
    return GenerateRequest(id, (user(text or id),), SAMPLING)


def steps(name: str, n: int) -> Flow[str]:
    """Ask `n` times, each time with the answer before."""
    text = name
    for i in range(n):
        answer = yield request(f"{name}/{i}", text)
        assert isinstance(answer, Completion)
        text = answer.text
    return text


class Slow:
    """An engine that answers one request of those in flight at a time, in a random order.

    Requests whose text begins with "bad" fail for the owner that follows: "bad engine …".
    """

    def __init__(self, look_ahead: int = 4, seed: int = 0) -> None:
        self.model = ModelIdentity("slow", "sha256:slow")
        self.capabilities = Capabilities(True, True, True, 1000, look_ahead=look_ahead)
        self.asked: list[str] = []
        self.most_in_flight = 0
        self.cancelled = 0
        self._random = random.Random(seed)
        self._in_flight: list[Request] = []

    def count_tokens(self, messages: object) -> int:
        return 1

    def submit(self, requests: Sequence[Request]) -> None:
        self.asked += [item.id for item in requests]
        self._in_flight += requests
        self.most_in_flight = max(self.most_in_flight, len(self._in_flight))

    def wait(self) -> Sequence[Answer]:
        if not self._in_flight:
            return ()
        item = self._in_flight.pop(self._random.randrange(len(self._in_flight)))
        text = item.messages[-1].content
        if text.startswith("bad"):
            return (Failure(item.id, text.split()[1], "no"),)
        return (Completion(item.id, f"<{text}>", "stop", 3, 2),)

    def cancel(self) -> None:
        self.cancelled += len(self._in_flight)
        self._in_flight.clear()

    def close(self) -> None:
        pass


@pytest.fixture
def journal(tmp_path: Path):
    with Journal(tmp_path / "journal.sqlite") as journal:
        yield journal


def test_results_come_in_order_though_answers_do_not(journal: Journal) -> None:
    engine = Slow(look_ahead=8)
    asker = JournaledEngine(engine, journal, step="s")
    got = list(asker.run(steps(f"f{i}", 1 + i % 3) for i in range(40)))
    assert got == ["<" * (1 + i % 3) + f"f{i}" + ">" * (1 + i % 3) for i in range(40)]
    assert engine.most_in_flight == 8
    # a chain that is ahead does not wait for the others' round
    assert engine.asked.index("f2/2") < engine.asked.index("f38/1")
    assert engine.asked.index("f2/2") < engine.asked.index("f39/0")


def test_the_engine_is_kept_full_until_the_flows_run_out(journal: Journal) -> None:
    engine = Slow(look_ahead=4)
    in_flight: list[int] = []
    wait = engine.wait
    engine.wait = lambda: (in_flight.append(len(engine._in_flight)), wait())[1]
    list(JournaledEngine(engine, journal, step="s").run(steps(f"f{i}", 2) for i in range(20)))
    assert set(in_flight[:-8]) == {4}


def test_nothing_is_asked_twice(journal: Journal) -> None:
    first, second = Slow(), Slow(seed=1)
    flows = [("a", 2), ("b", 3)]
    one = list(JournaledEngine(first, journal, step="s").run(steps(*flow) for flow in flows))
    two = list(JournaledEngine(second, journal, step="s").run(steps(*flow) for flow in flows))
    assert one == two
    assert len(first.asked) == 5
    assert second.asked == []
    list(JournaledEngine(second, journal, step="s").run([steps("a", 3)]))
    assert second.asked == ["a/2"]


def test_the_same_call_of_two_flows_is_one_call(journal: Journal) -> None:
    engine = Slow()
    assert (
        list(JournaledEngine(engine, journal, step="s").run(steps("a", 1) for _ in range(5))) == ["<a>"] * 5
    )
    assert engine.asked == ["a/0"]


def test_two_different_requests_of_one_id_are_refused(journal: Journal) -> None:
    def flow(text: str) -> Flow[Answer]:
        answer = yield request("same", text)
        return answer

    with pytest.raises(EngineError, match="'same'"):
        list(JournaledEngine(Slow(), journal, step="s").run([flow("one"), flow("two")]))
    with pytest.raises(EngineError, match="one id"):
        JournaledEngine(Slow(), journal, step="s").generate([request("same", "a"), request("same", "b")])


def test_an_upstream_failure_ends_the_step_when_all_else_is_answered_and_is_asked_again(
    journal: Journal,
) -> None:
    requests = [request(f"r{i}", "bad engine" if i in (3, 7) else "") for i in range(20)]
    engine = Slow()
    with pytest.raises(EngineError, match="2 of 20 requests failed in 's': no"):
        JournaledEngine(engine, journal, step="s").generate(requests)
    assert len(engine.asked) == 20
    again = Slow()
    with pytest.raises(EngineError, match="2 of 20"):
        JournaledEngine(again, journal, step="s").generate(requests)
    assert sorted(again.asked) == ["r3", "r7"]


@pytest.mark.parametrize(("owner", "n_asked"), [("model", 1), ("input", 2)])
def test_a_failure_of_one_item_goes_to_its_flow_and_the_models_is_kept(
    journal: Journal, owner: str, n_asked: int
) -> None:
    engine = Slow()
    for _ in range(2):
        answers = JournaledEngine(engine, journal, step="s").generate([request("r", f"bad {owner}")])
        assert answers == {"r": Failure("r", owner, "no")}
    assert len(engine.asked) == n_asked


def test_what_does_not_depend_on_each_other_is_asked_at_once(journal: Journal) -> None:
    def flow(name: str) -> Flow[tuple[str, ...]]:
        answers = yield tuple(request(f"{name}/{i % 3}", str(i % 3)) for i in range(4))
        return tuple(answer.text for answer in answers)

    engine = Slow(look_ahead=8)
    asker = JournaledEngine(engine, journal, step="s")
    assert list(asker.run(flow(name) for name in "ab")) == [("<0>", "<1>", "<2>", "<0>")] * 2
    assert engine.most_in_flight == 6  # the fourth is the first again
    assert len(engine.asked) == 6
    assert list(asker.run([flow("a")])) == [("<0>", "<1>", "<2>", "<0>")]
    assert len(engine.asked) == 6


def test_nothing_is_handed_out_after_a_failure_since_it_would_stand_at_the_wrong_place(
    journal: Journal,
) -> None:
    def flow(i: int) -> Flow[int]:
        yield request(f"r{i}", "bad engine" if i == 3 else "")
        return i

    got: list[int] = []
    with pytest.raises(EngineError, match="1 of 10 requests failed"):
        got += JournaledEngine(Slow(), journal, step="s").run(flow(i) for i in range(10))
    for i in JournaledEngine(Slow(), journal, step="s").run(flow(i) for i in range(3)):
        assert i in range(3)
    assert journal.count() == 9


def test_half_a_surrogate_pair_is_kept_as_a_question_mark_now_and_later(journal: Journal) -> None:
    class Odd(Slow):
        def wait(self) -> Sequence[Answer]:
            return tuple(replace(item, text="odd \ud800") for item in super().wait())

    for engine in (Odd(), Slow()):
        assert JournaledEngine(engine, journal, step="s").generate([request("a")])["a"].text == "odd ?"


def test_a_failing_cancel_does_not_hide_the_reason(journal: Journal) -> None:
    class Broken(Slow):
        def wait(self) -> Sequence[Answer]:
            raise KeyboardInterrupt

        def cancel(self) -> None:
            raise EngineError("cannot cancel")

    with pytest.raises(KeyboardInterrupt):
        JournaledEngine(Broken(), journal, step="s").generate([request("a")])


def test_an_abandoned_pass_cancels_what_is_in_flight(journal: Journal) -> None:
    engine = Slow(look_ahead=6)
    results = JournaledEngine(engine, journal, step="s").run(steps(f"f{i}", 1) for i in range(50))
    next(results)
    results.close()
    assert engine.cancelled > 0
    assert journal.count() == len(engine.asked) - engine.cancelled


def test_an_engine_that_falls_silent_or_answers_what_it_was_not_asked_is_told(journal: Journal) -> None:
    silent, wrong = Slow(), Slow()
    silent.wait = lambda: ()
    with pytest.raises(EngineError, match="gave no answer to 1 requests"):
        JournaledEngine(silent, journal, step="s").generate([request("a")])
    wrong.wait = lambda: (Completion("b", "?", "stop", 1, 1),)
    with pytest.raises(EngineError, match="not asked: 'b'"):
        JournaledEngine(wrong, journal, step="s").generate([request("a")])


def test_flows_are_opened_as_the_engine_has_room(journal: Journal) -> None:
    n_opened = 0

    def endless():
        nonlocal n_opened
        while True:
            n_opened += 1
            yield steps(f"f{n_opened}", 1)

    results = JournaledEngine(Slow(), journal, step="s").run(endless())
    assert next(results) == "<f1>"
    assert n_opened <= 4096
    results.close()


def test_progress_counts_calls(journal: Journal) -> None:
    seen: list[tuple[int, int]] = []
    asker = JournaledEngine(Slow(), journal, step="s", on_progress=lambda *pair: seen.append(pair))
    list(asker.run((steps(f"f{i}", 2) for i in range(3)), expected=5))
    assert (seen[0], seen[-1]) == ((0, 5), (6, 6))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize(
    ("budget", "most_calls"),
    [
        (Budget(max_calls=7), 7),
        (Budget(max_tokens=50), 10 + 4),  # 5 tokens a call, 4 in flight
        (Budget(max_cost=0.001, prices={"sha256:slow": Price(10.0, 35.0)}), 10 + 4),  # $0.0001 a call
    ],
)
def test_a_budget_stops_and_can_be_raised(journal: Journal, budget: Budget, most_calls: int) -> None:
    engine = Slow()
    requests = [request(f"r{i}") for i in range(40)]
    with pytest.raises(BudgetReached, match="budget is spent") as caught:
        JournaledEngine(engine, journal, step="s", budget=budget).generate(requests)
    assert caught.value.exit_code == 5
    assert len(engine.asked) <= most_calls
    assert journal.count() == len(engine.asked)  # what was in flight is kept
    (spent,) = journal.spent()
    assert (spent.n_calls, spent.n_read, spent.n_written) == (
        journal.count(),
        3 * journal.count(),
        2 * journal.count(),
    )
    more = Slow()
    assert len(JournaledEngine(more, journal, step="s").generate(requests)) == 40
    assert len(more.asked) + len(engine.asked) == 40


def test_ask_needs_no_journal() -> None:
    engine = Slow(look_ahead=3)
    answers = {answer.request_id for answer in ask(engine, (request(f"r{i}") for i in range(10)))}
    assert len(answers) == 10
    assert engine.most_in_flight == 3
    stopped = ask(engine, (request(f"q{i}") for i in range(10)))
    next(iter(stopped))
    stopped.close()
    assert engine.cancelled == 2


def test_a_run_that_is_all_in_the_journal_loads_no_engine(journal: Journal) -> None:
    first = JournaledEngine(ScriptedEngine(), journal, step="s").generate([request("a")])

    class Unloaded(ScriptedEngine):
        @property
        def capabilities(self) -> Capabilities:
            raise AssertionError("loaded")

    unloaded = Unloaded()
    assert JournaledEngine(unloaded, journal, step="s").generate([request("a")]) == first
    assert unloaded.asked == []
    with pytest.raises(AssertionError, match="loaded"):
        JournaledEngine(unloaded, journal, step="s").generate([request("b")])
