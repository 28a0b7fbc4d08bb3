"""What all stages of one run share: the recipe and what it names, opened once and closed at the end.

Engines are deferred: a model loads at the first question that the journal cannot answer. Engines that
no coming stage needs are closed, so that training has the memory.

Paper: none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from publius.constitution import Constitution, load_constitution
from publius.engines import EngineSpec, is_remote, open_engine
from publius.engines.deferred import DeferredEngine
from publius.engines.fetch import fetch_model
from publius.engines.protocol import Engine, ModelIdentity
from publius.errors import DataError
from publius.pipeline.recipe import ModelRole, Recipe, role_of
from publius.records import (
    Preference,
    Purpose,
    canonical_json,
    records_hash,
)
from publius.sources.comparisons import load_audit
from publius.sources.prompts import spool_prompts
from publius.sources.spool import DrawnPrompts, PromptSpool
from publius.training.memory import return_memory
from publius.training.weights import weights_hash


@dataclass
class RunContext:
    """The open parts of a run. `on_progress(step, done, total)` shows what is going on.

    `command` is how the run was started, for the report.
    """

    recipe: Recipe
    on_progress: Callable[[str, int, int], None]
    command: str = ""
    _engines: dict[tuple[str, str], Engine] = field(default_factory=dict)
    _paths: dict[str, Path] = field(default_factory=dict)

    @cached_property
    def constitution(self) -> Constitution:
        """The constitution that decides harmlessness."""
        return load_constitution(self.recipe.constitution)

    @cached_property
    def helpfulness(self) -> Constitution:
        """The constitution that decides helpfulness."""
        return load_constitution(self.recipe.helpfulness)

    @cached_property
    def prompts(self) -> PromptSpool:
        """All prompts of the recipe's sources, each text once, read from disk whenever they are needed."""
        sources: tuple[tuple[Purpose, tuple[str, ...]], ...] = (
            ("red-team", self.recipe.prompts.red_team),
            ("helpful", self.recipe.prompts.helpful),
            ("trait", self.recipe.prompts.trait),
        )
        spool = PromptSpool()
        for purpose, specs in sources:
            for spec in specs:
                spool_prompts(spec, spool, purpose=purpose)
        repeated = spool.repeated_id()
        if repeated is not None:
            raise DataError(
                f"two prompts of different text have the id {repeated!r}",
                where="prompts",
                todo="give every prompt an id of its own, or leave the ids out",
            )
        return spool

    @cached_property
    def prompts_hash(self) -> str:
        """The content hash of all prompts."""
        return records_hash(self.prompts)

    @cached_property
    def audit_set(self) -> tuple[Preference, ...]:
        """The human-labelled comparisons that the feedback model is audited on."""
        return load_audit(self.recipe.audit)

    @cached_property
    def human_preferences(self) -> tuple[Preference, ...]:
        """Human comparisons for the PM beside the AI's; on those of held-out prompts it is measured."""
        return tuple(item for spec in self.recipe.human_preferences for item in load_audit(spec))

    @cached_property
    def human_preferences_hash(self) -> str:
        """The content hash of the human comparisons."""
        return records_hash(self.human_preferences)

    def draw(
        self,
        *,
        n_red_team: int,
        n_helpful: int,
        held_out: bool,
        n_trait: int = 0,
        trait_kinds: Sequence[str] = (),
        seed: int | None = None,
    ) -> DrawnPrompts:
        """Return prompts of a split: red-team, trait (of some kinds), helpful.

        They are drawn with `seed`, or else the run's.
        """
        return self.prompts.draw(
            (("red-team", n_red_team), ("trait", n_trait), ("helpful", n_helpful)),
            split="held-out" if held_out else "train",
            seed=self.recipe.seed if seed is None else seed,
            kinds=trait_kinds,
        )

    def model_path(self, name_or_path: str) -> Path:
        """Return where a model's weights lie, fetched first if need be."""
        if name_or_path not in self._paths:

            def show(done: int, total: int) -> None:
                self.on_progress(f"fetch {name_or_path}", done, total)

            self._paths[name_or_path] = fetch_model(name_or_path, on_progress=show)
        return self._paths[name_or_path]

    def engine(self, role: ModelRole, *, name: str | None = None) -> Engine:
        """Return the engine of a role; the same model on the same engine is one engine."""
        key = self._engine_key(role)
        if key not in self._engines:
            if is_remote(role.engine):
                self._engines[key] = open_engine(EngineSpec(role.engine, role.model, role.options))
            else:
                path = self.model_path(role.model)
                identity = ModelIdentity(name or role.model, weights_hash(path), key[0])
                spec = EngineSpec(role.engine, str(path), role.options)
                self._engines[key] = DeferredEngine(identity, partial(open_engine, spec))
        return self._engines[key]

    def trained(self, name: str, path: Path) -> Engine:
        """Return an engine for a checkpoint of this run, called `name` in tables."""
        return self.engine(ModelRole(str(path), self.recipe.models.trained_engine), name=name)

    def close_engines(self, keep: Sequence[str] = ()) -> None:
        """Free the memory of all engines but those of the roles in `keep`."""
        kept = {self._engine_key(role_of(self.recipe, name)) for name in keep}
        for key in [key for key in self._engines if key not in kept]:
            if not keep or isinstance(self._engines[key], DeferredEngine):  # a server takes no memory here
                self._engines.pop(key).close()
        return_memory()

    def _engine_key(self, role: ModelRole) -> tuple[str, str]:
        options = canonical_json(role.options) if role.options else ""
        where = role.model if is_remote(role.engine) else str(self.model_path(role.model))
        return role.engine + options, where
