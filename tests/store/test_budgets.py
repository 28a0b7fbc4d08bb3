"""A budget stops a run at the limit or within what is in flight, and a higher one goes on from there."""

import json
import random
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from publius.engines.protocol import Choice, Failure, ModelIdentity
from publius.pipeline.recipe import Recipe
from publius.records import canonical_json, encode
from publius.store import Budget, Journal, Price
from publius.store.journal import Row

from .small_run import attempt, calls_of, files_of, make_recipe

_PRICE = Price(input=1e5, output=3e5)
_N_BUDGETS = 100


class Spending(NamedTuple):
    """Calls, tokens and dollars of a journal, and of its dearest calls together."""

    calls: int
    tokens: int
    cost: float
    dearest_tokens: int
    dearest_cost: float


def spent(run: Path, n_dearest: int) -> Spending:
    results = [json.loads(result) for _, result in calls_of(run).values()]
    tokens = [result["prompt_tokens"] + result["completion_tokens"] for result in results]
    costs = [
        (result["prompt_tokens"] * _PRICE.input + result["completion_tokens"] * _PRICE.output) / 1e6
        for result in results
    ]
    dearest_tokens, dearest_cost = (sum(sorted(each)[-n_dearest:]) for each in (tokens, costs))
    return Spending(len(results), sum(tokens), sum(costs), int(dearest_tokens), dearest_cost)


@pytest.fixture(scope="module")
def unbroken(quick_folder: Path) -> tuple[Path, Recipe]:
    recipe = recipe_of(quick_folder, 64)
    assert attempt(recipe, quick_folder / "whole") == "done"
    return quick_folder, recipe


def recipe_of(folder: Path, look_ahead: int) -> Recipe:
    settings = ("revise.n_red_team=5", "revise.n_helpful=3", "revise.rounds=2")
    return make_recipe(folder, *settings, look_ahead=look_ahead)


@pytest.mark.parametrize("kind", ["calls", "tokens", "cost"])
def test_random_budgets_are_kept_and_raised(unbroken: tuple[Path, Recipe], kind: str) -> None:
    folder = unbroken[0]
    whole, run = folder / "whole", folder / "run"
    total = spent(whole, 1)
    for seed in range(_N_BUDGETS // 3 + 1):
        draw = random.Random(f"{kind}/{seed}")
        n_in_flight = draw.randint(1, 8)
        shutil.rmtree(run, ignore_errors=True)
        # the model and its options are the identity: what is in flight must not change it
        recipe = unbroken[1] if seed % 2 else recipe_of(folder, n_in_flight)
        n_in_flight = 64 if seed % 2 else n_in_flight
        before = 0.0
        for share in sorted(draw.uniform(0.02, 0.98) for _ in range(draw.randint(1, 3))):
            limit = share * getattr(total, kind)
            budget = Budget(
                max_calls=max(1, int(limit)) if kind == "calls" else None,
                max_tokens=int(limit) if kind == "tokens" else None,
                max_cost=limit if kind == "cost" else None,
            )
            ended, now = attempt(recipe, run, budget=budget), spent(run, n_in_flight)
            case = (seed, share, n_in_flight, now, budget)
            assert ended in ("BudgetReached", "done"), case
            assert getattr(now, kind) >= before, case
            before = getattr(now, kind)
            if kind == "calls":
                assert now.calls <= max(1, int(limit)), case
            elif kind == "tokens":
                assert now.tokens - now.dearest_tokens < int(limit) or now.tokens <= int(limit), case
            else:
                assert now.cost - now.dearest_cost < limit or now.cost <= limit, case
            if ended == "done":
                assert getattr(now, kind) == pytest.approx(getattr(total, kind)), case
            else:
                assert not (run / "stages/revise/manifest.json").exists(), case
        assert attempt(recipe, run) == "done"
        assert calls_results(run) == calls_results(whole)
        for name in ("chains.jsonl", "demonstrations.jsonl", "export/demonstrations.parquet"):
            path = f"stages/revise/{name}"
            assert (run / path).read_bytes() == (whole / path).read_bytes()


def calls_results(run: Path) -> list[tuple[str, str]]:
    return sorted(calls_of(run).values())


def test_a_price_is_not_lost_when_a_role_without_one_has_the_same_model(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, *(f"models.{role}.price={{}}" for role in ("feedback", "judge")))
    assert recipe.models.policy.price == _PRICE
    assert attempt(recipe, tmp_path / "run", budget=Budget(max_cost=0.5)) in ("BudgetReached", "DataError")


def test_an_exhausted_budget_makes_no_call(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path)
    assert attempt(recipe, tmp_path / "run", budget=Budget(max_calls=3)) == "BudgetReached"
    for _ in range(3):
        assert attempt(recipe, tmp_path / "run", budget=Budget(max_calls=3)) == "BudgetReached"
        assert len(calls_of(tmp_path / "run")) == 3
    assert attempt(recipe, tmp_path / "run", budget=Budget(max_calls=1000)) == "done"
    before = files_of(tmp_path / "run")
    assert attempt(recipe, tmp_path / "run", budget=Budget(max_calls=1)) == "done"  # nothing is asked
    assert files_of(tmp_path / "run") == before


def test_the_calls_of_votes_are_counted_whether_they_made_a_choice_or_not(tmp_path: Path) -> None:
    budget, model = Budget(max_calls=100), ModelIdentity("m", "name:m", "openai")
    answers = (
        Choice("a", (-0.1, -2.3), prompt_tokens=40, completion_tokens=8, n_calls=8, n_failed=1),
        Failure("b", "model", "none of 8 votes named one of the options", n_calls=8),
        Failure("c", "model", "the model refused"),
    )
    for answer in answers:
        budget.spend(answer, model)
    assert (budget.calls, budget.tokens) == (17, 48)
    with Journal(tmp_path / "j.sqlite") as journal:
        journal.put(
            Row(answer.request_id, "label/ask", "openai name:m", "{}", canonical_json(encode(answer)))
            for answer in answers
        )
        (spent,) = journal.spent()
    assert (spent.n_calls, spent.n_read, spent.n_written) == (17, 40, 8)
