"""The engine for GPUs: vLLM on weights on this machine, kept full by continuous batching.

Prompts become token ids here, by the codec that all engines with weights share, so text in a message stays
text. Requests of one prefix compute it once (vLLM's prefix cache is on). A GGUF file is dequantised first,
as vLLM does not read it.

vLLM computes in processes of its own (`vllm_processes.py`). It adds numbers in an order that depends on
what else is computed: see `transformers.py`, the yardstick.

Paper: none.
"""

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from publius.engines.checks import check_submission, option_ids, refuse_generation, refuse_length
from publius.engines.protocol import (
    Answer,
    Capabilities,
    Choice,
    ChooseRequest,
    Completion,
    Failure,
    GenerateRequest,
    ModelIdentity,
    Request,
    Score,
    ScoreRequest,
)
from publius.engines.vllm_processes import Watched, start_watched
from publius.engines.vocabulary import Vocabulary
from publius.errors import DataError, EngineError, require
from publius.records import Conversation, decode
from publius.training.chat import encode_messages, encode_messages_with_answer
from publius.training.weights import DType, model_directory, weights_hash


@dataclass(frozen=True, slots=True)
class VLLMOptions:
    """`dtype` None leaves it to vLLM; `n_gpus` share the weights; at most `max_running` requests run at once.

    `max_context` (tokens) can lower the model's own. `memory_share` of each device is for weights and cache;
    `cache_gb` above 0 (GiB) sets the cache's size instead. `compiled` False starts sooner and runs slower.
    """

    dtype: DType | None = None
    n_gpus: int = 1
    max_running: int = 256
    max_context: int | None = None
    memory_share: float = 0.9
    cache_gb: float = 0.0
    compiled: bool = True


class _Running(NamedTuple):
    request: Request
    prompt_ids: list[int]
    target_ids: list[int]  # the options, or the tokens of the answer to score


def open_vllm(path: Path, *, name: str, options: Mapping[str, object]) -> "VLLMEngine":
    """Return the engine for a GGUF file or a safetensors directory, called `name` in tables.

    `options` are the fields of `VLLMOptions`. Nothing is sent anywhere: vLLM's usage report is turned off.

    Raises:
        DataError: The weights cannot be read, or an option is unknown or of the wrong kind.
        EngineError: vLLM cannot start with this model on this machine.
        ImportError: vLLM is not installed.
    """
    chosen = decode(VLLMOptions, options)
    require(chosen, "engine 'vllm'", n_gpus=1, max_running=1, memory_share=0.01, cache_gb=0)
    os.environ["VLLM_NO_USAGE_STATS"] = "1"
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    vllm = cast(Any, importlib.import_module("vllm"))  # untyped, and not installed where this is checked
    is_cpu = bool(cast(Any, importlib.import_module("vllm.platforms")).current_platform.is_cpu())
    directory = model_directory(path)
    vocabulary = _vocabulary(directory)
    try:
        arguments = vllm.EngineArgs(**_arguments(directory, chosen, is_cpu=is_cpu))
        core = start_watched(lambda: vllm.LLMEngine.from_engine_args(arguments))
    except (RuntimeError, ValueError, OSError) as error:
        raise EngineError(
            f"vLLM cannot start: {str(error).partition(chr(10))[0]}",
            where=path,
            todo="VLLM_LOGGING_LEVEL=INFO tells why; if memory is short, lower memory_share or max_context",
        ) from error
    return VLLMEngine(core, vocabulary, ModelIdentity(name, weights_hash(path)))


def _vocabulary(directory: Path) -> Vocabulary:
    transformers = cast(Any, importlib.import_module("transformers"))
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise DataError(f"the tokenizer cannot be read: {error}", where=directory) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token  # nothing is padded here
    return Vocabulary(tokenizer)


def _arguments(directory: Path, options: VLLMOptions, *, is_cpu: bool) -> dict[str, object]:
    """Return vLLM's arguments. The model's own sampling defaults are left out: requests say how to sample."""
    return {
        "model": str(directory),
        "tokenizer": str(directory),
        "generation_config": "vllm",
        "dtype": options.dtype or "auto",
        "tensor_parallel_size": options.n_gpus,
        "max_num_seqs": options.max_running,
        "gpu_memory_utilization": options.memory_share,
        "enforce_eager": not options.compiled,
        "enable_prefix_caching": True,
        "logprobs_mode": "raw_logprobs",  # before temperature
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
        # a seeded request whose prompt is read in parts ends vLLM 0.32 on a CPU (no offsets in its generator)
        **({"enable_chunked_prefill": False} if is_cpu else {}),
        **({"max_model_len": options.max_context} if options.max_context else {}),
        **({"kv_cache_memory_bytes": int(options.cache_gb * 2**30)} if options.cache_gb else {}),
    }


class VLLMEngine:
    """An `Engine` on a vLLM `LLMEngine` that was started by `start_watched`."""

    def __init__(self, core: Watched, vocabulary: Vocabulary, identity: ModelIdentity) -> None:
        self._processes = core
        self._core: Any = core.started
        self._vocabulary = vocabulary
        self._identity = identity
        config = self._core.vllm_config
        self._max_context = int(config.model_config.max_model_len)
        self._look_ahead = 2 * int(config.scheduler_config.max_num_seqs)
        self._running: dict[str, _Running] = {}
        self._refused: list[Failure] = []
        self._is_closed = False

    @property
    def model(self) -> ModelIdentity:
        """Which weights answer."""
        return self._identity

    @property
    def capabilities(self) -> Capabilities:
        """Generates, chooses and scores."""
        return Capabilities(True, True, True, self._max_context, look_ahead=self._look_ahead)

    def count_tokens(self, messages: Conversation) -> int:
        """Return the number of prompt tokens of `messages`, the assistant's header included."""
        return len(encode_messages(self._vocabulary.codec, messages))

    def submit(self, requests: Sequence[Request]) -> None:
        """Hand requests to vLLM; what cannot be served is answered by the next `wait`.

        Raises:
            EngineError: What `check_submission` refuses.
        """
        in_flight = self._running.keys() | {failure.request_id for failure in self._refused}
        check_submission(
            requests,
            in_flight,
            model=self._identity,
            capabilities=self.capabilities,
            is_closed=self._is_closed,
            has_template=self._vocabulary.codec.has_template,
        )
        for request in requests:
            try:
                refused = self._put(request)
            except DataError as error:
                refused = Failure(request.id, "input", error.what)
            self._refused += [refused] if refused else []

    def wait(self) -> Sequence[Answer]:
        """Return the answers that have ended, at least one; none if nothing is in flight.

        Raises:
            EngineError: vLLM failed; everything in flight is forgotten.
        """
        answers: list[Answer] = list(self._refused)
        self._refused.clear()
        while not answers and self._running:
            answers += [self._answer(output) for output in self._step() if output.finished]
        return answers

    def cancel(self) -> None:
        """Break off everything in flight."""
        if self._running:
            self._core.abort_request(list(self._running))
        self._running.clear()
        self._refused.clear()

    def close(self) -> None:
        """End vLLM's processes; the engine cannot be used after."""
        if not self._is_closed:
            self.cancel()
            self._is_closed = True
            self._core.engine_core.shutdown()
            self._processes.release()
            self._core = None

    def _put(self, request: Request) -> Failure | None:
        """Hand a request to vLLM, or return why it cannot be served."""
        running = self._encoded(request)
        n_prompt, n_targets, n_context = len(running.prompt_ids), len(running.target_ids), self._max_context
        token_ids = running.prompt_ids
        match request:
            case GenerateRequest():
                refused = refuse_generation(request, n_prompt=n_prompt, max_context=n_context)
            case ChooseRequest():
                refused = refuse_length(request.id, n_tokens=n_prompt + 1, max_context=n_context)
            case ScoreRequest():
                # vLLM writes a token after whatever it reads
                refused = refuse_length(request.id, n_tokens=n_prompt + n_targets + 1, max_context=n_context)
                token_ids = [*running.prompt_ids, *running.target_ids]
        if refused is not None:
            return refused
        invalid = cast(Any, importlib.import_module("vllm.exceptions")).VLLMValidationError
        try:
            params = _sampling_params(running, self._vocabulary)
            self._core.add_request(request.id, {"prompt_token_ids": token_ids}, params)
        except (invalid, ValueError) as error:  # a temperature over 2, say
            return Failure(request.id, "input", f"vLLM refuses this: {error}")
        self._running[request.id] = running
        return None

    def _encoded(self, request: Request) -> _Running:
        codec = self._vocabulary.codec
        if isinstance(request, ScoreRequest):
            return _Running(request, *encode_messages_with_answer(codec, request.messages))
        prompt_ids = encode_messages(codec, request.messages, prefill=request.prefill)
        is_choice = isinstance(request, ChooseRequest)
        return _Running(request, prompt_ids, option_ids(codec, request, prompt_ids) if is_choice else [])

    def _step(self) -> Sequence[Any]:
        dead = cast(Any, importlib.import_module("vllm.v1.engine.exceptions")).EngineDeadError
        try:
            return self._core.step()
        except (dead, RuntimeError) as error:
            self._running.clear()  # there is nobody left to break it off
            self.close()
            raise EngineError(
                f"vLLM has failed: {str(error).partition(chr(10))[0]}",
                where=self._identity.name,
                todo="if memory is short, lower max_running or max_context; then run the same command again",
            ) from error

    def _answer(self, output: Any) -> Answer:
        """Return the answer in a finished `RequestOutput`."""
        request, prompt_ids, target_ids = self._running.pop(output.request_id)
        written = output.outputs[0]
        if written.finish_reason not in ("stop", "length"):
            return Failure(request.id, "engine", f"vLLM broke the answer off ({written.finish_reason})")
        match request:
            case GenerateRequest():
                return _completion(request, prompt_ids, written, self._vocabulary)
            case ChooseRequest():
                listed = written.logprobs[0]
                return Choice(request.id, tuple(listed[id].logprob for id in target_ids), len(prompt_ids))
            case ScoreRequest():
                listed = output.prompt_logprobs[len(prompt_ids) :]
                total = sum(at[id].logprob for at, id in zip(listed, target_ids, strict=True))
                return Score(request.id, total, len(target_ids))


def _sampling_params(running: _Running, vocabulary: Vocabulary) -> Any:
    """Return vLLM's `SamplingParams`; only where stop strings are sought must vLLM turn tokens into text."""
    module = cast(Any, importlib.import_module("vllm.sampling_params"))
    fields: dict[str, object] = {"max_tokens": 1, "temperature": 0.0, "detokenize": False}
    match running.request:
        case GenerateRequest(sampling=sampling):
            fields = {
                "max_tokens": sampling.max_tokens,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "seed": sampling.seed,
                "stop": list(sampling.stop),
                "stop_token_ids": sorted(vocabulary.end_ids),
                "detokenize": bool(sampling.stop),
            }
        case ChooseRequest():
            fields |= {"logprob_token_ids": running.target_ids}
        case ScoreRequest():
            fields |= {"prompt_logprobs": 0}  # of the tokens that stand there, and no others
    return module.SamplingParams(**fields, output_kind=module.RequestOutputKind.FINAL_ONLY)


def _completion(
    request: GenerateRequest,
    prompt_ids: Sequence[int],
    written: Any,
    vocabulary: Vocabulary,
) -> Completion:
    """Return what was written, as text that is decoded and cut like that of the other engines."""
    token_ids = list(written.token_ids)
    has_ended = bool(token_ids) and token_ids[-1] in vocabulary.end_ids
    text = vocabulary.text_after(prompt_ids, token_ids[:-1] if has_ended else token_ids)
    cuts = [text.index(stop) for stop in request.sampling.stop if stop in text]
    if cuts:
        text = text[: min(cuts)]
    finish = "stop" if cuts or written.finish_reason == "stop" else "length"
    # the limit may fall inside a character
    text = text if finish == "stop" else text.rstrip("\ufffd")
    return Completion(request.id, text, finish, len(prompt_ids), len(token_ids))
