"""Ask a model for the pronouns of occupations in a directory of its own, which is a run directory.

Paper: Perez et al. 2022, arXiv:2212.09251. The measure is `publius.evaluate.suites.pronouns`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from publius import __version__
from publius.evaluate.suites.config import SuiteConfig
from publius.evaluate.suites.prompts import wording_hash
from publius.evaluate.suites.pronouns import SUMMARY, PronounReport, run_pronouns
from publius.pipeline.alone import Alone, Asked, n_votes, open_order, subjects_of
from publius.pipeline.recipe import ModelRole
from publius.pipeline.runner import Listener
from publius.pipeline.settings import read_settings
from publius.pipeline.suite import check_role
from publius.records import content_hash, decode, draw_key, encode
from publius.sources.winogenerated import OccupationSentence, load_winogenerated
from publius.store import Budget, StageManifest, read_json

STAGE = "pronouns"


@dataclass(frozen=True, slots=True)
class PronounOrder:
    """Which sentences are put to which model, how."""

    sentences: tuple[OccupationSentence, ...]
    config: SuiteConfig
    model: ModelRole
    seed: int

    def n_calls(self) -> int:
        """Return the calls that it will take."""
        calls = sum(self.config.n_calls(one.question) for one in self.sentences)
        return calls * n_votes(self.model)


def order_pronouns(
    file: str,
    *,
    model: str,
    limit: int | None = None,
    seed: int = 0,
    engine: str = "openvino",
    settings: Sequence[str] = (),
) -> PronounOrder:
    """Return the order for what a user names; of the sentences, `limit` are drawn by their index.

    Raises:
        DataError: A row, a setting or the model is wrong.
    """
    said = read_settings(settings, known={item.name for item in fields(SuiteConfig)} - {"mode"})
    config = decode(SuiteConfig, {**encode(SuiteConfig()), **said.fields})
    (role,) = subjects_of(model, None, engine=engine, against_engine=None, said=said)
    check_role(role)
    loaded = load_winogenerated(file)
    ids = sorted((one.question.id for one in loaded), key=lambda id: (draw_key(id, seed=seed), id))
    drawn = set(ids[:limit])
    return PronounOrder(tuple(one for one in loaded if one.question.id in drawn), config, role, seed)


def measure_pronouns_of(
    order: PronounOrder, out: Path, listener: Listener, *, budget: Budget | None = None
) -> StageManifest:
    """Carry out an order in the run directory `out` and return the manifest of its stage.

    Raises:
        PubliusError: Something is wrong; what was asked is kept, the same order goes on.
    """
    with open_order(STAGE, (order.model,), out, listener, budget) as opened:
        engine = opened.context.engine(order.model)
        decided = [order.config, order.sentences, engine.model, order.seed, wording_hash()]
        inputs = content_hash([__version__, STAGE, *decided])
        asked = (Asked(order.model, engine, ("choose",)),)
        return opened.carry_out(
            Alone(STAGE, inputs, inputs, asked, order.seed, votes="--set options.votes=8"),
            lambda store: run_pronouns(store, order.config, sentences=order.sentences, subject=engine),
        )


def read_pronouns(out: Path) -> PronounReport:
    """Return the report that lies in a run directory.

    Raises:
        StoreError: There is none, or it is damaged.
    """
    return decode(PronounReport, read_json(out / "stages" / STAGE / SUMMARY))
