"""What every engine checks before it computes: ids, room in the context, sane sampling, options of one token.

Paper: none.
"""

from collections.abc import Container, Sequence

from publius.engines.protocol import (
    Capabilities,
    ChooseRequest,
    Failure,
    GenerateRequest,
    ModelIdentity,
    Request,
    Sampling,
    ScoreRequest,
)
from publius.errors import DataError, EngineError
from publius.training.chat import ChatCodec, encode_messages


def check_submission(
    requests: Sequence[Request],
    in_flight: Container[str],
    *,
    model: ModelIdentity,
    capabilities: Capabilities,
    is_closed: bool,
    has_template: bool = True,
) -> None:
    """Refuse a submission as a whole, before anything of it is taken; `in_flight` are ids.

    Raises:
        EngineError: The engine is closed or cannot do one of the kinds, a model without a chat template is
            asked in turns, or an id is in flight already.
    """
    if is_closed:
        raise EngineError("this engine is closed", where=model.name, todo="open it again")
    can = {
        GenerateRequest: capabilities.generate,
        ChooseRequest: capabilities.choose,
        ScoreRequest: capabilities.score,
    }
    doing = {GenerateRequest: "generate text", ChooseRequest: "choose", ScoreRequest: "score given answers"}
    new: set[str] = set()
    for request in requests:
        kind = type(request)
        if not can[kind]:
            raise EngineError(
                f"this engine cannot {doing[kind]} with this model",
                where=model.name,
                todo="use the engine 'transformers' for this step",
            )
        if request.messages and not has_template:
            raise EngineError(
                "the model has no chat template, so it is not known how to put messages to it",
                where=model.name,
                todo="use the instruction-tuned variant; a base model can only be a judge with the layout "
                '"pretrained"',
            )
        if request.id in new or request.id in in_flight:
            raise EngineError(
                f"a request with the id {request.id!r} is in flight already",
                where=model.name,
                todo="give every request an id of its own, or wait for the first answer",
            )
        new.add(request.id)


def refuse_generation(request: GenerateRequest, *, n_prompt: int, max_context: int) -> Failure | None:
    """Return why a request cannot be served, or None if it can. `n_prompt` and `max_context` in tokens."""
    problem = _sampling_problem(request.sampling)
    if problem:
        return Failure(request.id, "input", problem)
    n_needed = n_prompt + request.sampling.max_tokens
    if n_needed > max_context:
        return Failure(
            request.id,
            "input",
            f"the prompt has {n_prompt} tokens and {request.sampling.max_tokens} may be generated; "
            f"the model's context holds {max_context}",
        )
    return None


def refuse_length(request_id: str, *, n_tokens: int, max_context: int) -> Failure | None:
    """Return a failure if `n_tokens` do not fit in the context of `max_context`, else None."""
    if n_tokens <= max_context:
        return None
    return Failure(
        request_id, "input", f"the text has {n_tokens} tokens; the model's context holds {max_context}"
    )


def refuse_plain_text(request: GenerateRequest | ChooseRequest) -> Failure | None:
    """Return a failure if a request has no messages, for an engine that asks a server; else None."""
    if request.messages:
        return None
    reason = "a prompt without turns needs the weights on this machine: a server is asked in turns"
    return Failure(request.id, "input", reason)


def option_ids(codec: ChatCodec, request: ChooseRequest, prompt_ids: Sequence[int]) -> list[int]:
    """Return the token of each option in its place after the prompt.

    An option is first read together with the prompt; where it would melt into the prompt's last token
    (in Qwen's vocabulary "(" and "A" make one token) it is the token of the option alone, which is what
    the model can put after that prompt.

    Raises:
        DataError: There are no options, one is not one token, or two are the same token.
    """
    if not request.options:
        raise DataError("there are no options to choose among")
    ids = [_option_id(codec, request, prompt_ids, option) for option in request.options]
    if len(set(ids)) < len(ids):
        raise DataError(f"two of the options {request.options!r} are the same token")
    return ids


def _option_id(codec: ChatCodec, request: ChooseRequest, prompt_ids: Sequence[int], option: str) -> int:
    joined = encode_messages(codec, request.messages, prefill=request.prefill + option)
    if len(joined) == len(prompt_ids) + 1 and joined[:-1] == list(prompt_ids):
        return joined[-1]
    alone = codec.encode(option) if option not in codec.control else []
    if len(alone) == 1:
        return alone[0]
    raise DataError(f"the option {option!r} is not a single token after the prompt")


def _sampling_problem(sampling: Sampling) -> str | None:
    if sampling.max_tokens < 1:
        return f"max_tokens is {sampling.max_tokens}, and at least 1 is needed"
    if sampling.temperature < 0:
        return f"temperature is {sampling.temperature}, and it cannot be negative"
    if not 0 < sampling.top_p <= 1:
        return f"top_p is {sampling.top_p}, and it must be above 0 and at most 1"
    if any(not stop for stop in sampling.stop):
        return "one of the stop strings is empty"
    return None
