"""The reference engine: torch and transformers, on the GPU if there is one, else on the CPU.

It is the yardstick that other engines are tested against. A request's answer depends on its own seed and
prompt, not on the order of the requests or on its neighbours, as far as arithmetic allows: a batch of
another size adds its numbers in another order, which moves log-probabilities by about 1e-5 in float32 and
0.1 in bfloat16, so that now and then another token is taken. The same set of requests makes the same
batches in whatever order it comes. Letters: B rows, T tokens, V vocabulary.

Paper: none.
"""

import gc
import importlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import torch

from publius.engines.checks import option_ids, refuse_generation, refuse_length
from publius.engines.decoding import Decoder, Row, next_logits, pad_left
from publius.engines.protocol import (
    Capabilities,
    Choice,
    ChooseRequest,
    Completion,
    Failure,
    GenerateRequest,
    ModelIdentity,
    Score,
    ScoreRequest,
)
from publius.engines.vocabulary import Vocabulary
from publius.errors import DataError, EngineError
from publius.records import Conversation, decode
from publius.training.chat import encode_messages, encode_messages_with_answer
from publius.training.weights import DType, LoadedModel, load_causal_lm, weights_hash

_MAX_LOGITS = 2**26  # of one batch: 256 MB in float32

Q = TypeVar("Q")
P = TypeVar("P")


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


class _Choosing(NamedTuple):
    request: ChooseRequest
    prompt_ids: list[int]
    option_ids: list[int]


class _Scoring(NamedTuple):
    request: ScoreRequest
    prompt_ids: list[int]
    answer_ids: list[int]


def open_transformers(path: Path, *, name: str, options: Mapping[str, object]) -> "TransformersEngine":
    """Return the engine for a GGUF file or a safetensors directory, called `name` in tables.

    `options` are the fields of `TransformersOptions`.

    Raises:
        DataError: The weights cannot be read, or an option is unknown or of the wrong kind.
        EngineError: The model does not fit on the device.
        MissingExtra: transformers is not installed.
    """
    chosen = decode(TransformersOptions, options)
    device = chosen.device or _default_device()
    with _without_bars():
        loaded = load_causal_lm(path, dtype=chosen.dtype or _default_dtype(device))
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

    @property
    def model(self) -> ModelIdentity:
        """Which weights answer."""
        return self._identity

    @property
    def capabilities(self) -> Capabilities:
        """Generates, chooses and scores; the context is the model's number of positions."""
        return Capabilities(generate=True, choose=True, score=True, max_context=self._max_context)

    def count_tokens(self, messages: Conversation) -> int:
        """Return the number of prompt tokens of `messages`, the assistant's header included."""
        return len(encode_messages(self._vocabulary.codec, messages))

    def generate(self, requests: Sequence[GenerateRequest]) -> Iterator[Completion | Failure]:
        """Yield each request's completion as it ends; `completion_tokens` counts the end token too."""
        rows, failures = _prepare(requests, self._row)
        yield from failures
        rows.sort(key=lambda row: (len(row.prompt_ids), row.request.sampling.max_tokens, row.request.id))
        sizes = [(len(row.prompt_ids), row.request.sampling.max_tokens) for row in rows]
        for part in batches(sizes, max_tokens=self._batch_tokens, max_rows=self._max_rows):
            yield from Decoder(self._usable().model, rows[part], self._vocabulary).answers()

    def choose(self, requests: Sequence[ChooseRequest]) -> Iterator[Choice | Failure]:
        """Yield the options' log-probabilities, from one forward pass a batch of prompts."""
        items, failures = _prepare(requests, self._choosing)
        yield from failures
        items.sort(key=lambda item: (len(item.prompt_ids), item.request.id))
        sizes = [(len(item.prompt_ids), 0) for item in items]
        for part in batches(sizes, max_tokens=self._batch_tokens, max_rows=self._max_rows):
            yield from self._choose(items[part])

    def score(self, requests: Sequence[ScoreRequest]) -> Iterator[Score | Failure]:
        """Yield each answer's log-probability; its end-of-turn token is part of the sum and the count."""
        items, failures = _prepare(requests, self._scoring)
        yield from failures
        items.sort(key=lambda item: (len(item.prompt_ids), len(item.answer_ids), item.request.id))
        sizes = [(len(item.prompt_ids), len(item.answer_ids)) for item in items]
        max_tokens = min(self._batch_tokens, self._max_rows)  # every token of a row may have logits
        for part in batches(sizes, max_tokens=max_tokens, max_rows=self._max_rows):
            yield from self._score(items[part])

    def close(self) -> None:
        """Free the model's memory; the engine cannot be used after."""
        self._loaded = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _usable(self) -> LoadedModel:
        if self._loaded is None:
            raise EngineError("this engine is closed", where=self._identity.name, todo="open it again")
        return self._loaded

    def _row(self, request: GenerateRequest) -> Row | Failure:
        prompt_ids = self._prompt_ids(request)
        refused = refuse_generation(request, n_prompt=len(prompt_ids), max_context=self._max_context)
        return refused or Row(request, prompt_ids)

    def _choosing(self, request: ChooseRequest) -> _Choosing | Failure:
        prompt_ids = self._prompt_ids(request)
        refused = refuse_length(request.id, n_tokens=len(prompt_ids) + 1, max_context=self._max_context)
        codec = self._vocabulary.codec
        return refused or _Choosing(request, prompt_ids, option_ids(codec, request, prompt_ids))

    def _scoring(self, request: ScoreRequest) -> _Scoring | Failure:
        encoded = encode_messages_with_answer(self._vocabulary.codec, request.messages)
        n_tokens = len(encoded.prompt_ids) + len(encoded.answer_ids)
        refused = refuse_length(request.id, n_tokens=n_tokens, max_context=self._max_context)
        return refused or _Scoring(request, encoded.prompt_ids, encoded.answer_ids)

    def _prompt_ids(self, request: GenerateRequest | ChooseRequest) -> list[int]:
        if not request.messages:
            raise DataError("the conversation is empty")
        return encode_messages(self._vocabulary.codec, request.messages, prefill=request.prefill)

    @torch.inference_mode()
    def _choose(self, items: Sequence[_Choosing]) -> list[Choice]:
        model = self._usable().model
        prompts = [item.prompt_ids for item in items]
        batch = pad_left(prompts, pad_id=self._vocabulary.pad_id, device=model.device)
        logprob_BV = torch.log_softmax(next_logits(model, batch).float(), dim=-1)
        return [
            Choice(item.request.id, tuple(logprob_V[item.option_ids].tolist()), len(item.prompt_ids))
            for item, logprob_V in zip(items, logprob_BV, strict=True)
        ]

    @torch.inference_mode()
    def _score(self, items: Sequence[_Scoring]) -> list[Score]:
        """Score rows padded on the right: attention looks back only, so no mask is needed."""
        model = cast(Any, self._usable().model)
        rows = [torch.tensor(item.prompt_ids + item.answer_ids) for item in items]
        input_ids_BT = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(model.device)
        start = min(len(item.prompt_ids) for item in items) - 1  # the token before the first answer
        kept_T = torch.arange(start, input_ids_BT.shape[1] - 1, device=model.device)
        logits_BTV = model(input_ids=input_ids_BT, use_cache=False, logits_to_keep=kept_T).logits
        scores: list[Score] = []
        for row, item in enumerate(items):
            begin, n_answer = len(item.prompt_ids) - 1 - start, len(item.answer_ids)
            logits_TV = logits_BTV[row, begin : begin + n_answer].float()
            target_T = torch.tensor(item.answer_ids, device=model.device)
            loss = torch.nn.functional.cross_entropy(logits_TV, target_T, reduction="sum")
            scores.append(Score(item.request.id, -float(loss), n_answer))
        return scores


def batches(sizes: Sequence[tuple[int, int]], *, max_tokens: int, max_rows: int) -> Iterator[slice]:
    """Yield slices of rows that make a batch, given each row's tokens of prompt and answer.

    Rows must be sorted by prompt length. A batch's rows times its longest prompt and answer are at most
    `max_tokens` (a single row may be more), and its prompts differ in length by no more than a factor of
    two and a little, so that little is padding.

    >>> list(batches([(10, 5), (12, 5), (100, 5)], max_tokens=1000, max_rows=8))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    start, longest_answer = 0, 0
    for row, (n_prompt, n_answer) in enumerate(sizes):
        longest_answer = max(longest_answer, n_answer)
        n_rows = row - start + 1
        is_full = n_rows > max_rows or n_rows * (n_prompt + longest_answer) > max_tokens
        if row > start and (is_full or n_prompt > 2 * sizes[start][0] + 32):
            yield slice(start, row)
            start, longest_answer = row, n_answer
    if start < len(sizes):
        yield slice(start, len(sizes))


def _prepare(requests: Sequence[Q], prepare: Callable[[Q], P | Failure]) -> tuple[list[P], list[Failure]]:
    """Return what can be computed, and a failure for every request that cannot."""
    prepared: list[P] = []
    failures: list[Failure] = []
    for request in requests:
        try:
            result = prepare(request)
        except DataError as error:
            result = Failure(cast(Any, request).id, "input", error.what)
        if isinstance(result, Failure):
            failures.append(result)
        else:
            prepared.append(result)
    return prepared, failures


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
