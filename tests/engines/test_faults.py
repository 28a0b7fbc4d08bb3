"""Every kind of upstream fault once, against the real engine over a real connection."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from .fault_catalogue import FAULTS, KINDS
from .fault_kinds import Kind
from .fault_run import run_kind
from .fault_server import FaultServer


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer(FAULTS) as started:
        yield started


def test_every_kind_of_question_has_its_kinds_of_fault():
    assert len(KINDS) == len({kind.name for kind in KINDS}) == 158
    numbers = Counter((kind.protocol, kind.asks) for kind in KINDS)
    assert min(numbers.values()) >= 12
    assert numbers["openai", "completion"] == 60
    assert set(numbers) == {
        *(("openai", asks) for asks in ("completion", "choice", "votes")),
        *(("anthropic", asks) for asks in ("completion", "votes")),
    }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_item_makes_the_calls_it_should_and_ends_as_it_must(server: FaultServer, kind: Kind):
    server.forget(kind.name)
    (outcome,) = run_kind(server, kind, n_items=1, seed=1)
    assert outcome.problem == ""
    assert outcome.calls_are_right, outcome


def test_the_harness_notices_what_is_not_as_the_policy_says(server: FaultServer):
    by_name = {kind.name: kind for kind in KINDS}
    wrong = [
        replace(by_name["status-500"], n_calls=5),
        replace(by_name["after-seconds"], wait_s=8.0),
        replace(by_name["after-seconds"], wait_s=1.0),
        replace(by_name["votes-one-500"], n_calls=8),
    ]
    for kind in wrong:
        server.forget(kind.name)
        assert not run_kind(server, kind, n_items=1)[0].calls_are_right
    for kind in (
        replace(by_name["html"], end="done"),
        replace(by_name["nul"], text="ab"),
        replace(by_name["choice-cut-list"], probs=(0.8, 0.2)),
        replace(by_name["votes-one-400"], n_failed=0),
    ):
        server.forget(kind.name)
        assert run_kind(server, kind, n_items=1)[0].problem
