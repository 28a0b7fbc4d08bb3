"""Run a proposal in a directory of its own: prompts or traits from a model, after seeds.

A proposal is no stage of a recipe, since its prompts are read by people before a run learns from them. Its
directory is a run directory all the same: killed and started again it goes on, and the same order given
again does nothing.

Paper: none. The stage is `publius.propose.stage`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from publius import __version__
from publius.constitution import load_constitution
from publius.constitution.checks import slug
from publius.engines import check_engine, is_remote
from publius.engines.fetch import check_model
from publius.engines.protocol import Engine
from publius.errors import DataError, UsageError
from publius.pipeline.alone import Alone, Asked, OpenOrder, open_order
from publius.pipeline.check import check_turns
from publius.pipeline.recipe import ModelRole
from publius.pipeline.runner import Listener
from publius.pipeline.settings import read_settings
from publius.propose.config import Kind, ProposeConfig
from publius.propose.files import read_traits
from publius.propose.prompts import template_hash
from publius.propose.proposal import Trait
from publius.propose.stage import run_propose_prompts, run_propose_statements, run_propose_traits
from publius.propose.statement_prompts import statement_template_hash
from publius.propose.trait_prompts import shipped_traits, trait_template_hash
from publius.records import ChoiceQuestion, Prompt, Risky, content_hash, decode, encode
from publius.sources import SHIPPED_SUITES, load_prompts, load_questions
from publius.sources.polarity import POLARITY, parse_name
from publius.store import (
    Budget,
    Price,
    StageManifest,
    StageResult,
    StageStore,
)

STAGE = "propose"
_SHIPPED_SEEDS: dict[Kind, str] = {"red-team": "red_team", "helpful": "helpful", "trait": "traits"}
_JUDGED = ("new-trait", "evals")  # kinds that a judge sifts


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted, after what, from whom.

    `seeds` and `avoid` are prompt sources (`load_prompts`). For new traits `seeds` are `traits.jsonl` files
    and `avoid` constitutions, whose sets name traits; `traits` are constitutions too: for trait prompts,
    the sets to ask for beside the kinds of the seeds. No seeds stand for the shipped ones. For statements
    `seeds` are yes-no sets (`load_questions`), by default the shipped one of the `behaviour`'s name.
    """

    config: ProposeConfig
    model: ModelRole
    judge: ModelRole
    seeds: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    traits: tuple[str, ...] = ()
    behaviour: str = ""


@dataclass(frozen=True, slots=True)
class OrderSources:
    """What an order names, loaded: all of it in memory, since every candidate is held against every text."""

    prompts: tuple[Prompt, ...] = ()
    avoid_prompts: tuple[Prompt, ...] = ()
    topics: tuple[str, ...] = ()
    traits: tuple[Trait, ...] = ()
    avoid_names: tuple[str, ...] = ()
    questions: tuple[ChoiceQuestion, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderSettings:
    """What `key=value` settings say: the config, the engine's options, and what a million tokens cost.

    `price` is the writer's, `judge_price` the judge's; None where nothing was said.
    """

    config: ProposeConfig
    options: dict[str, Any]
    price: Price | None = None
    judge_price: Price | None = None


def configure(kind: Kind, n: int | None, settings: Sequence[str]) -> OrderSettings:
    """Return what settings say: fields of the config, `options.NAME`, `price.input`, `judge_price.output`.

    Raises:
        DataError: A key is unknown, or a value is wrong.
    """
    said = read_settings(settings, known={item.name for item in fields(ProposeConfig)} - {"kind"})
    table = {"kind": kind} | ({} if n is None else {"n": n}) | said.fields
    config = decode(ProposeConfig, {**encode(ProposeConfig()), **table})
    return OrderSettings(config, said.options, said.price, said.judge_price)


def run_proposal(
    order: Order, out: Path, listener: Listener, *, budget: Budget | None = None
) -> StageManifest:
    """Carry out an order in the directory `out` and return the manifest of what was made.

    Raises:
        PubliusError: Something is wrong; what was finished is kept, the same order goes on.
    """
    sources = check_order(order)
    with open_order(STAGE, _roles(order), out, listener, budget) as opened:
        return _run(order, sources, opened)


def _run(order: Order, sources: OrderSources, opened: OpenOrder) -> StageManifest:
    config = order.config
    model, judge = opened.context.engine(order.model), opened.context.engine(order.judge)
    inputs = _inputs(order, sources, model, judge)
    judges = (Asked(order.judge, judge, ("choose",)),) if config.kind in _JUDGED else ()
    alone = Alone(
        STAGE,
        inputs,
        order=content_hash(order),
        asked=(*judges, Asked(order.model, model, ("generate",))),
        seed=config.seed,
        votes="--set options.votes=8",
    )
    return opened.carry_out(alone, lambda store: _propose(store, order, sources, model=model, judge=judge))


def _propose(
    store: StageStore, order: Order, sources: OrderSources, *, model: Engine, judge: Engine
) -> StageResult:
    config = order.config
    if config.kind == "evals":
        return run_propose_statements(
            store, config, behaviour=order.behaviour, seeds=sources.questions, model=model, judge=judge
        )
    if config.kind == "new-trait":
        return run_propose_traits(
            store, config, seeds=sources.traits, avoid=sources.avoid_names, model=model, judge=judge
        )
    return run_propose_prompts(
        store,
        config,
        seeds=sources.prompts,
        avoid=sources.avoid_prompts,
        topics=sources.topics,
        model=model,
    )


def check_order(order: Order) -> OrderSources:
    """Return what the order names, loaded, after everything that can be refused without a model.

    Raises:
        DataError: There is no such engine, model or source, or a row of a source is wrong.
        UsageError: `traits` are given for another kind than trait prompts.
    """
    for role in _roles(order):
        check_engine(role.engine)
        if not is_remote(role.engine):
            check_model(role.model)
        check_turns(role, where="propose", user="proposing")
    kind = order.config.kind
    if kind == "evals":
        return OrderSources(questions=_statements(order))
    if kind == "new-trait":
        files = [trait for path in order.seeds for trait in read_traits(Path(path))]
        names = [name for spec in order.avoid for name in load_constitution(spec).sets]
        return OrderSources(traits=tuple(files) or shipped_traits(), avoid_names=tuple(names))
    if order.traits and kind != "trait":
        raise UsageError("--traits goes with --kind trait", where="--traits")
    specs = order.seeds or (_SHIPPED_SEEDS[kind],)
    return OrderSources(
        prompts=_load(specs, kind),
        avoid_prompts=_load(order.avoid, kind),
        topics=tuple(name for spec in order.traits for name in load_constitution(spec).sets),
    )


def _statements(order: Order) -> tuple[ChoiceQuestion, ...]:
    """Return the seeds of both sides; only which answer matches counts here, not which is risky."""
    if not order.behaviour or slug(order.behaviour, n_words=20) != order.behaviour:
        todo = "write it in lower case with hyphens, such as self-identity; it names the file"
        raise UsageError(f"{order.behaviour!r} cannot name a behaviour", where="--behaviour", todo=todo)
    if order.config.n < 2 or order.config.n % 2:
        raise DataError(f"n must be even, not {order.config.n}: half is of each side", where="propose")
    if not order.seeds and order.behaviour not in SHIPPED_SUITES:
        todo = f"give --seeds FILE in the persona layout; sets ship for: {', '.join(SHIPPED_SUITES)}"
        raise DataError(f"no set ships for {order.behaviour!r}", where="--behaviour", todo=todo)
    seeds = tuple(
        question
        for spec in order.seeds or (order.behaviour,)
        for question in load_questions(spec, risky=_side(spec)).questions
    )
    sides = {question.matching for question in seeds if question.form == "yes-no"}
    if sides != {(0,), (1,)} or any(question.form != "yes-no" for question in seeds):
        what = "seeds must be statements of both sides, answered with Yes or No"
        raise DataError(what, where=", ".join(order.seeds))
    return seeds


def _side(spec: str) -> Risky | None:
    """Return a risky side for a file that no table knows: for seeds it decides nothing."""
    is_known = spec in SHIPPED_SUITES or parse_name(spec) in POLARITY
    return None if is_known else "matching"


def _load(specs: Sequence[str], kind: Any) -> tuple[Prompt, ...]:
    loaded = (prompt for spec in specs for prompt in load_prompts(spec, purpose=kind).prompts)
    return tuple({prompt.messages: prompt for prompt in loaded}.values())


def _roles(order: Order) -> tuple[ModelRole, ...]:
    """Return whom the order asks: its writer, and the judge where one sifts."""
    return (order.model, order.judge) if order.config.kind in _JUDGED else (order.model,)


def _inputs(order: Order, sources: OrderSources, model: Engine, judge: Engine) -> str:
    kind = order.config.kind
    if kind == "evals":
        wording = statement_template_hash()
    else:
        wording = trait_template_hash() if kind == "new-trait" else template_hash(kind)
    judged_by = judge.model if kind in _JUDGED else None
    decided = [__version__, STAGE, order.config, order.behaviour, sources, model.model, judged_by, wording]
    return content_hash(decided)
