"""The connection to a Ray cluster: the user's own where there is one, else one for this engine alone.

A Ray that an engine starts lives on this machine, listens on the loopback address, reports to nobody,
prints nothing, is shared by all engines of the program, and ends with the last of them. A Ray that the
program is connected to already is used as it is, and left as it was.

Paper: none.
"""

import importlib
import logging
import os
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

from publius.engines.http_body import shown
from publius.errors import EngineError, MissingExtra

# What a Ray of ours starts with, and each of its processes inherits.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # its address is that of the loopback device everywhere: elsewhere than on macOS and Windows, Ray takes
    # 127.0.0.1 for the machine's address in its network, and listens everywhere with any other
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}


@dataclass(slots=True)
class _Users:
    """How many engines use a connection that one of them made."""

    n: int = 0


_users = _Users()


def load_ray() -> Any:
    """Return the module `ray` with `ray.data`; it takes a second, and is not loaded before it is needed.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        importlib.import_module("ray.data")
        return cast(Any, importlib.import_module("ray"))  # untyped for what is done here
    except ImportError as error:
        raise MissingExtra((error.name or "ray").partition(".")[0], "ray") from error


def connect(address: str, *, n_cpus: int) -> bool:
    """Connect this program to a cluster; return whether `disconnect` must be called for it.

    `address` "" is a Ray of our own on this machine, which gets `n_cpus` CPUs; "auto" or host and port is a
    cluster that runs.

    Raises:
        EngineError: There is no cluster at the address, or Ray cannot start.
    """
    ray = load_ray()
    if ray.is_initialized():
        if _users.n == 0:
            return False
        _users.n += 1
        return True
    settings: dict[str, Any] = {"address": address} if address else _own(n_cpus)
    try:
        with _environment() if not address else nullcontext():
            ray.init(log_to_driver=False, logging_level=logging.ERROR, configure_logging=True, **settings)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise EngineError(
            f"Ray cannot be reached: {shown(str(error))}"
            if address
            else f"Ray does not start: {shown(str(error))}",
            where=f"address {address!r}",
            todo="start the cluster (`ray start --head`), or leave out the option address to run here",
        ) from error
    # what it would print is what `StreamBroken` carries
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    _users.n = 1
    return True


def disconnect() -> None:
    """End one engine's use of the connection; it ends with the last one, and a Ray of ours with it."""
    _users.n -= 1
    if _users.n == 0:
        load_ray().shutdown()


def _own(n_cpus: int) -> dict[str, Any]:
    # not the one that RAY_ADDRESS names, which nobody asked for
    return {"address": "local", "num_cpus": n_cpus, "include_dashboard": False}


@contextmanager
def _environment() -> Generator[None]:
    """Set the environment of a Ray of ours while it starts."""
    constants = cast(Any, importlib.import_module("ray._private.ray_constants"))
    could_cluster, constants.ENABLE_RAY_CLUSTER = constants.ENABLE_RAY_CLUSTER, False  # read at its import
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = could_cluster
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
