"""Find out once what a server can do: is the model there, does it list log-probabilities, is it vLLM?

The probe asks for one token in the way that the run will ask, so a wrong address, key, model or field is
told before anything is spent. Hosts differ in three fields, which are tried: how many log-probabilities
they list, and what the limit of tokens is called.

Paper: none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NoReturn, cast

from publius.engines.http_body import NotJson, read_json, shown
from publius.engines.http_policy import HttpAnswer, HttpFault, HttpPolicy
from publius.engines.http_pool import HttpPool
from publius.engines.http_refusals import Fatal, read_refusal, said_by
from publius.engines.http_retry import HttpCall, HttpResult
from publius.engines.openai_tokens import ServerTokens
from publius.engines.openai_usage import read_usage
from publius.engines.openai_wire import (
    Dialect,
    PrefillStyle,
    choose_body,
    generate_body,
    lists_tokens,
    read_choice,
    read_completion,
    read_vote,
    refuse_request,
    vote_body,
)
from publius.engines.protocol import (
    Answer,
    Capabilities,
    Choice,
    ChooseRequest,
    Failure,
    GenerateRequest,
    Sampling,
)
from publius.engines.token_estimate import likely_prompt_tokens
from publius.engines.votes import VOTE_TOKENS, CastVote, count_votes
from publius.errors import EngineError
from publius.records import Conversation, user

_POLICY = HttpPolicy(max_retries=2)  # somebody is waiting for the error
_QUESTION = (user("Reply with the digit 1 or the digit 2, and nothing else."),)
_CHOICE = ChooseRequest("probe", _QUESTION, ("1", "2"))
_GENERATE = GenerateRequest("probe", _QUESTION, Sampling(1, stop=("\n\n",)))
_UNKNOWN_CONTEXT = 131_072  # where nobody says: the server will refuse what is too long
# what servers do to sampling unless they are told not to, and a request does not ask for
_NEUTRAL: Mapping[str, Mapping[str, float]] = {
    "vllm": {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0},
    "llamacpp": {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0},
}
_PREFILLS: Mapping[str, PrefillStyle] = {"vllm": "vllm", "llamacpp": "llamacpp"}
_LISTED_BY_LLAMACPP = (100, 20)
_LISTED = (20, 5)  # what OpenAI and vLLM list at most, and what smaller hosts do


@dataclass(frozen=True, slots=True)
class Server:
    """A server as the options name it; `prefix` is the part of its paths before the protocol's own."""

    model: str
    base_url: str
    key_env: str = ""
    prefix: str = "/v1"
    concurrency: int = 32
    votes: int = 0
    max_context: int = 0
    prefill: Literal["auto", "vllm", "llamacpp", "none"] = "auto"
    extra_body: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True)
class OpenAIWire:
    """The protocol as this server speaks it. `votes` 0: options by log-probabilities."""

    dialect: Dialect
    capabilities: Capabilities
    path: str
    votes: int
    tokens: ServerTokens | None

    @property
    def no_choice(self) -> str:
        """What to do where the server lists no log-probabilities."""
        return (
            "set the option votes (16, say) to ask by repeated votes, or use a server with log-probabilities"
        )

    def count_tokens(self, messages: Conversation) -> int:
        """Return the prompt tokens, counted by vLLM's tokenizer where there is one, else about."""
        counted = self.tokens.count(messages) if self.tokens else None
        return likely_prompt_tokens(messages) if counted is None else counted

    def calls(self, request: GenerateRequest | ChooseRequest) -> Sequence[HttpCall] | Failure:
        """Return the call or the votes of a request, or why it cannot be answered."""
        max_context = self.capabilities.max_context
        refused = refuse_request(request, prefill=self.dialect.prefill, max_context=max_context)
        if refused is not None:
            return refused
        if isinstance(request, GenerateRequest):
            bodies, n_new = [generate_body(request, self.dialect)], request.sampling.max_tokens
        elif self.votes:
            bodies = [vote_body(request, self.dialect, index=index) for index in range(self.votes)]
            n_new = VOTE_TOKENS
        else:
            ids = self._option_ids(request)
            if isinstance(ids, Failure):
                return ids
            bodies, n_new = [choose_body(request, self.dialect, token_ids=ids)], 1
        n_tokens = likely_prompt_tokens(request.messages, request.prefill) + n_new
        return [HttpCall("", self.path, body, n_tokens) for body in bodies]

    def read(self, request: GenerateRequest | ChooseRequest, results: Sequence[HttpResult]) -> Answer | Fatal:
        """Return the answer in the results, or why there is none."""
        if self.votes and isinstance(request, ChooseRequest):
            return count_votes(request, [_vote(request, result) for result in results])
        body = read_body(request.id, results[0])
        if not isinstance(body, Mapping):
            return body
        if isinstance(request, GenerateRequest):
            return read_completion(request, body, prefill=self.dialect.prefill)
        ids = self._option_ids(request)
        return ids if isinstance(ids, Failure) else read_choice(request, body, token_ids=ids)

    def _option_ids(self, request: ChooseRequest) -> Sequence[int] | Failure:
        return self.tokens.option_ids(request) if self.tokens and self.tokens.has_logprobs else ()


def probe_openai(pool: HttpPool, server: Server) -> OpenAIWire:
    """Return how to speak with the server.

    Raises:
        EngineError: It cannot be reached, refuses key, model or fields, or does not speak the protocol.
    """
    card, names = _models(pool, server)
    owner: object = card.get("owned_by")
    if owner == "llamacpp" and server.model not in names:  # it answers whatever its model is called
        _refuse_model(server, names)
    prefill = _PREFILLS.get(str(owner), "none") if server.prefill == "auto" else server.prefill
    asked = Dialect(
        server.model,
        prefill=prefill,
        forces_options=owner == "llamacpp",
        neutral=_NEUTRAL.get(str(owner), {}),
        extra_body=server.extra_body,
    )
    dialect, has_logprobs = _dialect(pool, server, asked, names)
    path = f"{server.prefix}/chat/completions"
    tokens = _tokens(pool, dialect, path) if owner == "vllm" and has_logprobs else None
    capabilities = Capabilities(
        generate=True,
        choose=has_logprobs or server.votes > 0,
        score=False,
        max_context=server.max_context or _context(pool, card) or _UNKNOWN_CONTEXT,
        look_ahead=2 * server.concurrency,
    )
    return OpenAIWire(dialect, capabilities, path, 0 if has_logprobs else server.votes, tokens)


def read_body(request_id: str, result: HttpResult) -> Mapping[str, Any] | Failure | Fatal:
    """Return the JSON body of a good answer, else what its lack means."""
    outcome = result.outcome
    if isinstance(outcome, HttpFault) or not 200 <= outcome.status < 300:
        return read_refusal(request_id, result)
    try:
        return read_json(outcome.content, outcome.headers.get("content-type", ""))
    except NotJson as error:
        return Failure(request_id, "engine", str(error))


def _vote(request: ChooseRequest, result: HttpResult) -> CastVote | Failure | Fatal:
    """Return the vote that a call brought, or why it brought none."""
    body = read_body(request.id, result)
    if not isinstance(body, Mapping):
        return body
    text = read_vote(request, body)
    if isinstance(text, Failure):
        return text
    return CastVote(text, *read_usage(body, request, text=text, n_limit=VOTE_TOKENS))


def _models(pool: HttpPool, server: Server) -> tuple[Mapping[str, Any], Sequence[str]]:
    """Return what the server tells of the model, if anything, and the names of all its models."""
    result = pool.call(HttpCall("probe", f"{server.prefix}/models", method="GET"), _POLICY)
    if isinstance(result.outcome, HttpFault):
        _refuse(server, result.outcome.reason, "start the server, or check base_url")
    body = _json_of(result)
    listed: object = body.get("data")
    cards = (
        [card for card in cast(list[object], listed) if isinstance(card, Mapping)]
        if isinstance(listed, list)
        else []
    )
    named = {str(card.get("id")): cast(Mapping[str, Any], card) for card in cards}
    only = next(iter(named.values())) if len(named) == 1 else {}
    return named.get(server.model, only), tuple(named)


def _dialect(pool: HttpPool, server: Server, dialect: Dialect, names: Sequence[str]) -> tuple[Dialect, bool]:
    """Return the dialect that the server takes, and whether it lists log-probabilities."""
    path = f"{server.prefix}/chat/completions"
    while True:
        result = pool.call(HttpCall("probe", path, generate_body(_GENERATE, dialect)), _POLICY)
        if not _wants_other_limit(result, dialect):
            break
        dialect = replace(dialect, limit_field="max_completion_tokens")
    _check_first(server, result, names)
    for n_asked in _LISTED_BY_LLAMACPP if dialect.forces_options else _LISTED:
        listing = replace(dialect, top_logprobs=n_asked)
        result = pool.call(HttpCall("probe", path, choose_body(_CHOICE, listing)), _POLICY)
        body = read_body("probe", result)
        if isinstance(body, Mapping):
            return (listing, True) if lists_tokens(body) else (dialect, False)
        if isinstance(body, Fatal) or body.owner == "engine":  # no reason to think that it cannot
            _refuse(server, body.what if isinstance(body, Fatal) else body.reason, "try again later")
    return dialect, False


def _wants_other_limit(result: HttpResult, dialect: Dialect) -> bool:
    outcome = result.outcome
    return (
        dialect.limit_field == "max_tokens"
        and isinstance(outcome, HttpAnswer)
        and outcome.status == 400
        and b"max_completion_tokens" in outcome.content
    )


def _check_first(server: Server, result: HttpResult, names: Sequence[str]) -> None:
    """Refuse to go on if the first question found no answer, and say what to do about it."""
    outcome, body = result.outcome, read_body("probe", result)
    if isinstance(body, Mapping):
        answer = read_completion(_GENERATE, body)
        if isinstance(answer, Failure) and answer.owner == "engine":
            _refuse(
                server, answer.reason, "is this an OpenAI-compatible server? base_url usually ends in /v1"
            )
        return
    status = outcome.status if isinstance(outcome, HttpAnswer) else 0
    if status in (401, 403):
        todo = (
            f"put a key into {server.key_env}" if server.key_env else "name the key's variable in api_key_env"
        )
        _refuse(server, f"the server refused the key ({status}): {said_by(_answer(outcome))}", todo)
    if status in (400, 404) and names and server.model not in names:
        _refuse_model(server, names)
    if isinstance(body, Fatal):
        _refuse(server, body.what, body.todo)
    todo = "check extra_body and the model's name" if status in (400, 422) else "check base_url, or try later"
    _refuse(server, body.reason, todo)


def _tokens(pool: HttpPool, dialect: Dialect, path: str) -> ServerTokens | None:
    """Return vLLM's tokenizer, and whether tokens can be asked for by number."""
    tokens = ServerTokens(pool, dialect.model)
    ids = tokens.option_ids(_CHOICE)
    if isinstance(ids, Failure) or not ids:
        return None
    body = read_body(
        "probe", pool.call(HttpCall("probe", path, choose_body(_CHOICE, dialect, token_ids=ids)), _POLICY)
    )
    found = read_choice(_CHOICE, body, token_ids=ids) if isinstance(body, Mapping) else None
    tokens.has_logprobs = isinstance(found, Choice)
    return tokens


def _context(pool: HttpPool, card: Mapping[str, Any]) -> int:
    """Return the context that the server tells in tokens, or 0."""
    told: object = card.get("max_model_len")
    if card.get("owned_by") == "llamacpp":
        settings: object = _json_of(pool.call(HttpCall("probe", "/props", method="GET"), _POLICY)).get(
            "default_generation_settings"
        )
        told = cast(Mapping[str, object], settings).get("n_ctx") if isinstance(settings, Mapping) else None
    return told if type(told) is int and told > 0 else 0


def _json_of(result: HttpResult) -> Mapping[str, Any]:
    """Return the body of a good answer, or nothing."""
    body = read_body("probe", result)
    return body if isinstance(body, Mapping) else {}


def _answer(outcome: HttpAnswer | HttpFault) -> HttpAnswer:
    assert isinstance(outcome, HttpAnswer)
    return outcome


def _refuse_model(server: Server, names: Sequence[str]) -> NoReturn:
    some = ", ".join(shown(name, 60) for name in names[:8])
    _refuse(server, f"the server has no model {server.model!r}", f"name one that it has: {some}")


def _refuse(server: Server, what: str, todo: str) -> NoReturn:
    raise EngineError(what, where=server.base_url, todo=todo)
