"""The engine for every server that speaks the OpenAI chat protocol: vLLM, SGLang, llama.cpp, Ollama, hosts.

    openai_wire.py       requests into bodies, bodies into answers (pure)
    openai_logprobs.py   the options out of a list of log-probabilities (pure)
    openai_probe.py      what the server can do, asked once
    remote.py            the engine itself; http_*.py, the calls under it

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1 (log-probabilities of the options); see `openai_wire.py`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from publius.engines.http_key import read_key
from publius.engines.http_policy import HttpPolicy
from publius.engines.http_pool import HttpPool, PoolSettings, Sender
from publius.engines.http_retry import Clock
from publius.engines.http_send import Endpoint, HttpSender, check_base_url
from publius.engines.openai_probe import OpenAIWire, Server, probe_openai
from publius.engines.openai_wire import OWN_FIELDS
from publius.engines.remote import RemoteEngine, remote_identity
from publius.errors import DataError, require
from publius.records import decode

_OPENAI = "https://api.openai.com"


@dataclass(frozen=True, slots=True)
class OpenAIOptions:
    """How to reach a server and how hard to press it. Times in seconds; a limit of 0 is not known.

    `api_key_env` names the environment variable that holds the key; the key itself is nowhere else. Left
    empty it is OPENAI_API_KEY for OpenAI's own address, and no key for any other. `revision` pins what
    the name cannot, such as a date. `votes` above 0 answers choices by so many votes where the server
    gives no log-probabilities. `max_context` in tokens; 0: as the server says. `prefill`: how an answer
    can be begun for the model, if it can; "auto": if the server is vLLM or llama.cpp. `extra_body` goes
    into every request. After `give_up_after` failures of the server in a row the run ends; 0: never.
    """

    base_url: str = f"{_OPENAI}/v1"
    api_key_env: str = ""
    revision: str = ""
    concurrency: int = 32
    timeout_s: float = 600.0
    connect_timeout_s: float = 10.0
    max_retries: int = 5
    retry_after_max_s: float = 120.0
    requests_per_minute: float = 0.0
    tokens_per_minute: float = 0.0
    votes: int = 0
    max_context: int = 0
    prefill: Literal["auto", "vllm", "llamacpp", "none"] = "auto"
    give_up_after: int = 100
    extra_body: dict[str, Any] = field(default_factory=dict[str, Any])


def open_openai(model: str, *, options: Mapping[str, object]) -> RemoteEngine:
    """Return the engine for `model`; `options` are the fields of `OpenAIOptions`. Nothing is sent yet.

    Raises:
        DataError: An option is unknown, of the wrong kind, or cannot work.
    """
    return open_with(model, options=decode(OpenAIOptions, options), clock=Clock(), seed=None)


def open_with(model: str, *, options: OpenAIOptions, clock: Clock, seed: int | None) -> RemoteEngine:
    """Return the engine with a clock and a seed of the jitter, which a test wants for itself.

    Raises:
        DataError: An option cannot work.
    """
    base_url = _checked(model, options)
    prefix = "/v1" if base_url.endswith("/v1") else ""
    key_env = options.api_key_env or ("OPENAI_API_KEY" if base_url.startswith(f"{_OPENAI}/") else "")

    def open_sender() -> Sender:
        key = read_key(key_env, where=base_url) if key_env else ""
        endpoint = Endpoint(
            base_url.removesuffix(prefix),
            headers={"authorization": f"Bearer {key}"} if key else {},
            secret=key,
            timeout_s=options.timeout_s,
            connect_timeout_s=options.connect_timeout_s,
        )
        return HttpSender(endpoint, n_connections=options.concurrency)

    def probe(pool: HttpPool) -> OpenAIWire:
        server = Server(
            model,
            base_url,
            key_env=key_env,
            prefix=prefix,
            concurrency=options.concurrency,
            votes=options.votes,
            max_context=options.max_context,
            prefill=options.prefill,
            extra_body=options.extra_body,
        )
        return probe_openai(pool, server)

    settings = PoolSettings(
        n_connections=options.concurrency,
        requests_per_minute=options.requests_per_minute,
        tokens_per_minute=options.tokens_per_minute,
        policy=HttpPolicy(options.max_retries, retry_after_max_s=options.retry_after_max_s),
        clock=clock,
        seed=seed,
    )
    return RemoteEngine(
        remote_identity(model, "openai", options, ("extra_body", "votes")),
        HttpPool(open_sender, settings),
        probe=probe,
        where=base_url,
        give_up_after=options.give_up_after,
    )


def _checked(model: str, options: OpenAIOptions) -> str:
    """Return the base URL after a look at everything that can be known to be wrong."""
    require(options, "options of the engine openai", concurrency=1, timeout_s=0.001, connect_timeout_s=0.001)
    require(options, "options of the engine openai", max_retries=0, retry_after_max_s=0, votes=0)
    require(options, "options of the engine openai", requests_per_minute=0, tokens_per_minute=0)
    require(options, "options of the engine openai", max_context=0, give_up_after=0)
    if not model:
        raise DataError("the model has no name", where="model", todo="name it as the server does")
    own = sorted(OWN_FIELDS & options.extra_body.keys())
    if own:
        raise DataError(f"extra_body sets {own[0]!r}, which each request sets itself", where="extra_body")
    try:
        json.dumps(options.extra_body, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"extra_body cannot be sent as JSON: {error}", where="extra_body") from error
    return check_base_url(options.base_url)
