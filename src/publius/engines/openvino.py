"""Run a GGUF model on the CPU with openvino-genai: continuous batching, a prefix cache, no torch.

Requests run side by side in one batch, each with its own sampling parameters and seed, and each result
is yielded when it is finished. Prompts with a common beginning compute it once (`prefix.py`).

The text becomes token ids here, by the same template and the same rules as in training (`ChatCodec`),
and the pipeline gets ids; so a control string inside a message stays text.

What holds for results. With `precision = "f32"` a request gives the same answer whatever else is in the
batch and whatever is cached (12 of 12 greedy and 12 of 12 sampled answers of 32 tokens, SmolLM2-135M).
At the fast default (bf16 where the CPU has it, an 8-bit KV cache) the rounding depends on the batch:
7 of 12 greedy answers and none of 12 sampled at temperature 1 were the same alone and in a batch. The
seed still fixes the draw, but the first nearly tied token sends the text another way.

Option log-probabilities: a request that allows exactly one text (a grammar), one token long,
reports that token's log-probability under the whole vocabulary, not under the allowed part. The prompt is
computed once; each option then costs one cached token. openvino-genai does not report the
log-probabilities of given texts, so `score` is not offered.

Paper: none.
"""

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from publius.engines.checks import option_ids, refuse_generation, refuse_length
from publius.engines.openvino_batch import Answer, Batch, Job
from publius.engines.openvino_loading import OpenVINOOptions, load_pipeline, openvino_modules
from publius.engines.openvino_tokenizer import GGUFTokenizer
from publius.engines.protocol import (
    Capabilities,
    Choice,
    ChooseRequest,
    Completion,
    Engine,
    Failure,
    GenerateRequest,
    ModelIdentity,
    Score,
    ScoreRequest,
)
from publius.errors import DataError, EngineError
from publius.records import Conversation, decode
from publius.training.chat import encode_messages
from publius.training.digest import weights_hash
from publius.training.gguf_header import (
    Value,
    header_number,
    header_text,
    read_gguf_header,
)

T = TypeVar("T")


def open_openvino(path: Path, *, name: str, options: Mapping[str, object]) -> Engine:
    """Return an engine for the GGUF file at `path`; `options` are the fields of `OpenVINOOptions`.

    Raises:
        DataError: The file is no GGUF, lacks a chat template, or an option is unknown.
        EngineError: openvino cannot load this model.
        MissingExtra: openvino-genai is not installed.
    """
    chosen = decode(OpenVINOOptions, options)
    if path.is_dir():
        raise EngineError(
            "the openvino engine reads GGUF files, and this is a directory",
            where=path,
            todo="use the engine 'transformers' for it",
        )
    header = read_gguf_header(path)
    return OpenVINOEngine(path, header=header, name=name, options=chosen)


@dataclass(slots=True)
class _Asked:
    """A choose request, the token of each option, and the log-probabilities read so far."""

    request: ChooseRequest
    prompt_ids: list[int]
    option_ids: list[int]
    logprobs: dict[int, float] = field(default_factory=dict[int, float])
    n_answers: int = 0


class OpenVINOEngine:
    """A GGUF model loaded by openvino-genai. Use `open_openvino` to make one."""

    def __init__(
        self, path: Path, *, header: Mapping[str, Value], name: str, options: OpenVINOOptions
    ) -> None:
        modules = openvino_modules()
        self._genai = modules.genai
        self._identity = ModelIdentity(name, weights_hash(path))
        self._max_context = _max_context(header, options, path)
        pipeline = load_pipeline(path, options=options, modules=modules)
        self._tokenizer = GGUFTokenizer(pipeline.get_tokenizer(), header=header, where=path)
        self._codec = self._tokenizer.codec
        self._batch = Batch(pipeline, modules.openvino.Tensor, max_batch=options.max_batch)

    @property
    def model(self) -> ModelIdentity:
        """Which weights answer."""
        return self._identity

    @property
    def capabilities(self) -> Capabilities:
        """Generates and chooses; does not score."""
        return Capabilities(generate=True, choose=True, score=False, max_context=self._max_context)

    def count_tokens(self, messages: Conversation) -> int:
        """Return the number of prompt tokens of `messages` with the model's chat template."""
        return len(encode_messages(self._codec, messages))

    def generate(self, requests: Sequence[GenerateRequest]) -> Iterator[Completion | Failure]:
        """Yield one result a request, in any order, each as soon as it is there."""
        jobs: list[Job[GenerateRequest]] = []
        for request in requests:
            encoded = self._encode(request)
            if isinstance(encoded, Failure):
                yield encoded
                continue
            refused = refuse_generation(request, n_prompt=len(encoded), max_context=self._max_context)
            if refused is not None:
                yield refused
                continue
            jobs.append(Job(request, encoded, self._sampling_config(request)))
        for job, answer in self._batch.run(_by_prefix(jobs)):
            yield self._completion(job, answer)

    def choose(self, requests: Sequence[ChooseRequest]) -> Iterator[Choice | Failure]:
        """Yield the options' log-probabilities, one result a request, in any order.

        The first job of a request computes its prompt; the option jobs follow when it is cached, so
        that all options are read from the same state.
        """
        jobs: list[Job[_Asked]] = []
        for request in requests:
            asked = self._ask(request)
            if isinstance(asked, Failure):
                yield asked
            else:
                jobs.append(Job(asked, asked.prompt_ids, self._option_config(None)))
        queue = _by_prefix(jobs)
        option_of: dict[int, int] = {}
        for job, answer in self._batch.run(queue):
            asked = job.tag
            if job.number not in option_of:
                for index, option in enumerate(asked.request.options):
                    follower = Job(asked, asked.prompt_ids, self._option_config(option))
                    option_of[follower.number] = index
                    queue.appendleft(follower)
                continue
            index = option_of.pop(job.number)
            asked.n_answers += 1
            if answer.ids == [asked.option_ids[index]]:
                asked.logprobs[index] = answer.logprob
            if asked.n_answers == len(asked.option_ids):
                yield _choice(asked)

    def score(self, requests: Sequence[ScoreRequest]) -> Iterator[Score | Failure]:
        """Refuse: openvino-genai does not report the log-probabilities of given texts.

        Raises:
            EngineError: Always.
        """
        raise EngineError(
            "the openvino engine cannot score given answers",
            where=self._identity.name,
            todo="use the engine 'transformers' for this step",
        )

    def close(self) -> None:
        """Free the model's memory; the engine cannot be used after."""
        self._batch.close()

    def _encode(self, request: GenerateRequest | ChooseRequest) -> list[int] | Failure:
        try:
            return encode_messages(self._codec, request.messages, prefill=request.prefill)
        except DataError as error:
            return Failure(request.id, "input", error.what)

    def _ask(self, request: ChooseRequest) -> _Asked | Failure:
        encoded = self._encode(request)
        if isinstance(encoded, Failure):
            return encoded
        try:
            asked = _Asked(request, encoded, option_ids(self._codec, request, encoded))
        except DataError as error:
            return Failure(request.id, "input", error.what)
        refused = refuse_length(request.id, n_tokens=len(encoded) + 1, max_context=self._max_context)
        return asked if refused is None else refused

    def _config(self) -> Any:
        config = self._genai.GenerationConfig()
        config.apply_chat_template = False  # the ids already are the whole prompt
        config.set_eos_token_id(self._codec.end_ids[0])
        config.stop_token_ids = set(self._codec.end_ids)
        return config

    def _sampling_config(self, request: GenerateRequest) -> Any:
        sampling = request.sampling
        config = self._config()
        config.max_new_tokens = sampling.max_tokens
        if sampling.temperature > 0:
            config.do_sample = True
            config.temperature = sampling.temperature
            config.top_p = sampling.top_p
            config.rng_seed = sampling.seed
        if sampling.stop:
            # openvino cuts whole tokens; the text is cut to the character in `_completion`
            config.stop_strings = set(sampling.stop)
            config.include_stop_str_in_output = True
        return config

    def _option_config(self, option: str | None) -> Any:
        config = self._config()
        config.max_new_tokens = 1
        config.logprobs = 1
        if option is not None:
            config.structured_output_config = self._genai.StructuredOutputConfig(grammar=_exactly(option))
        return config

    def _completion(self, job: Job[GenerateRequest], answer: Answer) -> Completion | Failure:
        request = job.tag
        if answer.ids is None:
            return Failure(
                request.id, "engine", "openvino gave up on this request (is kv_cache_gb too small?)"
            )
        text = self._tokenizer.decode(answer.ids)
        cuts = [text.index(stop) for stop in request.sampling.stop if stop in text]
        return Completion(
            request_id=request.id,
            text=text[: min(cuts)] if cuts else text,
            finish="stop" if cuts else answer.finish,
            prompt_tokens=len(job.ids),
            completion_tokens=len(answer.ids),
        )


def _choice(asked: _Asked) -> Choice | Failure:
    missing = [o for i, o in enumerate(asked.request.options) if i not in asked.logprobs]
    if missing:
        return Failure(asked.request.id, "engine", f"openvino gave no log-probability for {missing!r}")
    logprobs = tuple(asked.logprobs[i] for i in range(len(asked.option_ids)))
    return Choice(asked.request.id, logprobs, prompt_tokens=len(asked.prompt_ids))


def _by_prefix(jobs: list[Job[T]]) -> deque[Job[T]]:
    """Return jobs with prompts of a common beginning next to each other, so its cache is still there."""
    return deque(sorted(jobs, key=lambda job: job.ids))


def _max_context(header: Mapping[str, Value], options: OpenVINOOptions, path: Path) -> int:
    architecture = header_text(header, "general.architecture") or ""
    own = header_number(header, f"{architecture}.context_length")
    if own is None:
        raise DataError("the GGUF does not say how long its context is", where=path)
    return own if options.max_context is None else min(own, options.max_context)


def _exactly(text: str) -> str:
    """Return a grammar whose only sentence is `text`. (A regular expression has more to escape.)

    >>> _exactly('say "A"')
    'root ::= "say \\\\"A\\\\""'
    """
    return f"root ::= {json.dumps(text, ensure_ascii=False)}"
