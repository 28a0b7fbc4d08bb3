"""Measure how sycophantic models are, in a run directory: subjects, a judge, sets, and what it will cost.

The tests lie there as a stage of their own, `stages/sycophancy`. Subjects are roles of a recipe, registered
names or paths: a policy and its snapshots give a curve.

Paper: Sharma et al. 2023, arXiv:2310.13548, §3. The stage is `publius.evaluate.sycophancy.stage`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from publius import __version__
from publius.engines import check_engine, is_remote
from publius.engines.fetch import check_model
from publius.errors import DataError
from publius.evaluate.sycophancy.config import SycophancyConfig
from publius.evaluate.sycophancy.feedback import FORM
from publius.evaluate.sycophancy.figures import SycophancyReport
from publius.evaluate.sycophancy.items import Item, SureItem, test_of
from publius.evaluate.sycophancy.load import SHIPPED, LoadedItems, draw_items, load_items
from publius.evaluate.sycophancy.prompts import prompts_hash
from publius.evaluate.sycophancy.stage import REPORT, run_sycophancy
from publius.evaluate.sycophancy.suite import n_asked, n_chosen, n_judged
from publius.judge import claims_hash, templates_hash
from publius.pipeline.alone import Alone, Asked, OpenOrder, n_votes, open_order
from publius.pipeline.check import check_turns
from publius.pipeline.recipe import ModelRole, Recipe
from publius.pipeline.runner import Listener
from publius.records import content_hash, decode, encode, records_hash
from publius.store import (
    Budget,
    Journal,
    StageManifest,
    StageResult,
    StageStore,
    read_json,
)

STAGE = "sycophancy"
VOTES_TODO = "set options.votes = 8 for its role"
_TOKENS_PER_CHAR = 0.3
_JUDGED_TOKENS = 200  # instructions and worked examples, besides the texts


@dataclass(frozen=True, slots=True)
class SycophancyOrder:
    """Who is measured, by which judge, on which sets; `subjects` are (name, role), the first is the start."""

    recipe: Recipe
    subjects: tuple[tuple[str, ModelRole], ...]
    judge: ModelRole
    sources: tuple[str, ...]
    config: SycophancyConfig


@dataclass(frozen=True, slots=True)
class SycophancyPlan:
    """What an order will cost at most: calls, tokens read (roughly) and written, dollars."""

    sources: tuple[str, ...]
    subjects: tuple[str, ...]
    judge: str
    items: dict[str, int]
    calls_of_subjects: int
    calls_of_judge: int
    read_tokens: int
    written_tokens: int
    cost: float


def order_sycophancy(
    recipe: Recipe,
    config: SycophancyConfig,
    *,
    subjects: Sequence[str] = (),
    judge: str = "judge",
    sources: Sequence[str] = (),
) -> SycophancyOrder:
    """Return the order for subjects and a judge that are roles of the recipe, registered names or paths.

    Without subjects the policy is measured, without sources the shipped sets. A name is opened on the
    policy's engine (the judge's, for a judge), a directory of weights on the one for trained models. A model
    named twice is measured once.
    """
    models = recipe.models
    named = [(name, role_named(recipe, name, models.policy)) for name in subjects or ("policy",)]
    # reversed, so that of two names of one model the first stays
    once = {content_hash([role.engine, role.model, role.options]): name for name, role in reversed(named)}
    return SycophancyOrder(
        recipe,
        tuple((name, role) for name, role in dict(named).items() if name in once.values()),
        role_named(recipe, judge, models.judge),
        tuple(sources) or SHIPPED,
        config,
    )


def plan_sycophancy(order: SycophancyOrder) -> SycophancyPlan:
    """Return what an order will cost at most, after the checks that need no model.

    Raises:
        PubliusError: What `measure_sycophancy` would refuse at once.
    """
    items = _check(order).items
    asked = [_asked(items, role, order.config) for _, role in order.subjects]
    judged = len(asked) * n_votes(order.judge) * sum(map(n_judged, items))
    judge_read = judged * (_JUDGED_TOKENS + 2 * order.config.answer_tokens)
    prices = [role.price for _, role in order.subjects]
    costs = [
        one.read * price.input + one.written * price.output for one, price in zip(asked, prices, strict=True)
    ]
    costs.append(judge_read * order.judge.price.input + judged * order.judge.price.output)
    counts: dict[str, int] = {}
    for item in items:
        counts[test_of(item)] = counts.get(test_of(item), 0) + 1
    return SycophancyPlan(
        sources=order.sources,
        subjects=tuple(name for name, _ in order.subjects),
        judge=order.judge.model,
        items=counts,
        calls_of_subjects=sum(one.calls for one in asked),
        calls_of_judge=judged,
        read_tokens=sum(one.read for one in asked) + judge_read,
        written_tokens=sum(one.written for one in asked) + judged,
        cost=sum(costs) / 1e6,
    )


def measure_sycophancy(
    order: SycophancyOrder,
    out: Path,
    listener: Listener,
    *,
    budget: Budget | None = None,
    journal: Journal | None = None,
) -> StageManifest:
    """Carry out an order in the run directory `out` and return the manifest of its stage.

    `journal` is an experiment's: a subject of two orders is then asked once.

    Raises:
        PubliusError: Something is wrong; what was asked is kept, the same order goes on.
    """
    loaded = _check(order)
    roles = (*(role for _, role in order.subjects), order.judge)
    with open_order(STAGE, roles, out, listener, budget, recipe=order.recipe, journal=journal) as opened:
        return _run(order, loaded, opened)


def read_sycophancy(out: Path) -> SycophancyReport:
    """Return the report that lies in a run directory.

    Raises:
        StoreError: There is none, or it is damaged.
    """
    return decode(SycophancyReport, read_json(out / "stages" / STAGE / REPORT))


def role_named(recipe: Recipe, name: str, otherwise: ModelRole) -> ModelRole:
    """Return the role of a recipe, or that of a registered name or a path, opened as `otherwise` is."""
    played = recipe.models.named()
    if name in played:
        return played[name]
    if Path(name).is_dir():
        return ModelRole(name, recipe.models.trained_engine)
    return ModelRole(name, otherwise.engine, otherwise.options)


def check_roles(roles: Iterable[tuple[str, ModelRole]]) -> None:
    """Refuse roles whose engine or model is not there, or whose model knows no turns.

    Raises:
        PubliusError: What is wrong with which role.
    """
    for name, role in roles:
        check_engine(role.engine)
        if not is_remote(role.engine):
            check_model(role.model)
        check_turns(role, where=name, user="the sycophancy tests")


def _run(order: SycophancyOrder, loaded: LoadedItems, opened: OpenOrder) -> StageManifest:
    subjects = {name: opened.context.engine(role) for name, role in order.subjects}
    judge = opened.context.engine(order.judge)
    with_letters = any(isinstance(item, SureItem) and item.letters for item in loaded.items)
    abilities = ("generate", "choose")[: 1 + with_letters]
    asked = (
        *(Asked(role, subjects[name], abilities) for name, role in order.subjects),
        Asked(order.judge, judge, ("choose",)),
    )

    def work(store: StageStore) -> StageResult:
        report = run_sycophancy(
            store, order.config, loaded=loaded, sources=order.sources, subjects=subjects, judge=judge
        )
        return StageResult(rows=len(loaded.items) * len(subjects), figures={"sycophancy": encode(report)})

    wording = [prompts_hash(), claims_hash(), templates_hash(FORM)]
    told = [
        order.sources,
        loaded.left_out,
        order.config,
        [one.engine.model for one in asked],
        list(subjects),
    ]
    alone = Alone(
        STAGE,
        inputs=content_hash(
            [__version__, STAGE, records_hash(loaded.items), order.recipe.seed, wording, told]
        ),
        order=content_hash(order),
        asked=asked,
        seed=order.recipe.seed,
        votes=VOTES_TODO,
    )
    return opened.carry_out(alone, work)


def _check(order: SycophancyOrder) -> LoadedItems:
    """Return the items of an order, after everything that can be refused without a model."""
    check_roles((*order.subjects, ("judge", order.judge)))
    found = [load_items(spec) for spec in order.sources]
    left_out: dict[str, int] = {}
    for loaded in found:
        for reason, n in loaded.left_out.items():
            left_out[reason] = left_out.get(reason, 0) + n
    wanted = [item for loaded in found for item in loaded.items if test_of(item) in order.config.tests]
    if not wanted:
        tests = ", ".join(order.config.tests)
        raise DataError(f"there are no items for: {tests}", where=", ".join(order.sources))
    ids = [(test_of(item), item.id) for item in wanted]
    if len(set(ids)) < len(ids):
        twice = next(id for id in ids if ids.count(id) > 1)
        raise DataError(f"two items of the test {twice[0]!r} have the id {twice[1]!r:.80}", where="--on")
    return replace(
        found[0], items=draw_items(wanted, order.config.n, seed=order.recipe.seed), left_out=left_out
    )


class _Effort(NamedTuple):
    """What a subject is asked at most: calls, tokens read and written."""

    calls: int
    read: int
    written: int


def _asked(items: Iterable[Item], role: ModelRole, config: SycophancyConfig) -> _Effort:
    """Return what a subject is asked; a server that counts votes is asked for a letter several times."""
    calls = chars = written = 0
    for item in items:
        n = n_asked(item, confidence=config.confidence)
        n_more = (n_votes(role) - 1) * n_chosen(item)
        calls += n + n_more
        chars += (n + n_more) * _chars(item)
        written += n * config.answer_tokens + n_more
    return _Effort(calls, round(chars * _TOKENS_PER_CHAR), written)


def _chars(item: Item) -> int:
    """Return the characters of an item's prompt, of the longest where it has several."""
    prompts = getattr(item, "prompts", None) or {"": getattr(item, "messages", ())}
    return max(sum(len(message.content) for message in messages) for messages in prompts.values())
