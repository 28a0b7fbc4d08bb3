"""The options that every verb of a run has, and what they mean.

Paper: none.
"""

import functools
import shlex
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from publius.cli.text import printable
from publius.errors import UsageError
from publius.pipeline.experiment.recipe import Experiment, load_experiment, map_recipes
from publius.pipeline.recipe import Recipe, engine_notes, limit_recipe, load_recipe, set_engine
from publius.store.budget import Budget


@dataclass(frozen=True, slots=True)
class RunOptions:
    """A verb's options, resolved: the recipe, where the run lies, and how to show it.

    `limit` is what `--limit` said; the recipe's prompts are limited already. `experiment` is there where the
    file is one, and `recipe` is then that of its first arm.
    """

    recipe: Recipe
    out: Path
    dry_run: bool
    as_json: bool
    quiet: bool
    command: str
    budget: Budget
    limit: int | None = None
    experiment: Experiment | None = None


def run_options(
    default_recipe: str | None = None, *, experiments: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that gives a verb the options of a run as one `RunOptions`.

    `experiments`: the verb runs experiments, too.
    """

    def decorate(verb: Callable[..., Any]) -> Callable[..., Any]:
        @_recipe_argument(default_recipe)
        @click.option("--out", type=click.Path(path_type=Path), help="The run directory [runs/NAME].")
        @click.option(
            "--set", "settings", multiple=True, metavar="A.B=C", help="Change one setting of the recipe."
        )
        @click.option("--limit", type=click.IntRange(min=1), help="At most N prompts of each purpose.")
        @click.option("--engine", metavar="NAME", help="Ask all models through this engine.")
        @asking_options(plan="calls, tokens and time")
        @functools.wraps(verb)
        def wrapped(
            recipe: str,
            out: Path | None,
            settings: tuple[str, ...],
            limit: int | None,
            engine: str | None,
            max_calls: int | None,
            max_tokens: int | None,
            max_cost: float | None,
            dry_run: bool,
            as_json: bool,
            quiet: bool,
            debug: bool,
            **own: Any,  # the verb's own arguments
        ) -> Any:
            del debug  # read by main, before click
            notes: list[str] = []

            def changed(given: Recipe) -> Recipe:
                limited = given if limit is None else limit_recipe(given, limit)
                moved = limited if engine is None else set_engine(limited, engine)
                notes.extend(engine_notes(limited, moved))
                return moved

            experiment = load_experiment(recipe, settings=settings) if experiments else None
            if experiment is not None:
                experiment = map_recipes(experiment, changed)
                loaded, name = experiment.arms[0].recipe, experiment.name
            else:
                loaded = changed(load_recipe(recipe, settings=settings))
                name = loaded.name
            for note in () if quiet else dict.fromkeys(notes):
                click.echo(printable(note), err=True)
            budget = Budget(max_calls, max_tokens, max_cost)
            folder = out or Path("runs") / _folder_name(name)
            if folder.is_file():
                raise UsageError("--out is a file, not a directory", where=folder)
            options = RunOptions(
                loaded, folder, dry_run, as_json, quiet, _command(), budget, limit, experiment
            )
            return verb(options, **own)

        return wrapped

    return decorate


def asking_options(*, plan: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator for a verb that asks models: limits of spending, `plan` instead of a run, output."""
    options = (
        click.option("--max-calls", type=click.IntRange(min=1), help="Stop when the run has made N calls."),
        click.option("--max-tokens", type=click.IntRange(min=1), help="... has read and written N tokens."),
        click.option("--max-cost", type=click.FloatRange(min=0), help="... has spent so many US dollars."),
        click.option("--dry-run", is_flag=True, help=f"Show {plan}; run nothing."),
        click.option("--json", "as_json", is_flag=True, help="Data as JSON on stdout."),
        click.option("-q", "--quiet", is_flag=True, help="No progress on stderr."),
        click.option("--debug", is_flag=True, help="Show tracebacks."),
    )

    def decorate(verb: Callable[..., Any]) -> Callable[..., Any]:
        return functools.reduce(lambda made, option: option(made), reversed(options), verb)

    return decorate


def order_options(
    out: str, *, engine: str = "openvino"
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that gives a verb the options of an order that is no recipe; `out` is its place."""

    def decorate(verb: Callable[..., Any]) -> Callable[..., Any]:
        @click.option("--engine", default=engine, show_default=True, help="Through which engine.")
        @click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="A=B",
            help="Change one setting; options.A=B: of the engine.",
        )
        @click.option("--out", type=click.Path(path_type=Path), help=f"The run directory [{out}].")
        @asking_options(plan="requests and tokens")
        @functools.wraps(verb)
        def wrapped(**given: Any) -> Any:
            del given["debug"]  # read by main, before click
            return verb(**given)

        return wrapped

    return decorate


def folder_of(given: Mapping[str, Any], name: str) -> Path:
    """Return the run directory that an order's options name, else `runs/NAME`.

    Raises:
        UsageError: It is a file.
    """
    folder: Path = given["out"] or Path("runs") / name
    if folder.is_file():
        raise UsageError("--out is a file, not a directory", where=folder)
    return folder


def budget_of(given: Mapping[str, Any]) -> Budget:
    """Return the limits among an order's options."""
    return Budget(given["max_calls"], given["max_tokens"], given["max_cost"])


def typed(names: Collection[str]) -> list[str]:
    """Return the flags of the running command's parameters `names` that were typed: no defaults."""
    context = click.get_current_context()
    return [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in names
        and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]


def _command() -> str:
    return shlex.join(["publius", *sys.argv[1:]])


def _recipe_argument(default: str | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.argument("recipe") if default is None else click.argument("recipe", default=default)


def _folder_name(name: str) -> str:
    if not name or name in (".", "..") or any(char in "/\\\0" or not char.isprintable() for char in name):
        raise UsageError(f"the recipe's name {name!r} cannot name a directory", todo="give one with --out")
    return name
