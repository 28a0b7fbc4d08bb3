"""Run trait Elo in a directory of its own: a policy's open answers, rated by a preference model.

It is a run directory: killed and started again it goes on, the same order given again does nothing.

Paper: arXiv:2310.13798, §4.2. The measure is `publius.evaluate.suites.trait_elo`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from publius import __version__
from publius.errors import DataError
from publius.evaluate.suites.elo_stage import SUMMARY, EloConfig, EloReport, run_trait_elo
from publius.pipeline.alone import Alone, Asked, names_of, open_order, subjects_of
from publius.pipeline.recipe import ModelRole
from publius.pipeline.rewards import check_preference_model, rewards_of
from publius.pipeline.runner import Listener
from publius.pipeline.settings import read_settings
from publius.pipeline.suite import check_role
from publius.records import Prompt, content_hash, decode, draw_key, encode
from publius.sources import load_prompts
from publius.store import Budget, Journal, StageManifest, read_json
from publius.training.weights import weights_hash

STAGE = "trait-elo"


@dataclass(frozen=True, slots=True)
class EloOrder:
    """Which policies (one, or two to compare) answer which prompts, rated by which preference model.

    `sources` are prompt sets; unless `use_all`, only held-out prompts are asked. `n` are drawn (0: all).
    """

    sources: tuple[str, ...]
    config: EloConfig
    models: tuple[ModelRole, ...]
    pm: Path
    use_all: bool = False
    n: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class EloPlan:
    """What an order will cost: prompts, answers to sample, tokens written at most."""

    prompts: int
    answers: int
    written_tokens: int


def order_trait_elo(
    sources: Sequence[str],
    *,
    model: str,
    pm: Path,
    against: str | None = None,
    against_engine: str | None = None,
    use_all: bool = False,
    limit: int | None = None,
    seed: int = 0,
    engine: str = "openvino",
    settings: Sequence[str] = (),
) -> EloOrder:
    """Return the order for what a user names; `settings` are `key=value` (`read_settings`).

    Raises:
        DataError: A setting is unknown, or a value is wrong.
    """
    said = read_settings(settings, known={item.name for item in fields(EloConfig)})
    models = subjects_of(model, against, engine=engine, against_engine=against_engine, said=said)
    config = decode(EloConfig, {**encode(EloConfig()), **said.fields})
    return EloOrder(tuple(sources), config, models, pm, use_all, limit or 0, seed)


def plan_trait_elo(order: EloOrder) -> EloPlan:
    """Return what an order will cost, after the checks that need no model.

    Raises:
        PubliusError: What `measure_trait_elo` would refuse at once.
    """
    prompts = _prompts(order)
    answers = len(prompts) * order.config.n_samples * len(order.models)
    return EloPlan(len(prompts), answers, answers * order.config.answer_tokens)


def measure_trait_elo(
    order: EloOrder,
    out: Path,
    listener: Listener,
    *,
    budget: Budget | None = None,
    journal: Journal | None = None,
) -> StageManifest:
    """Carry out an order in the run directory `out` and return the manifest of its stage.

    `journal` is an experiment's: a policy that two orders ask is then asked once.

    Raises:
        PubliusError: Something is wrong; what was asked is kept, the same order goes on.
    """
    prompts = _prompts(order)
    with open_order(STAGE, order.models, out, listener, budget, journal=journal) as opened:
        engines = [opened.context.engine(role) for role in order.models]
        asked = tuple(
            Asked(role, engine, ("generate",)) for role, engine in zip(order.models, engines, strict=True)
        )
        models = [engine.model for engine in engines]
        decided = [__version__, STAGE, order.config, prompts, models, weights_hash(order.pm), order.seed]
        inputs = content_hash(decided)
        return opened.carry_out(
            Alone(STAGE, inputs, inputs, asked, order.seed, votes=""),
            lambda store: run_trait_elo(
                store,
                order.config,
                prompts=prompts,
                subjects=dict(zip(names_of(order.models), engines, strict=True)),
                rewards=rewards_of(order.pm, opened.run.journal),
                preference_model=str(order.pm),
            ),
        )


def read_trait_elo(out: Path) -> EloReport:
    """Return the report that lies in a run directory.

    Raises:
        StoreError: There is none, or it is damaged.
    """
    return decode(EloReport, read_json(out / "stages" / STAGE / SUMMARY))


def _prompts(order: EloOrder) -> tuple[Prompt, ...]:
    """Return the prompts, after everything that can be refused without a model."""
    for role in order.models:
        check_role(role)
    check_preference_model(order.pm)
    loaded = [prompt for spec in order.sources for prompt in load_prompts(spec, purpose="trait").prompts]
    kept = {prompt.id: prompt for prompt in loaded if order.use_all or prompt.split == "held-out"}
    if not kept:
        todo = "give --all to ask what a run may have trained on, too"
        raise DataError(f"none of the {len(loaded)} prompts is held out", where="suite", todo=todo)
    drawn = sorted(kept, key=lambda id: (draw_key(id, seed=order.seed), id))
    return tuple(kept[id] for id in drawn[: order.n or None])
