"""The Anthropic Messages API as pure functions: requests into JSON bodies, JSON bodies into answers.

How it differs from the OpenAI protocol: the system message is a field of its own; the text that an answer
begins with goes as an assistant's message at the end; there is no seed and there are no log-probabilities;
and what samples at temperature 1 and top-p 1 must be asked without these fields, because models since
Claude Opus 4.7, and all models under the API version 2026-10-21, refuse them even then.

What cannot be kept over this protocol: the server joins neighbouring messages of one role into one.

Paper: none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from publius.engines.http_body import error_message, shown, whole_text
from publius.engines.openai_usage import Usage, read_usage
from publius.engines.openai_wire import refuse_request, wire_messages
from publius.engines.protocol import ChooseRequest, Completion, Failure, GenerateRequest
from publius.engines.votes import VOTE_TOKENS, CastVote

SamplingFields: TypeAlias = Literal["sent", "left-out"]
# What becomes of an assistant's message at the end: the answer goes on after it; the answer goes on after
# it and says it again (llama.cpp); it is refused (Claude Opus 4.6 and later).
PrefillFate: TypeAlias = Literal["continued", "repeated", "refused"]

# The fields that a request decides; a user's `extra_body` must not set them.
OWN_FIELDS = frozenset(
    {
        *("max_tokens", "messages", "model", "stop_sequences", "stream", "system", "temperature", "top_p"),
    }
)
_MAX_STOPS = 4  # all of them are cut here in any case
_STOPPED = frozenset(("end_turn", "stop_sequence"))
_CUT = frozenset(("max_tokens", "model_context_window_exceeded"))


@dataclass(frozen=True, slots=True)
class AnthropicDialect:
    """How one model wants to be asked.

    With `sampling` "left-out" it is never told a temperature and samples as it does; `extra_body` goes along.
    """

    model: str
    sampling: SamplingFields = "sent"
    prefill: PrefillFate = "continued"
    extra_body: Mapping[str, object] = field(default_factory=dict[str, object])


def generate_body(request: GenerateRequest, dialect: AnthropicDialect) -> dict[str, object]:
    """Return the body of a message. Stop strings of white space alone, which are refused, stay here.

    >>> from publius.engines.protocol import Sampling
    >>> from publius.records import conversation
    >>> turns = conversation(("system", "Be brief."), ("user", "Hi"))
    >>> generate_body(GenerateRequest("r", turns, Sampling(9)), AnthropicDialect("m"))["system"]
    'Be brief.'
    """
    sampling = request.sampling
    body = _body(request, dialect, max_tokens=sampling.max_tokens)
    if dialect.sampling == "sent":
        body |= {} if sampling.temperature == 1 else {"temperature": sampling.temperature}
        body |= {} if sampling.top_p == 1 else {"top_p": sampling.top_p}
    stops = [whole_text(stop) for stop in sampling.stop if stop.strip()][:_MAX_STOPS]
    return body | ({"stop_sequences": stops} if stops else {})


def vote_body(request: ChooseRequest, dialect: AnthropicDialect) -> dict[str, object]:
    """Return the body of one vote: the same for all votes on a question, at temperature 1."""
    return _body(request, dialect, max_tokens=VOTE_TOKENS)


def refuse_message(
    request: GenerateRequest | ChooseRequest, dialect: AnthropicDialect, *, max_context: int
) -> Failure | None:
    """Return why a request would fail for certain, without asking; None where only the server knows.

    `max_context` is in tokens; of the prompt only the least possible number is known here.
    """
    problem = _roles_problem(request) or _prefill_problem(request.prefill, dialect)
    if not problem and isinstance(request, GenerateRequest) and dialect.sampling == "sent":
        problem = _temperature_problem(request.sampling.temperature)
    if problem:
        return Failure(request.id, "input", problem)
    return refuse_request(request, prefill="vllm", max_context=max_context)


def read_message(
    request: GenerateRequest, body: Mapping[str, Any], dialect: AnthropicDialect
) -> Completion | Failure:
    """Return the answer in `body`, cut at the first stop string.

    Token counts are the server's where they are possible, else estimated from the text. Text that a model
    wrote to itself before it answered (`thinking`) is no part of the answer.
    """
    message = _message(request, body, dialect)
    if isinstance(message, Failure):
        return message
    n_limit = request.sampling.max_tokens
    n_prompt, n_answer = _usage(body, request, text=message.text, n_limit=n_limit)
    finish = _finish_of(message.stop_reason, is_full=n_answer >= n_limit)
    if finish is None:
        return _strange_stop(request.id, body)
    if message.has_thought and not message.text and finish == "length":
        return Failure(request.id, "model", _THOUGHT_ONLY)
    cuts = [message.text.index(stop) for stop in request.sampling.stop if stop in message.text]
    if cuts:
        return Completion(request.id, message.text[: min(cuts)], "stop", n_prompt, n_answer)
    # the limit may fall inside a character
    text = message.text if finish == "stop" else message.text.rstrip("\ufffd")
    return Completion(request.id, text, finish, n_prompt, n_answer)


def read_message_vote(
    request: ChooseRequest, body: Mapping[str, Any], dialect: AnthropicDialect
) -> CastVote | Failure:
    """Return a vote, readable or not; a refusal is a text that names no option."""
    message = _message(request, body, dialect)
    if isinstance(message, Failure):
        return message
    text = _THOUGHT_ONLY if message.has_thought and not message.text else message.text
    if _finish_of(message.stop_reason, is_full=False) is None:
        strange = _strange_stop(request.id, body)
        if strange.owner == "engine":
            return strange
        text = strange.reason
    return CastVote(text, *_usage(body, request, text=text, n_limit=VOTE_TOKENS))


_THOUGHT_ONLY = (
    "the model thought until its token limit and did not answer "
    "(extra_body = { thinking = { type = 'disabled' } } where the model takes it, or a higher limit)"
)


def _body(
    request: GenerateRequest | ChooseRequest, dialect: AnthropicDialect, *, max_tokens: int
) -> dict[str, object]:
    messages = wire_messages(request.messages)
    n_system = next((i for i, turn in enumerate(messages) if turn["role"] != "system"), len(messages))
    body: dict[str, object] = {**dialect.extra_body, "model": dialect.model, "max_tokens": max_tokens}
    if n_system:
        body["system"] = "\n\n".join(turn["content"] for turn in messages[:n_system])
    prefill = [{"role": "assistant", "content": whole_text(request.prefill)}] if request.prefill else []
    return body | {"messages": [*messages[n_system:], *prefill]}


def _roles_problem(request: GenerateRequest | ChooseRequest) -> str | None:
    roles = [message.role for message in request.messages]
    turns = roles[next((i for i, role in enumerate(roles) if role != "system"), len(roles)) :]
    if not turns:
        return "the conversation has no turn of the user"
    if "system" in turns:
        return "a system message stands after the first turn, and this API takes it at the beginning only"
    if turns[-1] == "assistant":
        return "the last message is the assistant's, and this API would continue it instead of answering"
    return None


def _prefill_problem(prefill: str, dialect: AnthropicDialect) -> str | None:
    if prefill and dialect.prefill == "refused":
        return "the answer is to begin with given text, and this model does not continue one"
    if prefill[-1:].isspace():
        return "the beginning of the answer ends with white space, which this API refuses"
    return None


def _temperature_problem(temperature: float) -> str | None:
    if temperature > 1:
        return f"the temperature is {temperature:g}, and this API takes 1 at most"
    return None


class _Message(NamedTuple):
    text: str
    has_thought: bool
    stop_reason: object


def _message(
    request: GenerateRequest | ChooseRequest, body: Mapping[str, Any], dialect: AnthropicDialect
) -> _Message | Failure:
    """Return what the model said, or the upstream's failure: an error with status 200, or no message."""
    content: object = body.get("content")
    if body.get("error"):
        return Failure(request.id, "engine", f"the server answered 200 with an error: {error_message(body)}")
    if not isinstance(content, list):
        return Failure(request.id, "engine", "the server's answer is no message")
    items = cast(list[object], content)
    blocks = [cast(Mapping[str, object], block) for block in items if isinstance(block, Mapping)]
    texts = [text for block in blocks if isinstance(text := block.get("text"), str)]
    has_thought = any("thinking" in str(block.get("type")) for block in blocks)
    text = whole_text("".join(texts))
    if dialect.prefill == "repeated":
        text = text.removeprefix(whole_text(request.prefill))
    return _Message(text, has_thought, body.get("stop_reason"))


def _finish_of(reason: object, *, is_full: bool) -> Literal["stop", "length"] | None:
    """Return how the answer ended; None if it did not end as an answer. Without a word: by its length."""
    if reason is None:
        return "length" if is_full else "stop"
    if not isinstance(reason, str):
        return None
    return "stop" if reason in _STOPPED else "length" if reason in _CUT else None


def _strange_stop(request_id: str, body: Mapping[str, Any]) -> Failure:
    reason = shown(str(body.get("stop_reason")), 60)
    if reason == "refusal":
        details: object = body.get("stop_details")
        named = cast(Mapping[str, object], details) if isinstance(details, Mapping) else {}
        said = next((str(named[key]) for key in ("category", "explanation") if named.get(key)), "")
        return Failure(request_id, "model", "the model refused" + (f": {shown(said, 160)!r}" if said else ""))
    if reason == "tool_use":
        return Failure(request_id, "model", "the model called a tool instead of answering")
    return Failure(request_id, "engine", f"the answer ended in an unknown way: {reason!r}")


def _usage(
    body: Mapping[str, Any], request: GenerateRequest | ChooseRequest, *, text: str, n_limit: int
) -> Usage:
    """Return the tokens read and written; what came out of the prompt cache belongs to the prompt."""
    told: object = body.get("usage")
    counts = cast(Mapping[str, object], told) if isinstance(told, Mapping) else {}
    parts = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    renamed = {"prompt_tokens": _sum_of(counts, parts), "completion_tokens": counts.get("output_tokens")}
    return read_usage({"usage": renamed}, request, text=text, n_limit=n_limit)


def _sum_of(counts: Mapping[str, object], names: Sequence[str]) -> int:
    """Return the sum of the whole numbers under `names`, or −1 if one is no count or all are missing."""
    found = [counts[name] for name in names if counts.get(name) is not None]
    if not found or any(type(value) is not int or value < 0 for value in found):
        return -1
    return sum(cast(list[int], found))
