"""The OpenAI chat protocol as pure functions: requests into JSON bodies, JSON bodies into answers.

A server may mean less than it says, so every field is checked: usage is only believed where it is
possible, log-probabilities where they are probabilities, and a body that holds no answer becomes a
`Failure` with its owner and reason.

What cannot be kept over this protocol: a message goes as text, and most servers read control strings in
it (`<|im_end|>`) as control tokens. An engine with the weights on disk does not.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1 (log-probabilities of the options). Departure: where a
server gives none, the share of repeated votes stands for them (`votes.py`).
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

from publius.engines.checks import refuse_generation, refuse_plain_text
from publius.engines.http_body import error_message, shown, whole_text
from publius.engines.openai_logprobs import Listed, n_listed, read_ids, read_listed
from publius.engines.openai_usage import read_usage
from publius.engines.protocol import Choice, ChooseRequest, Completion, Failure, GenerateRequest
from publius.engines.token_estimate import least_tokens, n_text_bytes
from publius.engines.votes import VOTE_TOKENS
from publius.records import Conversation, derive_seed

# How an answer is begun for the model: vLLM is told to go on, llama.cpp does so and repeats the beginning.
PrefillStyle: TypeAlias = Literal["vllm", "llamacpp", "none"]

# The fields that a request decides; a user's `extra_body` must not set them.
OWN_FIELDS = frozenset(
    {
        *("add_generation_prompt", "continue_final_message", "logit_bias", "logprob_token_ids", "logprobs"),
        *("max_completion_tokens", "max_tokens", "messages", "model", "n", "return_tokens_as_token_ids"),
        *("seed", "stop", "stream", "temperature", "top_logprobs", "top_p"),
    }
)
_MAX_STOPS = 4  # what OpenAI takes; all of them are cut here in any case
_STOPPED = frozenset(("stop", "eos", "eos_token", "end_turn", "stop_sequence"))
_CUT = frozenset(("length", "max_tokens"))
_FILTERED = frozenset(("content_filter", "safety", "refusal"))
_CALLED = frozenset(("tool_calls", "function_call"))


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one server wants to be asked. `top_logprobs` is how many it lists; `extra_body` goes along.

    `forces_options`: llama.cpp tells what the model gave whatever it is made to say, but lists nothing
    where the answer ends at once or begins with part of a character; so it is made to say an option.
    `neutral` are the server's own cuts of the distribution (top_k and the like), switched off.
    """

    model: str
    prefill: PrefillStyle = "none"
    top_logprobs: int = 20
    forces_options: bool = False
    neutral: Mapping[str, float] = field(default_factory=dict[str, float])
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra_body: Mapping[str, object] = field(default_factory=dict[str, object])


def generate_body(request: GenerateRequest, dialect: Dialect) -> dict[str, object]:
    """Return the body of a chat completion; the seed has 31 bits, and at most four stop strings go along."""
    sampling = request.sampling
    body = _body(request, dialect, max_tokens=sampling.max_tokens, temperature=sampling.temperature)
    body |= {"top_p": sampling.top_p, "seed": sampling.seed & 0x7FFFFFFF}
    body |= {name: value for name, value in dialect.neutral.items() if name not in dialect.extra_body}
    if sampling.stop:
        body["stop"] = [whole_text(stop) for stop in sampling.stop[:_MAX_STOPS]]
    return body


def choose_body(
    request: ChooseRequest, dialect: Dialect, *, token_ids: Sequence[int] = ()
) -> dict[str, object]:
    """Return the body that asks for one token and the log-probabilities in its place.

    With `token_ids` (vLLM's `logprob_token_ids`, one for each option) the answer has exactly these tokens;
    without, the likeliest ones. Temperature 0: vLLM, llama.cpp, SGLang and OpenAI list what the model
    gave before temperature and cuts, and a greedy token ends no answer by chance.
    """
    body = _body(request, dialect, max_tokens=1, temperature=0.0)
    body |= {"logprobs": True, "top_logprobs": dialect.top_logprobs, "seed": 0}
    if dialect.forces_options:
        body["logit_bias"] = dict.fromkeys(request.options, 100)
    if token_ids:
        body |= {
            "top_logprobs": min(dialect.top_logprobs, len(token_ids)),
            "logprob_token_ids": list(token_ids),
            "return_tokens_as_token_ids": True,
        }
    return body


def vote_body(request: ChooseRequest, dialect: Dialect, *, index: int) -> dict[str, object]:
    """Return the body of the vote number `index`: the same question at temperature 1, a seed of its own."""
    body = _body(request, dialect, max_tokens=VOTE_TOKENS, temperature=1.0)
    body |= {name: value for name, value in dialect.neutral.items() if name not in dialect.extra_body}
    return body | {"top_p": 1.0, "seed": derive_seed(0, request.id, "vote", index)}


def refuse_request(
    request: GenerateRequest | ChooseRequest, *, prefill: PrefillStyle, max_context: int
) -> Failure | None:
    """Return why a request would fail for certain, without asking; None where only the server knows.

    `max_context` is in tokens; of the prompt only the least possible number is known here.
    """
    if not request.messages:
        return refuse_plain_text(request)
    if request.prefill and prefill == "none":
        return Failure(
            request.id,
            "input",
            "the answer is to begin with given text, and this server is not known to continue one "
            "(option prefill where it is)",
        )
    if isinstance(request, GenerateRequest):
        problem, n_new = _sampling_problem(request), request.sampling.max_tokens
    else:
        problem, n_new = _options_problem(request.options), 1
    if problem:
        return Failure(request.id, "input", problem)
    n_least = least_tokens(n_text_bytes(request.messages, request.prefill))
    if n_least + n_new > max_context:
        return Failure(
            request.id,
            "input",
            f"the prompt has {n_least} tokens or more and {n_new} may be generated; "
            f"the model's context holds {max_context}",
        )
    return None


def read_completion(
    request: GenerateRequest, body: Mapping[str, Any], *, prefill: PrefillStyle = "none"
) -> Completion | Failure:
    """Return the answer in `body`, without the prefill where the server repeats it, cut at the first stop.

    Token counts are the server's where they are possible, else estimated from the text.
    """
    choice = _first_choice(request.id, body)
    if isinstance(choice, Failure):
        return choice
    text, n_limit = _text_of(choice), request.sampling.max_tokens
    if text is not None and prefill == "llamacpp":
        text = text.removeprefix(whole_text(request.prefill))
    n_prompt, n_answer = read_usage(body, request, text=text or "", n_limit=n_limit)
    finish = _finish_of(choice, is_full=n_answer >= n_limit)
    if finish is None:
        return _strange_finish(request.id, choice)
    if text is None and finish == "stop":
        return _textless(request.id, choice)
    whole = (text or "").rstrip("\ufffd" if finish == "length" else "")  # the limit fell inside a character
    cuts = [whole.index(stop) for stop in request.sampling.stop if stop in whole]
    if cuts:
        whole, finish = whole[: min(cuts)], "stop"
    return Completion(request.id, whole, finish, n_prompt, n_answer)


def read_choice(
    request: ChooseRequest, body: Mapping[str, Any], *, token_ids: Sequence[int] = ()
) -> Choice | Failure:
    """Return the log-probability of each option as `body` lists it (see `openai_logprobs.read_listed`)."""
    choice = _first_choice(request.id, body)
    if isinstance(choice, Failure):
        return choice
    if _finish_of(choice, is_full=True) is None:
        return _strange_finish(request.id, choice)
    listed: object = choice.get("logprobs")
    found = read_ids(listed, token_ids) if token_ids else read_listed(listed, request.options)
    if isinstance(found, Listed):
        return Choice(request.id, found.logprobs, read_usage(body, request, text="", n_limit=1).prompt)
    return Failure(request.id, found.owner, found.reason)


def lists_tokens(body: Mapping[str, Any]) -> bool:
    """Return whether an answer lists the log-probabilities of several tokens in the first place.

    >>> lists_tokens({"choices": [{"message": {"content": "1"}}]})
    False
    """
    choice = _first_choice("", body)
    return not isinstance(choice, Failure) and n_listed(choice.get("logprobs")) > 1


def read_vote(request: ChooseRequest, body: Mapping[str, Any]) -> str | Failure:
    """Return the text of a vote, readable or not; a filtered one is a text that names no option."""
    choice = _first_choice(request.id, body)
    if isinstance(choice, Failure):
        return choice
    if _finish_of(choice, is_full=False) is None:
        strange = _strange_finish(request.id, choice)
        return strange if strange.owner == "engine" else strange.reason
    return _text_of(choice) or ""


def wire_messages(messages: Conversation) -> list[dict[str, str]]:
    """Return the messages as the protocol has them, lone surrogates replaced.

    >>> from publius.records import user
    >>> wire_messages((user("Hi"),))
    [{'role': 'user', 'content': 'Hi'}]
    """
    return [{"role": message.role, "content": whole_text(message.content)} for message in messages]


def _body(
    request: GenerateRequest | ChooseRequest, dialect: Dialect, *, max_tokens: int, temperature: float
) -> dict[str, object]:
    messages = wire_messages(request.messages)
    body: dict[str, object] = {**dialect.extra_body, "model": dialect.model, "messages": messages}
    if request.prefill:
        messages.append({"role": "assistant", "content": whole_text(request.prefill)})
        if dialect.prefill == "vllm":
            body |= {"continue_final_message": True, "add_generation_prompt": False}
    return body | {dialect.limit_field: max_tokens, "temperature": temperature}


def _first_choice(request_id: str, body: Mapping[str, Any]) -> Mapping[str, Any] | Failure:
    """Return the first choice, or the upstream's failure: an error with status 200, or no choice at all."""
    choices: object = body.get("choices")
    if body.get("error"):
        return Failure(request_id, "engine", f"the server answered 200 with an error: {error_message(body)}")
    if not isinstance(choices, list) or not choices:
        return Failure(request_id, "engine", "the server's answer has no choices")
    first = cast(list[object], choices)[0]
    if not isinstance(first, Mapping) or not isinstance(first.get("message"), Mapping):
        return Failure(request_id, "engine", "the server's first choice has no message")
    return cast(Mapping[str, Any], first)


def _text_of(choice: Mapping[str, Any]) -> str | None:
    """Return the message's text, joined if it comes in parts; None if there is none."""
    content: object = choice["message"].get("content")
    if isinstance(content, str):
        return whole_text(content)
    if isinstance(content, list):
        parts = [part for part in cast(list[object], content) if isinstance(part, Mapping)]
        texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
        return whole_text("".join(texts)) if texts else None
    return None


def _finish_of(choice: Mapping[str, Any], *, is_full: bool) -> Literal["stop", "length"] | None:
    """Return how the answer ended; None if it did not end as an answer. Without a word: by its length."""
    reason: object = choice.get("finish_reason")
    if reason is None:
        return "length" if is_full else "stop"
    name = str(reason).lower()
    return "stop" if name in _STOPPED else "length" if name in _CUT else None


def _strange_finish(request_id: str, choice: Mapping[str, Any]) -> Failure:
    reason = str(choice.get("finish_reason")).lower()
    if reason in _FILTERED:
        return Failure(request_id, "model", f"the server's content filter stopped the answer ({reason})")
    if reason in _CALLED:
        return Failure(request_id, "model", "the model called a tool instead of answering")
    return Failure(request_id, "engine", f"the answer ended in an unknown way: {shown(reason, 60)!r}")


def _textless(request_id: str, choice: Mapping[str, Any]) -> Failure:
    refusal: object = choice["message"].get("refusal")
    said = f": {shown(refusal, 160)!r}" if isinstance(refusal, str) and refusal else ""
    what = "the model refused" if said else "the model's answer has no text"
    return Failure(request_id, "model", what + said)


def _sampling_problem(request: GenerateRequest) -> str | None:
    refused = refuse_generation(request, n_prompt=0, max_context=sys.maxsize)
    return refused.reason if refused else None


def _options_problem(options: Sequence[str]) -> str | None:
    if not options:
        return "there are no options to choose from"
    if len(set(options)) < len(options):
        return f"two of the options {options!r} are the same"
    if any(len(option.split()) != 1 for option in options):
        return f"the options {options!r} are not single words, and an option must be a single token"
    return None
