"""The engine for the Anthropic Messages API and the servers that speak it.

    anthropic_wire.py   requests into bodies, bodies into answers (pure)
    remote.py           the engine itself; http_*.py, the calls under it

The protocol has no seeds, so a sampled answer is another one each time it is asked; what the journal holds
is not asked again. It has no log-probabilities either: a choice is made by repeated votes (`votes.py`),
each of which is a call, and with `votes` 0 the engine says that it cannot choose.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1 reads log-probabilities of the options. Departure: the share
of votes stands for them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn
from urllib.parse import quote

from publius.engines.anthropic_wire import (
    OWN_FIELDS,
    AnthropicDialect,
    PrefillFate,
    SamplingFields,
    generate_body,
    read_message,
    read_message_vote,
    refuse_message,
    vote_body,
)
from publius.engines.http_body import NotJson, read_json
from publius.engines.http_key import read_key
from publius.engines.http_policy import HttpAnswer, HttpFault, HttpPolicy
from publius.engines.http_pool import HttpPool, PoolSettings, Sender
from publius.engines.http_refusals import Fatal, read_refusal
from publius.engines.http_retry import Clock, HttpCall, HttpResult
from publius.engines.http_send import Endpoint, HttpSender, check_base_url
from publius.engines.protocol import (
    Answer,
    Capabilities,
    ChooseRequest,
    Completion,
    Failure,
    GenerateRequest,
    Sampling,
)
from publius.engines.remote import RemoteEngine, remote_identity
from publius.engines.token_estimate import likely_prompt_tokens
from publius.engines.votes import VOTE_TOKENS, count_votes
from publius.errors import DataError, EngineError, require
from publius.records import Conversation, decode, user

_HOME = "https://api.anthropic.com"
_MESSAGES = "/v1/messages"
_POLICY = HttpPolicy(max_retries=2)  # of the probe: somebody is waiting for the error
_PROBE = GenerateRequest("probe", (user("Say yes."),), Sampling(1, stop=("no",)))
_PREFILL = "My word is:"
_UNKNOWN_CONTEXT = 200_000  # where nobody says: the server will refuse what is too long
_EMPTY_ACCOUNT = ("credit balance", "usage limit", "spend limit")


@dataclass(frozen=True, slots=True)
class AnthropicOptions:
    """How to reach a server and how hard to press it. Times in seconds; a limit of 0 is not known.

    `api_key_env` names the environment variable that holds the key; the key itself is nowhere else. Left
    empty it is ANTHROPIC_API_KEY for Anthropic's own address, and no key for any other. `revision` pins
    what the name cannot, such as a date. A choice is made by `votes` votes; 0: not at all. `max_context`
    in tokens; 0: as the server says. `sampling` "left-out" is for models that take no temperature: it asks
    without, whatever a request wants. `extra_body` goes into every request; as thoughts count among the
    tokens of an answer, `{ thinking = { type = "disabled" } }` is for models that think unasked. After
    `give_up_after` failures of the server in a row the run ends; 0: never.
    """

    base_url: str = _HOME
    api_key_env: str = ""
    api_version: str = "2023-06-01"
    revision: str = ""
    concurrency: int = 16
    timeout_s: float = 600.0
    connect_timeout_s: float = 10.0
    max_retries: int = 5
    retry_after_max_s: float = 120.0
    requests_per_minute: float = 0.0
    tokens_per_minute: float = 0.0
    votes: int = 0
    max_context: int = 0
    sampling: SamplingFields = "sent"
    give_up_after: int = 100
    extra_body: dict[str, Any] = field(default_factory=dict[str, Any])


def open_anthropic(model: str, *, options: Mapping[str, object]) -> RemoteEngine:
    """Return the engine for `model`; `options` are the fields of `AnthropicOptions`. Nothing is sent yet.

    Raises:
        DataError: An option is unknown, of the wrong kind, or cannot work.
    """
    return open_with(model, options=decode(AnthropicOptions, options), clock=Clock(), seed=None)


def open_with(model: str, *, options: AnthropicOptions, clock: Clock, seed: int | None) -> RemoteEngine:
    """Return the engine with a clock and a seed of the jitter, which a test wants for itself.

    Raises:
        DataError: An option cannot work.
    """
    base_url = _checked(model, options)
    key_env = options.api_key_env or ("ANTHROPIC_API_KEY" if base_url == _HOME else "")

    def open_sender() -> Sender:
        key = read_key(key_env, where=base_url) if key_env else ""
        endpoint = Endpoint(
            base_url,
            headers={"anthropic-version": options.api_version} | ({"x-api-key": key} if key else {}),
            secret=key,
            timeout_s=options.timeout_s,
            connect_timeout_s=options.connect_timeout_s,
        )
        return HttpSender(endpoint, n_connections=options.concurrency)

    settings = PoolSettings(
        n_connections=options.concurrency,
        requests_per_minute=options.requests_per_minute,
        tokens_per_minute=options.tokens_per_minute,
        policy=HttpPolicy(options.max_retries, retry_after_max_s=options.retry_after_max_s),
        clock=clock,
        seed=seed,
    )
    return RemoteEngine(
        remote_identity(model, "anthropic", options, ("api_version", "extra_body", "sampling", "votes")),
        HttpPool(open_sender, settings),
        probe=lambda pool: _probe(pool, model, options, has_key=bool(key_env)),
        where=base_url,
        give_up_after=options.give_up_after,
    )


@dataclass(frozen=True, slots=True)
class AnthropicWire:
    """The protocol as this model speaks it; a choice takes `votes` calls."""

    dialect: AnthropicDialect
    capabilities: Capabilities
    votes: int

    @property
    def no_choice(self) -> str:
        """What to do so that a choice becomes possible."""
        return (
            "set the option votes (16, say) to ask by repeated votes: the protocol has no log-probabilities"
        )

    def count_tokens(self, messages: Conversation) -> int:
        """Return about how many prompt tokens `messages` have."""
        return likely_prompt_tokens(messages)

    def calls(self, request: GenerateRequest | ChooseRequest) -> Sequence[HttpCall] | Failure:
        """Return the call or the votes of a request, or why it cannot be answered."""
        refused = refuse_message(request, self.dialect, max_context=self.capabilities.max_context)
        if refused is not None:
            return refused
        n_prompt = likely_prompt_tokens(request.messages, request.prefill)
        if isinstance(request, GenerateRequest):
            body, n_new = generate_body(request, self.dialect), request.sampling.max_tokens
            return [HttpCall("", _MESSAGES, body, n_prompt + n_new)]
        vote = HttpCall("", _MESSAGES, vote_body(request, self.dialect), n_prompt + VOTE_TOKENS)
        return [vote] * self.votes

    def read(self, request: GenerateRequest | ChooseRequest, results: Sequence[HttpResult]) -> Answer | Fatal:
        """Return the answer in the results, or why there is none."""
        bodies = [_body_of(request.id, result) for result in results]
        if isinstance(request, GenerateRequest):
            (body,) = bodies
            return read_message(request, body, self.dialect) if isinstance(body, Mapping) else body
        return count_votes(
            request,
            [
                read_message_vote(request, body, self.dialect) if isinstance(body, Mapping) else body
                for body in bodies
            ],
        )


def _body_of(request_id: str, result: HttpResult) -> Mapping[str, Any] | Failure | Fatal:
    """Return the JSON body of a good answer, else what its lack means."""
    outcome = result.outcome
    if isinstance(outcome, HttpAnswer) and 200 <= outcome.status < 300:
        try:
            return read_json(outcome.content, outcome.headers.get("content-type", ""))
        except NotJson as error:
            return Failure(request_id, "engine", str(error))
    refused = read_refusal(request_id, result)
    if not isinstance(refused, Failure) or refused.owner != "input":
        return refused
    if any(word in refused.reason.lower() for word in _EMPTY_ACCOUNT):  # told with status 400 here
        return Fatal(refused.reason, "run the same command again when the account allows it")
    if "temperature" in refused.reason or "top_p" in refused.reason:
        return Failure(request_id, "input", f"{refused.reason} (option sampling = 'left-out' leaves it out)")
    return refused


def _probe(pool: HttpPool, model: str, options: AnthropicOptions, *, has_key: bool) -> AnthropicWire:
    """Ask for a token twice as the run will ask, so that a wrong address, key or field is told at once."""
    where = options.base_url
    told = pool.call(HttpCall("probe", f"/v1/models/{quote(model, safe='')}", method="GET"), _POLICY)
    if isinstance(told.outcome, HttpFault):
        _refuse(where, told.outcome.reason, "check base_url, or start the server")
    card = _body_of("probe", told)
    n_context = card.get("max_input_tokens") if isinstance(card, Mapping) else None
    dialect = AnthropicDialect(model, options.sampling, extra_body=options.extra_body)
    answer = _asked(pool, _PROBE, dialect)
    if isinstance(answer, Fatal):
        is_keyless = not has_key and "refused the key" in answer.what
        _refuse(where, answer.what, "name the key's variable in api_key_env" if is_keyless else answer.todo)
    # that the model refused or thought is no fault of the server's
    if isinstance(answer, Failure) and answer.owner != "model":
        todo = "check the model's name and extra_body" if answer.owner == "input" else "check base_url"
        _refuse(where, answer.reason, todo)
    capabilities = Capabilities(
        generate=True,
        choose=options.votes > 0,
        score=False,
        max_context=options.max_context or (n_context if type(n_context) is int else 0) or _UNKNOWN_CONTEXT,
        look_ahead=2 * options.concurrency,
    )
    fate = _prefill_fate(_asked(pool, replace(_PROBE, prefill=_PREFILL), dialect))
    return AnthropicWire(replace(dialect, prefill=fate), capabilities, options.votes)


def _asked(pool: HttpPool, request: GenerateRequest, dialect: AnthropicDialect) -> Answer | Fatal:
    body = _body_of(
        "probe", pool.call(HttpCall("probe", _MESSAGES, generate_body(request, dialect)), _POLICY)
    )
    return read_message(request, body, dialect) if isinstance(body, Mapping) else body


def _prefill_fate(answer: Answer | Fatal) -> PrefillFate:
    if isinstance(answer, Completion) and answer.text.startswith(_PREFILL):
        return "repeated"
    return "refused" if isinstance(answer, Failure) and answer.owner == "input" else "continued"


def _checked(model: str, options: AnthropicOptions) -> str:
    """Return the base URL, without the `/v1`, after a look at everything that can be known to be wrong."""
    where = "options of the engine anthropic"
    require(options, where, concurrency=1, timeout_s=0.001, connect_timeout_s=0.001, max_retries=0)
    require(options, where, retry_after_max_s=0, votes=0, requests_per_minute=0, tokens_per_minute=0)
    require(options, where, max_context=0, give_up_after=0)
    if not model:
        raise DataError("the model has no name", where="model", todo="name it as the server does")
    if not options.api_version.isascii() or not options.api_version.isprintable():
        raise DataError(f"api_version is {options.api_version!r}", where="api_version", todo="leave it out")
    own = sorted(OWN_FIELDS & options.extra_body.keys())
    if own:
        raise DataError(f"extra_body sets {own[0]!r}, which each request sets itself", where="extra_body")
    try:
        json.dumps(options.extra_body, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"extra_body cannot be sent as JSON: {error}", where="extra_body") from error
    return check_base_url(options.base_url).removesuffix("/v1")


def _refuse(where: str, what: str, todo: str) -> NoReturn:
    raise EngineError(what, where=where, todo=todo)
