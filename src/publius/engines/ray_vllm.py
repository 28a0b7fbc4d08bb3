"""GPUs behind Ray: the configuration of `ray.data.llm`'s vLLM processor, and its rows.

The processor loads the model once in each replica and applies its chat template. What it cannot do for one
row comes back as that row with `__inference_error__`, past our reading of rows; so requests are found again
by a column of ours, not by their place. Options are read off the 20 likeliest tokens.

What cannot be kept: the template is applied to text, so control strings in a message become control tokens.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1 (log-probabilities of the options).
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from publius.engines.checks import refuse_generation, refuse_plain_text
from publius.engines.http_body import shown, whole_text
from publius.engines.openai_logprobs import Listed, read_listed
from publius.engines.openai_wire import wire_messages
from publius.engines.protocol import Choice, ChooseRequest, Completion, Failure, GenerateRequest
from publius.engines.ray_rows import (
    ANSWERED,
    NumberedOutcome,
    Outcome,
    outcome_row,
    read_outcome,
    read_request,
)
from publius.engines.ray_stream import COLUMN, OutRow
from publius.engines.token_estimate import least_tokens, n_text_bytes
from publius.errors import DataError, EngineError, require

ERROR_COLUMN = "__inference_error__"
_N_LISTED = 20  # vLLM's own limit, unless max_logprobs in engine_kwargs says otherwise
_OVER_LONG = ("max_model_len", "maximum model length", "context length", "longer than the maximum")


@dataclass(frozen=True, slots=True)
class VllmOptions:
    """Which model the GPUs of the cluster load, and how. `model_source` is a hub id or a path on every node.

    `revision` pins the weights (a commit); without it the name alone does. `max_context` in tokens; it is
    also vLLM's max_model_len. `engine_kwargs` go to vLLM, `chat_template_kwargs` to the template,
    `processor` to `vLLMEngineProcessorConfig`. `max_in_flight` is how many rows a replica holds at once.
    """

    model_source: str
    max_context: int
    revision: str = ""
    max_in_flight: int = 256
    accelerator_type: str = ""
    engine_kwargs: dict[str, Any] = field(default_factory=dict[str, Any])
    chat_template_kwargs: dict[str, Any] = field(default_factory=dict[str, Any])
    processor: dict[str, Any] = field(default_factory=dict[str, Any])


def check_vllm(options: VllmOptions) -> None:
    """Refuse options that cannot work.

    Raises:
        DataError: One of them is too small, sets what is decided here, or runs code of a model's author.
    """
    where = "options.vllm of the engine ray"
    require(options, where, max_context=1, max_in_flight=1)
    if not options.model_source:
        raise DataError("model_source is empty", where=where, todo="name a hub id or a path on every node")
    twice = {"model", "max_model_len", "revision"} & options.engine_kwargs.keys()
    taken = sorted(twice | (_processor(options, 1).keys() & options.processor.keys()))
    if taken:
        raise DataError(f"{taken[0]!r} is set twice: the engine sets it itself", where=where)
    if options.engine_kwargs.get("trust_remote_code"):
        raise DataError("trust_remote_code runs code that comes with a model; it is refused", where=where)


def vllm_config(options: VllmOptions, *, replicas: int) -> Any:
    """Return the processor's configuration.

    Raises:
        EngineError: `ray.data.llm` needs a package that is not installed.
    """
    try:
        llm = cast(Any, importlib.import_module("ray.data.llm"))
    except ImportError as error:
        raise EngineError(
            f"Ray's part for language models cannot be imported: {error}",
            where="options.vllm of the engine ray",
            todo="pip install 'ray[llm]' in an environment of its own, here and on the cluster",
        ) from error
    return llm.vLLMEngineProcessorConfig(**_processor(options, replicas), **options.processor)


def _processor(options: VllmOptions, replicas: int) -> dict[str, Any]:
    """Return the fields of the configuration.

    One row is one batch, since a batch comes back as a whole and only when it is full: the last rows of a
    stage would wait for rows that never come. Many batches at once fill vLLM, which batches by itself.
    """
    revision = {"revision": options.revision} if options.revision else {}
    engine = {"max_model_len": options.max_context, **revision, **options.engine_kwargs}
    return {
        "model_source": options.model_source,
        "engine_kwargs": {"max_logprobs": _N_LISTED, **engine},
        "batch_size": 1,
        "max_concurrent_batches": options.max_in_flight,
        "concurrency": (replicas, replicas),
        "accelerator_type": options.accelerator_type or None,
        "should_continue_on_error": True,
        "tokenize_stage": False,
        "detokenize_stage": False,
        "log_engine_metrics": False,
    }


def vllm_transform(options: VllmOptions, *, replicas: int) -> Any:
    """Return what makes a dataset of rows one of results; the function takes the rows and the inbox."""

    def transform(rows: Any, inbox: Any) -> Any:
        config = vllm_config(options, replicas=replicas)
        llm = cast(Any, importlib.import_module("ray.data.llm"))
        few = {"num_cpus": 0.1}
        return llm.build_processor(
            config,
            preprocess=to_vllm,
            postprocess=from_vllm,
            builder_kwargs={"chat_template_kwargs": options.chat_template_kwargs},
            preprocess_map_kwargs=few,
            postprocess_map_kwargs=few,
        )(rows)

    return transform


def refuse_vllm(request: GenerateRequest | ChooseRequest, *, max_context: int) -> Failure | None:
    """Return why a request would fail for certain, or None. `max_context` in tokens."""
    if not request.messages:
        return refuse_plain_text(request)
    n_least = least_tokens(n_text_bytes(request.messages, request.prefill))
    if isinstance(request, GenerateRequest):
        return refuse_generation(request, n_prompt=n_least, max_context=max_context)
    if len(set(request.options)) < max(1, len(request.options)):
        return Failure(request.id, "input", f"the options {request.options!r} are not distinct")
    if any(len(option.split()) != 1 for option in request.options):
        return Failure(request.id, "input", f"the options {request.options!r} are not single words")
    return None


def to_vllm(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the processor needs for a row: messages and sampling parameters.

    An answered row, which only comes when a block is made again, asks for one token.
    """
    if row[COLUMN] == ANSWERED:
        return {"messages": [{"role": "user", "content": "."}], "sampling_params": {"max_tokens": 1}}
    request = read_request(row[COLUMN]).request
    assert isinstance(request, GenerateRequest | ChooseRequest)
    messages = wire_messages(request.messages)
    if request.prefill:  # a last message of the assistant is continued (`chat_template_stage.py`)
        messages.append({"role": "assistant", "content": whole_text(request.prefill)})
    if isinstance(request, ChooseRequest):
        return {
            "messages": messages,
            "sampling_params": {"max_tokens": 1, "temperature": 0.0, "logprobs": _N_LISTED},
        }
    sampling = request.sampling
    params: dict[str, Any] = {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed & 0x7FFFFFFF,
    }
    if sampling.stop:
        params["stop"] = [whole_text(stop) for stop in sampling.stop]
    return {"messages": messages, "sampling_params": params}


def from_vllm(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the outcome of a row that the processor answered, as a row."""
    if row[COLUMN] == ANSWERED:
        return {COLUMN: ANSWERED}
    number, request = read_request(row[COLUMN])
    assert isinstance(request, GenerateRequest | ChooseRequest)
    read = _choice if isinstance(request, ChooseRequest) else _completion
    return {COLUMN: outcome_row(number, read(cast(Any, request), row))}


def read_result(row: OutRow) -> NumberedOutcome | None:
    """Return the outcome in a row as it leaves the dataset, whether it went past `from_vllm` or not.

    None for a row that was answered before. A row with an error still has the request in its column.
    """
    text, error = str(row[COLUMN]), str(row.get(ERROR_COLUMN) or "")
    if text == ANSWERED:
        return None
    if not error:
        return read_outcome(text)
    number, request = read_request(text)
    owner = "input" if any(word in error.lower() for word in _OVER_LONG) else "engine"
    return NumberedOutcome(number, Failure(request.id, owner, f"vLLM: {shown(error)}"))


def _completion(request: GenerateRequest, row: Mapping[str, Any]) -> Outcome:
    text, n_new = whole_text(str(row["generated_text"])), int(row["num_generated_tokens"])
    finish = "length" if n_new >= request.sampling.max_tokens else "stop"
    cuts = [text.index(stop) for stop in request.sampling.stop if stop in text]
    if cuts:
        text, finish = text[: min(cuts)], "stop"
    return Completion(request.id, text, finish, int(row["num_input_tokens"]), n_new)


def _choice(request: ChooseRequest, row: Mapping[str, Any]) -> Outcome:
    listed = row.get("logprobs")
    first = cast(Mapping[object, Mapping[str, Any]], listed[0]) if listed is not None and len(listed) else {}
    tokens = [{"token": str(one["decoded_token"]), "logprob": one["logprob"]} for one in first.values()]
    found = read_listed({"content": [{"top_logprobs": tokens}]}, request.options)
    if isinstance(found, Listed):
        return Choice(request.id, found.logprobs, int(row["num_input_tokens"]))
    return Failure(request.id, found.owner, found.reason)
