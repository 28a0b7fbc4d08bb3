"""The engines: whoever runs a model answers the same three questions (see `protocol.py`).

    models.py      which models are known by name
    fetch.py       from a name or path to weights on disk
    downloads.py   bring a known model's file onto the disk
    protocol.py    what every engine does
    flow.py        work that asks step by step, and how an engine is kept full with it
    deferred.py    load at the first question
    openvino.py, transformers.py, vllm.py, scripted.py   the engines that load weights
    openai.py, anthropic.py, ray.py                      the engines that ask a server

An engine is found by name, the built-in ones like those of other packages. One that loads weights is in
the entry-point group `publius.engines`: a function `open(path, *, name, options)` that returns an
`Engine`. One that asks a server is in `publius.remote_engines`: a function `open(model, *, options)`,
which does not use the network; the engine's `capabilities` do, and tell what is wrong with the server. The
module, and the library under it, is imported when the engine is opened.

Paper: none.
"""

import difflib
import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol, cast

from publius.engines.fetch import fetch_model
from publius.engines.protocol import Engine
from publius.errors import DataError, EngineError, MissingExtra, PubliusError

__all__ = [
    "EngineSpec",
    "OpenEngine",
    "OpenRemoteEngine",
    "check_engine",
    "engine_names",
    "is_remote",
    "open_engine",
    "option_names",
]

GROUP = "publius.engines"
REMOTE_GROUP = "publius.remote_engines"

# Known without installed metadata too, and no other package can take these names.
BUILT_IN: Mapping[str, str] = {
    "openvino": "publius.engines.openvino:open_openvino",
    "transformers": "publius.engines.transformers:open_transformers",
    "vllm": "publius.engines.vllm:open_vllm",
    "scripted": "publius.engines.scripted:open_scripted",
}
BUILT_IN_REMOTE: Mapping[str, str] = {
    "openai": "publius.engines.openai:open_openai",
    "anthropic": "publius.engines.anthropic:open_anthropic",
    "ray": "publius.engines.ray:open_ray",
}
# What `options` of a built-in engine are fields of.
_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "openvino": ("openvino_loading:OpenVINOOptions",),
    "transformers": ("transformers:TransformersOptions",),
    "vllm": ("vllm:VLLMOptions",),
    "scripted": ("scripted:ScriptedOptions",),
    "openai": ("openai:OpenAIOptions",),
    "anthropic": ("anthropic:AnthropicOptions",),
    "ray": ("ray_work:RayOptions", "openai:OpenAIOptions"),
}
_EXTRAS = {"openvino": "local", "transformers": "train", "vllm": "vllm", "ray": "ray"}


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Which engine opens which model.

    `model` is a registered name or a path to weights, or for a remote engine the server's name of it.
    """

    engine: str
    model: str
    options: Mapping[str, object] = field(default_factory=dict[str, object])


class OpenEngine(Protocol):
    """What an entry point of the group names: load the weights at `path` and call them `name`."""

    def __call__(self, path: Path, *, name: str, options: Mapping[str, object]) -> Engine:
        """Return the open engine."""
        ...


class OpenRemoteEngine(Protocol):
    """What an entry point of the remote group names: ask for `model` at the server in `options`."""

    def __call__(self, model: str, *, options: Mapping[str, object]) -> Engine:
        """Return the engine, without having used the network."""
        ...


def open_engine(spec: EngineSpec) -> Engine:
    """Return the engine of `spec` with its model loaded; the model is fetched first if need be.

    Raises:
        DataError: There is no such engine or no such model.
        MissingExtra: The library under a built-in engine is not installed.
        EngineError: The model cannot be fetched or loaded, or another package's engine is broken.
    """
    check_engine(spec.engine)
    found = _entry_points()
    open_it = _load(found[spec.engine])  # before the model is fetched: a missing library is told at once
    try:
        if is_remote(spec.engine):
            return cast(OpenRemoteEngine, open_it)(spec.model, options=spec.options)
        path = fetch_model(spec.model)
        return cast(OpenEngine, open_it)(path, name=spec.model, options=spec.options)
    except ImportError as error:
        raise _import_error(found[spec.engine], error) from error


def check_engine(name: str) -> None:
    """Refuse a name that no engine has, before anything is spent.

    Raises:
        DataError: There is no such engine.
    """
    if name not in _entry_points():
        raise _unknown(name)


def is_remote(name: str) -> bool:
    """Return whether an engine asks a server, so that there are no weights on this machine.

    >>> is_remote("openai"), is_remote("openvino")
    (True, False)
    """
    point = _entry_points().get(name)
    return point is not None and point.group == REMOTE_GROUP


def option_names(name: str) -> frozenset[str] | None:
    """Return the options that an engine takes; None where it is not built in, or its library is not here.

    >>> "base_urls" in option_names("ray"), "base_urls" in option_names("openai")
    (True, False)
    """
    if name not in _OPTIONS:
        return None
    try:
        kinds = [pkgutil.resolve_name(f"{__name__}.{where}") for where in _OPTIONS[name]]
    except ImportError:
        return None
    return frozenset(item.name for kind in kinds for item in fields(kind))


def engine_names() -> tuple[str, ...]:
    """Return the names of all engines that can be opened here, built-in ones first."""
    return tuple(_entry_points())


def _entry_points() -> dict[str, EntryPoint]:
    return _entry_points_on(tuple(sys.path))


@cache  # it looks through every installed package
def _entry_points_on(_: tuple[str, ...]) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for group, built_in in ((GROUP, BUILT_IN), (REMOTE_GROUP, BUILT_IN_REMOTE)):
        found |= {name: EntryPoint(name, value, group) for name, value in built_in.items()}
    others = (*entry_points(group=GROUP), *entry_points(group=REMOTE_GROUP))
    return found | {point.name: point for point in others if point.name not in found}


def _load(point: EntryPoint) -> OpenEngine | OpenRemoteEngine:
    try:
        return cast(OpenEngine | OpenRemoteEngine, point.load())
    except ImportError as error:
        raise _import_error(point, error) from error
    except AttributeError as error:
        raise EngineError(f"the engine {point.name!r} is broken: {point.value} does not exist") from error


def _import_error(point: EntryPoint, error: ImportError) -> PubliusError:
    module = (error.name or point.name).partition(".")[0]
    if point.name in _EXTRAS and module != "publius":
        return MissingExtra(module, _EXTRAS[point.name])
    return EngineError(
        f"the engine {point.name!r} ({point.value}) cannot be imported: {error}",
        todo="install what it needs, or reinstall the package it comes with",
    )


def _unknown(name: str) -> DataError:
    known = engine_names()
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return DataError(f"there is no engine called {name!r}", todo=f"{hint}engines: {', '.join(known)}")
