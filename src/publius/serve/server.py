"""Listen and answer until Ctrl-C: load the model, bind the address, run the app.

Paper: none.
"""

import contextlib
import importlib.util
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from publius.errors import DataError, MissingExtra, UsageError
from publius.preference.loading import load_tokenizer
from publius.preference.prompted import prompted
from publius.preference.score import PreferenceModel
from publius.records import Conversation
from publius.serve.access import check_binding
from publius.serve.queries import QueryReader, learn_template
from publius.serve.settings import Settings
from publius.training.chat import codec_of

if TYPE_CHECKING:
    import uvicorn

_EXTRA_MODULES = ("starlette", "uvicorn")
_PATIENCE_S = 3  # for answers under way when Ctrl-C comes
_QUEUE = 2048  # connections that wait to be taken


@dataclass(frozen=True, slots=True)
class Served:
    """What to serve: the preference model in a directory, and how it is read.

    `policy` is the model whose chat template the queries of `/get_reward` are written in (the preference
    model's own by default); `prefix` comes before every conversation (see `preference.prompted`).
    """

    model: Path
    policy: Path | None = None
    prefix: Conversation = ()


def serve_reward(
    served: Served, host: str, *, port: int, settings: Settings, on_ready: Callable[[str], None]
) -> None:
    """Answer at host and port until Ctrl-C; port 0 takes a free one. `on_ready(url)` says where.

    Raises:
        UsageError: The address is taken, is not of this machine, or is open to others without a key.
        DataError: There is no preference model in the directory, or the prefix cannot be used.
        MissingExtra: The `serve` or the `train` extra is not installed.
    """
    check_binding(host, key=settings.key)
    for module in _EXTRA_MODULES:
        if importlib.util.find_spec(module) is None:
            raise MissingExtra(module, "serve")
    with _listen(host, port) as listening:
        pm = PreferenceModel.load(served.model)
        pm = prompted(pm, served.prefix) if served.prefix else pm
        server = make_server(pm, read_with(pm, served.policy), settings)
        on_ready(_url(listening))
        # uvicorn ends at Ctrl-C and raises the signal again afterwards: that is how a server ends
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listening])


def make_server(pm: PreferenceModel, reader: QueryReader | None, settings: Settings) -> "uvicorn.Server":
    """Return a server of a preference model; its `run(sockets=[…])` answers until it is told to exit."""
    import uvicorn

    from publius.serve.app import build_app

    config = uvicorn.Config(
        build_app(pm, reader, settings),
        log_config=None,
        log_level="critical",
        access_log=False,  # a URL may hold the key
        lifespan="off",
        timeout_graceful_shutdown=_PATIENCE_S,
    )
    return uvicorn.Server(config)


def read_with(pm: PreferenceModel, policy: Path | None = None) -> QueryReader | None:
    """Return the reader of texts in the policy's chat template, the preference model's own by default.

    None where the preference model's own cannot be read back.

    Raises:
        DataError: The policy has no tokenizer, or its template cannot be read back.
    """
    tokenizer = pm.tokenizer if policy is None else load_tokenizer(policy)
    try:
        return learn_template(codec_of(tokenizer), pad_id=cast("int | None", tokenizer.pad_token_id))
    except DataError:
        if policy is not None:
            raise
        return None


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_QUEUE)
    except (OSError, OverflowError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(
            f"cannot listen there: {what}",
            where=f"{host}:{port}",
            todo="choose another --port; 0 takes a free one",
        ) from error
