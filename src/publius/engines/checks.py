"""What every engine checks before it computes: room in the context, sane sampling, options of one token.

Paper: none.
"""

from collections.abc import Sequence

from publius.engines.protocol import ChooseRequest, Failure, GenerateRequest, Sampling
from publius.errors import DataError
from publius.training.chat import ChatCodec, encode_messages


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


def option_ids(codec: ChatCodec, request: ChooseRequest, prompt_ids: Sequence[int]) -> list[int]:
    """Return the token of each option in its place after the prompt.

    An option is first read together with the prompt; where it would melt into the prompt's last token
    (in Qwen's vocabulary "(" and "A" make one token) it is the token of the option alone, which is what
    the model can put after that prompt.

    Raises:
        DataError: An option is not one token, or two options are the same token.
    """
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
