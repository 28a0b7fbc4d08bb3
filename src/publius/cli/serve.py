"""`publius serve`: answer other programs over HTTP.

Paper: none. What it does: `publius.serve`.
"""

import os
from pathlib import Path
from typing import Any

import click

from publius.cli.text import printable
from publius.errors import UsageError


@click.group(epilog="Example:\n\n  publius serve reward runs/demo/stages/pm/model")
def serve() -> None:
    """Serve a trained model to other programs."""


@serve.command(
    "reward",
    epilog="Examples:\n\n  publius serve reward runs/demo/stages/pm/model --port 5000\n\n"
    "  publius serve reward my-pm --policy my-policy --host 0.0.0.0 --key-env REWARD_KEY",
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=5000, show_default=True, type=click.IntRange(0, 65535), help="0: a free one.")
@click.option("--key-env", metavar="NAME", help="The environment variable with the key that clients give.")
@click.option("--policy", type=click.Path(path_type=Path), help="Whose chat template /get_reward reads.")
@click.option("--prefix", metavar="NAME|FILE", help="Prompted: truthful, objective, accurate, or turns.")
@click.option("--batch-size", default=16, show_default=True, type=click.IntRange(min=1), help="1: exact.")
@click.option("--max-body-mb", default=16, show_default=True, type=click.IntRange(min=1), help="Per request.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def serve_reward(model: Path, **given: Any) -> None:
    """Serve the rewards of a preference model until Ctrl-C.

    POST /score takes conversations, POST /get_reward texts as OpenRLHF sends them, GET /health says which
    model answers. Without a key only this machine is answered.
    """
    from publius.preference.prompted import load_prefix
    from publius.serve.server import Served, serve_reward
    from publius.serve.settings import Settings

    prefix = load_prefix(given["prefix"]) if given["prefix"] else ()
    settings = Settings(
        name=model.name,
        key=_key(given["key_env"]),
        max_body_bytes=given["max_body_mb"] * 1_000_000,
        batch_size=given["batch_size"],
    )

    def on_ready(url: str) -> None:
        if not given["quiet"]:
            click.echo(printable(f"{model} at {url} (Ctrl-C ends it)"), err=True)

    served = Served(model, given["policy"], prefix)
    serve_reward(served, given["host"], port=given["port"], settings=settings, on_ready=on_ready)


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "")
    if not key:
        raise UsageError(f"the environment variable {variable} is not set or empty", where="--key-env")
    return key
