"""Run a GGUF model on the CPU with openvino-genai: continuous batching, a prefix cache, no torch.

Requests of both kinds run side by side in one batch, each with its own sampling parameters and seed, and
the batch goes on from one `wait` to the next: what is submitted takes the place of what has finished.
Prompts with a common beginning compute it once (`prefix.py`).

The text becomes token ids here, by the same template and the same rules as in training (`ChatCodec`),
and the pipeline gets ids; so a control string inside a message stays text.

What holds for results. With `precision = "f32"` a request gives the same answer whatever else is in the
batch and whatever is cached (12 of 12 greedy and 12 of 12 sampled answers of 32 tokens, SmolLM2-135M).
At the fast default (bf16 where the CPU has it, an 8-bit KV cache) the rounding depends on the batch:
7 of 12 greedy answers and none of 12 sampled at temperature 1 were the same alone and in a batch. The
seed still fixes the draw, but the first nearly tied token sends the text another way.

Option log-probabilities: what openvino-genai reports of a sampled token is its log-probability under the
whole vocabulary, whatever it was drawn from. So a request draws its one token several times from the
likeliest tokens, as many as there are options, at a temperature that makes them all alike: one reading of
the prompt gives them all. An option that was not drawn costs one cached token more: a request that allows
exactly that text (a grammar). Log-probabilities of given texts are not reported, so `score` is not offered.

Paper: none.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from publius.engines.checks import check_submission, option_ids, refuse_generation, refuse_length
from publius.engines.openvino_batch import LOOK_AHEAD, Batch, Job, Output
from publius.engines.openvino_loading import OpenVINOOptions, load_pipeline, openvino_modules
from publius.engines.openvino_tokenizer import GGUFTokenizer
from publius.engines.protocol import (
    Answer,
    Capabilities,
    Choice,
    ChooseRequest,
    Completion,
    Engine,
    Failure,
    GenerateRequest,
    ModelIdentity,
    Request,
)
from publius.errors import DataError, EngineError, require
from publius.records import Conversation, decode
from publius.training.chat import encode_messages
from publius.training.digest import weights_hash
from publius.training.gguf_header import (
    Value,
    header_number,
    header_text,
    read_gguf_header,
)


def open_openvino(path: Path, *, name: str, options: Mapping[str, object]) -> Engine:
    """Return an engine for the GGUF file at `path`; `options` are the fields of `OpenVINOOptions`.

    Raises:
        DataError: The file is no GGUF, or an option is unknown.
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
    require(chosen, "engine 'openvino'", max_batch=1, kv_cache_gb=1)
    header = read_gguf_header(path)
    return OpenVINOEngine(path, header=header, name=name, options=chosen)


@dataclass(eq=False, slots=True)
class _Asked:
    """A choose request, the token of each option, the log-probabilities read, and who is still asked."""

    request: ChooseRequest
    prompt_ids: list[int]
    option_ids: list[int]
    logprobs: dict[int, float] = field(default_factory=dict[int, float])
    n_waiting: int = 0


class _Option(NamedTuple):
    """One of the options of a choose request."""

    asked: _Asked
    place: int


_ALL_ALIKE = 1e6  # a temperature: a few nats lie between the likeliest tokens
_MOST_DRAWN = 4
_DRAWS_ALL = 3  # a seed with which twice as many draws as there are tokens (2 to 4) bring each of them
_Tag: TypeAlias = GenerateRequest | _Asked | _Option


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
        self._max_batch = options.max_batch
        self._batch: Batch[_Tag] = Batch(
            pipeline,
            modules.openvino.Tensor,
            max_batch=options.max_batch,
            shares_prefixes=options.prefix_cache,
        )
        self._in_flight: set[str] = set()
        self._refused: list[Answer] = []

    @property
    def model(self) -> ModelIdentity:
        """Which weights answer."""
        return self._identity

    @property
    def capabilities(self) -> Capabilities:
        """Generates and chooses; does not score."""
        n_needed = LOOK_AHEAD * self._max_batch
        return Capabilities(True, True, False, self._max_context, look_ahead=n_needed)

    def count_tokens(self, messages: Conversation) -> int:
        """Return the number of prompt tokens of `messages` with the model's chat template."""
        return len(encode_messages(self._codec, messages))

    def submit(self, requests: Sequence[Request]) -> None:
        """Encode and queue requests; what cannot be served is answered by the next `wait`.

        Raises:
            EngineError: What `check_submission` refuses; a `ScoreRequest` is among it.
        """
        check_submission(
            requests,
            self._in_flight,
            model=self._identity,
            capabilities=self.capabilities,
            is_closed=self._batch.is_closed,
            has_template=self._codec.has_template,
        )
        for request in requests:
            assert isinstance(request, GenerateRequest | ChooseRequest)  # checked: it cannot score
            self._in_flight.add(request.id)
            job = self._job(request)
            if isinstance(job, Failure):
                self._refused.append(job)
            else:
                self._batch.put(job)

    def wait(self) -> Sequence[Answer]:
        """Compute until at least one request has its answer, and return all that have.

        Raises:
            EngineError: openvino failed; the engine must be opened again.
        """
        answers, self._refused = self._refused, []
        while not answers and not self._batch.is_idle:
            for job, output in self._batch.step():
                answer = self._answer(job, output)
                if answer is not None:
                    answers.append(answer)
        self._in_flight.difference_update(answer.request_id for answer in answers)
        return answers

    def cancel(self) -> None:
        """Drop everything in flight; it costs a step or two of the pipeline."""
        self._refused.clear()
        self._in_flight.clear()
        self._batch.cancel()

    def close(self) -> None:
        """Free the model's memory; the engine cannot be used after."""
        self._refused.clear()
        self._in_flight.clear()
        self._batch.close()

    def _job(self, request: GenerateRequest | ChooseRequest) -> Job[_Tag] | Failure:
        """Return the first job of a request; a choose request's computes its prompt."""
        try:
            ids = encode_messages(self._codec, request.messages, prefill=request.prefill)
            if isinstance(request, GenerateRequest):
                refused = refuse_generation(request, n_prompt=len(ids), max_context=self._max_context)
                return refused or Job(request, ids, self._sampling_config(request))
            refused = refuse_length(request.id, n_tokens=len(ids) + 1, max_context=self._max_context)
            asked = _Asked(request, ids, option_ids(self._codec, request, ids))
        except DataError as error:
            return Failure(request.id, "input", error.what)
        return refused or Job(asked, ids, self._likeliest_config(len(request.options)))

    def _answer(self, job: Job[_Tag], output: Output) -> Answer | None:
        """Return the answer that a finished job completes, if it does."""
        match job.tag:
            case GenerateRequest() as request:
                return self._completion(request, output, n_prompt=len(job.ids))
            case _Asked() as asked:
                if output.ids is not None:
                    self._read_likeliest(asked, output)
                return None if asked.n_waiting else _choice(asked)
            case _Option(asked, place):
                asked.n_waiting -= 1
                if output.ids == [asked.option_ids[place]]:
                    asked.logprobs[place] = output.logprob
                return None if asked.n_waiting else _choice(asked)

    def _read_likeliest(self, asked: _Asked, output: Output) -> None:
        """Note the options that are among the likeliest tokens, and ask for each of the others."""
        for place, token in enumerate(asked.option_ids):
            if token in output.first_logprobs:
                asked.logprobs[place] = output.first_logprobs[token]
            else:
                config = self._option_config(asked.request.options[place])
                self._batch.put_first(Job(_Option(asked, place), asked.prompt_ids, config))
                asked.n_waiting += 1

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

    def _likeliest_config(self, n_options: int) -> Any:
        config = self._config()
        config.max_new_tokens = 1
        config.logprobs = 1
        config.do_sample = True
        config.top_k = min(n_options, _MOST_DRAWN)
        config.num_return_sequences = 2 * config.top_k
        config.temperature, config.rng_seed = _ALL_ALIKE, _DRAWS_ALL
        return config

    def _option_config(self, option: str) -> Any:
        config = self._config()
        config.max_new_tokens = 1
        config.logprobs = 1
        config.structured_output_config = self._genai.StructuredOutputConfig(grammar=_exactly(option))
        return config

    def _completion(self, request: GenerateRequest, output: Output, *, n_prompt: int) -> Completion | Failure:
        if output.ids is None:
            return Failure(
                request.id, "engine", "openvino gave up on this request (is kv_cache_gb too small?)"
            )
        text = self._tokenizer.decode(output.ids)
        if output.finish == "length":  # the limit may fall inside a character
            text = text.rstrip("\ufffd")
        cuts = [text.index(stop) for stop in request.sampling.stop if stop in text]
        return Completion(
            request_id=request.id,
            text=text[: min(cuts)] if cuts else text,
            finish="stop" if cuts else output.finish,
            prompt_tokens=n_prompt,
            completion_tokens=len(output.ids),
        )


def _choice(asked: _Asked) -> Choice | Failure:
    missing = [o for i, o in enumerate(asked.request.options) if i not in asked.logprobs]
    if missing:
        return Failure(asked.request.id, "engine", f"openvino gave no log-probability for {missing!r}")
    logprobs = tuple(asked.logprobs[i] for i in range(len(asked.option_ids)))
    return Choice(asked.request.id, logprobs, prompt_tokens=len(asked.prompt_ids))


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
