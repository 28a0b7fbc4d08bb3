"""The reference engine: torch and transformers, on the GPU if there is one, else on the CPU.

It is the yardstick that other engines are tested against. Requests are computed in static batches, each
of one kind and of similar lengths, taken from all that wait (`lengths.py`).

A request's answer depends on its own seed and prompt, not on the order of the requests or on its
neighbours, as far as arithmetic allows: a batch of another size adds its numbers in another order, which
moves log-probabilities by about 1e-5 in float32 and 0.1 in bfloat16, so that now and then another token is
taken. Requests submitted together make the same batches in whatever order they stand there.
Letters: B rows, T tokens, V vocabulary.

Paper: none.
"""

import gc
import importlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch

from publius.engines.checks import check_submission, option_ids, refuse_generation, refuse_length
from publius.engines.decoding import Decoder, Row
from publius.engines.lengths import LengthQueue, Size
from publius.engines.likelihood import Targets, answer_logprobs, option_logprobs
from publius.engines.protocol import (
    Answer,
    Capabilities,
    Choice,
    ChooseRequest,
    Failure,
    GenerateRequest,
    ModelIdentity,
    Request,
    Score,
    ScoreRequest,
)
from publius.engines.vocabulary import Vocabulary
from publius.errors import DataError, EngineError, require
from publius.records import Conversation, decode
from publius.training.chat import encode_messages, encode_messages_with_answer
from publius.training.weights import DType, LoadedModel, load_causal_lm, weights_hash

_MAX_LOGITS = 2**26  # of one batch: 256 MB in float32
# Prompts usually spread over three or four lengths of which each is twice the one before. With so many
# batches' worth of them in view, a batch of one length is nearly full.
_BATCHES_IN_VIEW = 4
_USUAL_TOKENS = 256  # of a prompt and its answer, to tell how many make a batch


@dataclass(frozen=True, slots=True)
class TransformersOptions:
    """`dtype` None is bfloat16 where the hardware has it, else float32; `device` is torch's name.

    `batch_tokens` bounds the tokens of one batch, prompts and answers; more is faster and needs more
    memory. `max_context` (tokens) can lower the model's own.
    """

    dtype: DType | None = None
    device: str | None = None
    batch_tokens: int = 16_384
    max_context: int | None = None


class _Waiting(NamedTuple):
    request: Request
    targets: Targets  # of a generate request: the prompt alone


def open_transformers(path: Path, *, name: str, options: Mapping[str, object]) -> "TransformersEngine":
    """Return the engine for a GGUF file or a safetensors directory, called `name` in tables.

    `options` are the fields of `TransformersOptions`.

    Raises:
        DataError: The weights cannot be read, or an option is unknown or of the wrong kind.
        EngineError: The model does not fit on the device.
        MissingExtra: transformers is not installed.
    """
    chosen = decode(TransformersOptions, options)
    require(chosen, "engine 'transformers'", batch_tokens=1)
    device = chosen.device or _default_device()
    with _without_bars():
        dtype = chosen.dtype or _default_dtype(device)
        loaded = load_causal_lm(path, dtype=dtype, needs_template=False)
    try:
        cast(Any, loaded.model).to(device)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built for the device
        raise EngineError(f"the model cannot be put on {device!r}: {error}", where=path) from error
    return TransformersEngine(loaded, ModelIdentity(name, weights_hash(path)), options=chosen)


class TransformersEngine:
    """An `Engine` on a model that is loaded and on its device already."""

    def __init__(
        self,
        loaded: LoadedModel,
        identity: ModelIdentity,
        *,
        options: TransformersOptions = TransformersOptions(),
    ) -> None:
        self._loaded: LoadedModel | None = loaded
        self._identity = identity
        self._batch_tokens = options.batch_tokens
        self._vocabulary = Vocabulary(loaded.tokenizer)
        config = cast(Any, loaded.model).config.get_text_config()
        self._max_rows = max(1, _MAX_LOGITS // int(config.vocab_size))
        own, asked = int(config.max_position_embeddings), options.max_context
        self._max_context = own if asked is None else min(own, asked)
        self._queues = {kind: self._queue(kind) for kind in (GenerateRequest, ChooseRequest, ScoreRequest)}
        self._answering: Generator[Sequence[Answer]] = _nothing()
        self._refused: list[Answer] = []
        self._in_flight: set[str] = set()
        self._n_submitted = 0

    @property
    def model(self) -> ModelIdentity:
        """Which weights answer."""
        return self._identity

    @property
    def capabilities(self) -> Capabilities:
        """Generates, chooses and scores; the context is the model's number of positions."""
        n_rows = max(1, min(self._max_rows, self._batch_tokens // _USUAL_TOKENS))
        return Capabilities(True, True, True, self._max_context, look_ahead=_BATCHES_IN_VIEW * n_rows)

    def count_tokens(self, messages: Conversation) -> int:
        """Return the number of prompt tokens of `messages`, the assistant's header included."""
        return len(encode_messages(self._vocabulary.codec, messages))

    def submit(self, requests: Sequence[Request]) -> None:
        """Encode and queue requests; what cannot be served is answered by the next `wait`.

        Raises:
            EngineError: What `check_submission` refuses.
        """
        check_submission(
            requests,
            self._in_flight,
            model=self._identity,
            capabilities=self.capabilities,
            is_closed=self._loaded is None,
            has_template=self._vocabulary.codec.has_template,
        )
        self._n_submitted += 1
        for request in requests:
            self._in_flight.add(request.id)
            try:
                refused = self._put(request)
            except DataError as error:
                refused = Failure(request.id, "input", error.what)
            self._refused += [refused] if refused else []

    def wait(self) -> Sequence[Answer]:
        """Return choices and scores a batch at a time, and generated text as soon as it has ended.

        Raises:
            EngineError: torch failed; everything in flight is forgotten.
        """
        answers, self._refused = self._refused, []
        try:
            while not answers and self._in_flight:
                answers += next(self._answering, ())
                if not answers:
                    self._answering = self._next_batch()
        except RuntimeError as error:  # out of memory, most of all
            self.cancel()
            raise EngineError(
                f"torch failed: {str(error).partition(chr(10))[0]}",
                where=self._identity.name,
                todo=f"if memory is short, set batch_tokens below {self._batch_tokens}; then run it again",
            ) from error
        self._in_flight.difference_update(answer.request_id for answer in answers)
        return answers

    def cancel(self) -> None:
        """Forget everything in flight."""
        self._answering.close()
        for queue in self._queues.values():
            queue.clear()
        self._refused.clear()
        self._in_flight.clear()

    def close(self) -> None:
        """Free the model's memory; the engine cannot be used after."""
        self.cancel()
        self._answering = _nothing()  # a batch that was begun holds the model
        self._loaded = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _queue(self, kind: type[Request]) -> LengthQueue[_Waiting]:
        # a score reads logits after every token of a row, the others after the last one
        max_tokens = min(self._batch_tokens, self._max_rows) if kind is ScoreRequest else self._batch_tokens
        return LengthQueue(max_tokens=max_tokens, max_rows=self._max_rows)

    def _put(self, request: Request) -> Failure | None:
        """Queue a request, or return why it cannot be served."""
        targets = self._targets(request)
        n_prompt, n_targets = map(len, targets)
        n_context = self._max_context
        match request:
            case GenerateRequest():
                size = Size(n_prompt, request.sampling.max_tokens)
                refused = refuse_generation(request, n_prompt=n_prompt, max_context=n_context)
            case ChooseRequest():
                size = Size(n_prompt, 0)
                refused = refuse_length(request.id, n_tokens=n_prompt + 1, max_context=n_context)
            case ScoreRequest():
                size = Size(n_prompt, n_targets)
                refused = refuse_length(request.id, n_tokens=n_prompt + n_targets, max_context=n_context)
        if refused is None:
            queue = self._queues[type(request)]
            queue.put(_Waiting(request, targets), size, id=request.id, turn=self._n_submitted)
        return refused

    def _targets(self, request: Request) -> Targets:
        codec = self._vocabulary.codec
        if isinstance(request, ScoreRequest):
            return Targets(*encode_messages_with_answer(codec, request.messages))
        prompt_ids = encode_messages(codec, request.messages, prefill=request.prefill)
        is_choice = isinstance(request, ChooseRequest)
        return Targets(prompt_ids, option_ids(codec, request, prompt_ids) if is_choice else [])

    def _next_batch(self) -> Generator[Sequence[Answer]]:
        """Yield the answers of a batch, as they come, of the kind that has waited longest."""
        assert self._loaded is not None  # a closed engine has nothing in flight
        model, pad_id = self._loaded.model, self._vocabulary.pad_id
        waiting = [queue for queue in self._queues.values() if queue.oldest is not None]
        batch = min(waiting, key=lambda queue: queue.oldest or 0).take()
        targets = [item.targets for item in batch]
        match batch[0].request:
            case GenerateRequest():
                rows = [Row(cast(GenerateRequest, request), ids) for request, (ids, _) in batch]
                yield from Decoder(model, rows, self._vocabulary).answers()
            case ChooseRequest():
                found = zip(batch, option_logprobs(model, targets, pad_id=pad_id), strict=True)
                yield [Choice(item.request.id, logprobs, len(item.targets[0])) for item, logprobs in found]
            case ScoreRequest():
                sums = zip(batch, answer_logprobs(model, targets), strict=True)
                yield [Score(item.request.id, total, len(item.targets[1])) for item, total in sums]


def _nothing() -> Generator[Sequence[Answer]]:
    """Return what answers nothing more."""
    yield from ()


@contextmanager
def _without_bars() -> Generator[None]:
    """Keep transformers' own progress bar off the terminal."""
    logging = cast(Any, importlib.import_module("transformers.utils.logging"))
    had_bar = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if had_bar:
            logging.enable_progress_bar()


def _default_device() -> str:
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator.type if accelerator is not None else "cpu"


def _default_dtype(device: str) -> DType:
    """Return bfloat16 where the hardware multiplies it; emulated it is slower than float32."""
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device != "cpu":
        return "bfloat16"
    abilities = cast(dict[str, object], cast(Any, torch.cpu).get_capabilities())
    quick = ("avx512_bf16", "amx_bf16", "bf16")
    return "bfloat16" if any(bool(abilities.get(name)) for name in quick) else "float32"
