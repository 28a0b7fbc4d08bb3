"""Where the rows of the engine `ray` go: its options, and the dataset's one step for each kind of work.

Paper: none.
"""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeAlias

from publius.engines.http_body import shown
from publius.engines.http_send import check_base_url
from publius.engines.openai import OpenAIOptions, open_openai
from publius.engines.protocol import Capabilities, ChooseRequest, Failure, GenerateRequest, ModelIdentity
from publius.engines.ray_cluster import load_ray
from publius.engines.ray_vllm import VllmOptions, check_vllm, refuse_vllm, vllm_transform
from publius.engines.ray_worker import UrlWorker, probe_url
from publius.errors import EngineError
from publius.records import canonical_json

_LEAST_LOOK_AHEAD = 4096  # so that thousands of flows are under way, and rows lie ready at the workers


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Where the work goes; the fields of `OpenAIOptions` may stand beside these, and hold for each worker.

    `address` of the cluster: "auto" or host and port; empty: Ray on this machine. `workers` is how many
    actors ask servers, or how many replicas of the model vLLM loads; `cpus_per_worker` is what Ray sets
    aside for each that asks. `base_urls` are several servers with the same model, shared out among the
    workers. Limits per minute are for all workers together. With `vllm` no server is asked.
    """

    address: str = ""
    workers: int = 2
    cpus_per_worker: float = 0.1
    base_urls: tuple[str, ...] = ()
    vllm: dict[str, Any] = field(default_factory=dict[str, Any])


class UrlWork:
    """Work for workers that ask servers."""

    def __init__(self, model: str, asking: OpenAIOptions, options: RayOptions) -> None:
        self._urls = tuple(check_base_url(url) for url in options.base_urls) or (asking.base_url,)
        self._options = options
        self._asking = replace(
            asking,
            base_url=self._urls[0],
            requests_per_minute=asking.requests_per_minute / options.workers,
            tokens_per_minute=asking.tokens_per_minute / options.workers,
        )
        self._name = model
        # also checks the options; the identity is that engine's, so the journal's keys are
        self.model = open_openai(model, options=asdict(self._asking)).model
        self.where = ", ".join(self._urls)
        self.give_up_after = asking.give_up_after
        self.look_ahead = max(_LEAST_LOOK_AHEAD, 4 * options.workers * asking.concurrency)

    def capabilities(self) -> Capabilities:
        """Ask every server from within the cluster, where it must be reached."""
        ray = load_ray()
        probe = ray.remote(num_cpus=0, max_retries=1)(probe_url)
        asked = [probe.remote(self._name, replace(self._asking, base_url=url)) for url in self._urls]
        try:
            found: list[Any] = ray.get(asked)
        except ray.exceptions.RayError as error:
            raise EngineError(
                f"the cluster could not ask the server: {shown(str(error))}",
                where=self.where,
                todo="is Publius installed on every node, in this version?",
            ) from error
        for one in found:
            if not isinstance(one, Capabilities):
                what, where, todo = one
                raise EngineError(what, where=where, todo=todo)
        return Capabilities(
            generate=all(one.generate for one in found),
            choose=all(one.choose for one in found),
            score=False,
            max_context=min(one.max_context for one in found),
            look_ahead=self.look_ahead,
        )

    def refuse(self, request: GenerateRequest | ChooseRequest) -> Failure | None:
        """Refuse nothing: the worker does."""

    def transform(self, rows: Any, inbox: Any) -> Any:
        """Return the dataset of outcomes."""
        n_calls = self._asking.concurrency
        return rows.map_batches(
            UrlWorker,
            fn_constructor_args=(self._name, self._asking, self._urls, inbox),
            batch_size=None,  # a batch is a block is a row
            batch_format="pyarrow",
            # more than are asked at a time: the driver looks only every 0.1 s
            compute=load_ray().data.ActorPoolStrategy(
                size=self._options.workers,
                max_tasks_in_flight_per_actor=4 * n_calls,
                max_concurrent_calls_per_actor=2 * n_calls,
            ),
            num_cpus=self._options.cpus_per_worker,
        )


class VllmWork:
    """Work for vLLM on the cluster's GPUs."""

    def __init__(self, model: str, options: VllmOptions, cluster: RayOptions) -> None:
        check_vllm(options)
        revision = options.revision or f"name:{options.model_source}"
        plain = VllmOptions(options.model_source, options.max_context)
        deciding = {
            name: value
            for name in ("engine_kwargs", "chat_template_kwargs")
            if (value := getattr(options, name)) != getattr(plain, name)
        }
        engine = "vllm" + (canonical_json(deciding) if deciding else "")
        self.model = ModelIdentity(model, revision, engine=engine)
        self.where = options.model_source
        self.give_up_after = 0
        self._options = options
        self._n_replicas = cluster.workers

    def capabilities(self) -> Capabilities:
        """Say what the options say; the model is loaded at the first request."""
        look_ahead = max(_LEAST_LOOK_AHEAD, 4 * self._n_replicas * self._options.max_in_flight)
        return Capabilities(
            generate=True,
            choose=True,
            score=False,
            max_context=self._options.max_context,
            look_ahead=look_ahead,
        )

    def refuse(self, request: GenerateRequest | ChooseRequest) -> Failure | None:
        """Refuse what vLLM would, without asking."""
        return refuse_vllm(request, max_context=self._options.max_context)

    def transform(self, rows: Any, inbox: Any) -> Any:
        """Return the dataset of outcomes."""
        return vllm_transform(self._options, replicas=self._n_replicas)(rows, inbox)


Work: TypeAlias = UrlWork | VllmWork
