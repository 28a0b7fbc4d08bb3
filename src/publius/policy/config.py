"""The settings of the three ways to train a policy, with the reason for each default.

The defaults are for a model of 135 million parameters and a few hundred rows on two CPU cores; a larger
model wants a smaller learning rate and, having more data, a larger batch.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.2 (SL-CAI) and §4.2; learning rates are not in it.
"""

from dataclasses import dataclass, field
from typing import Literal

from publius.errors import DataError, require
from publius.training.lora import Lora

_LEAST_RATE = 1e-9


@dataclass(frozen=True, slots=True)
class Hygiene:
    """Which answers are too noisy to imitate; each that is left out is counted by its reason.

    `max_opening_share` is the largest share of the answers that may begin with the same four words, so that
    no stock refusal is learned (1: no cap). `max_word_run` and `max_emoji_run` are the longest runs of one
    word and of emojis; `max_repetition` the largest share of an answer's 4-grams that came before in it.
    `unfinished`: leave out answers that stop in the middle. Empty answers, role leaks and revisions that say
    what the draft said always go.
    """

    max_opening_share: float = 0.1
    max_word_run: int = 3
    max_emoji_run: int = 3
    max_repetition: float = 0.3
    unfinished: bool = True

    def __post_init__(self) -> None:
        require(self, "sft.hygiene", max_opening_share=0, max_word_run=1, max_emoji_run=0, max_repetition=0)


@dataclass(frozen=True, slots=True)
class SFTSettings:
    """How to imitate. `max_length` is prompt and answer in tokens; longer rows are left out and counted.

    A step takes `batch_size` rows, as many at a time as `tokens_in_memory` allows (padding counted; at 135 M
    parameters 1,000 tokens are 1.2 GB of activations) and at most `micro_batch_size` (0: no matter how many).
    A row that is longer alone recomputes as many layers as it must in the backward pass.

    `helpful_ratio` is how many helpful samples go with each revision, repeated where there are too few (0:
    as they come). Which rounds of revision there are to learn from is `revise.learn_from`'s to say.

    `packing` puts several rows into one without padding between them; a model that cannot keep them apart is
    refused. `lora` trains low-rank updates instead of all weights.

    A kill loses at most `checkpoint_every` steps (0: all). A checkpoint is three times the size of the
    weights, and two are kept while the training runs.
    """

    epochs: int = 1  # as in §3.2
    learning_rate: float = 4e-5  # 176 rows, two epochs moved refusals of red-team prompts from 10 to 100 %
    batch_size: int = 16
    micro_batch_size: int = 0
    tokens_in_memory: int = 1200
    max_length: int = 512
    is_bf16: bool = True  # autocast over float32 weights: 317 tokens/s, float32 181, bfloat16 weights 335
    checkpoint_every: int = 20
    helpful_ratio: float = 0.0
    packing: bool = False
    lora: Lora = field(default_factory=Lora)
    hygiene: Hygiene = field(default_factory=Hygiene)

    def __post_init__(self) -> None:
        require(
            self, "sft", epochs=1, learning_rate=_LEAST_RATE, batch_size=1, micro_batch_size=0, max_length=8
        )
        require(self, "sft", checkpoint_every=0, helpful_ratio=0, tokens_in_memory=1)


@dataclass(frozen=True, slots=True)
class DPOSettings:
    """How to learn from preferences directly. `beta` is the strength of the tie to the start.

    `learn_from`: the last revision over the draft ("revisions"), what the stage `label` labelled ("labels"),
    or "both"; a pair that is in both has the label of the stage. `labels = "hard"` makes every label 0 or 1.
    `lora` and `checkpoint_every` as for `sft`; with low-rank updates the start is the policy without them,
    and not a second model in memory.
    """

    learn_from: Literal["revisions", "labels", "both"] = "revisions"
    labels: Literal["soft", "hard"] = "soft"
    epochs: int = 1
    learning_rate: float = 1e-5  # TRL's 1e-6 is for models of billions of parameters; not tuned here
    beta: float = 0.1  # as in arXiv:2305.18290, App. B, and TRL's default
    batch_size: int = 16
    micro_batch_size: int = 4
    max_length: int = 512
    is_bf16: bool = True
    checkpoint_every: int = 20
    lora: Lora = field(default_factory=Lora)

    def __post_init__(self) -> None:
        require(
            self,
            "dpo",
            epochs=1,
            learning_rate=_LEAST_RATE,
            batch_size=1,
            micro_batch_size=1,
            max_length=8,
            beta=1e-9,
            checkpoint_every=0,
        )


@dataclass(frozen=True, slots=True)
class Monitors:
    """When reinforcement learning has gone wrong, and what happens then.

    At every snapshot the answers of the latest `window` steps are compared with those of the first ones. An
    alarm needs the whole 95 % interval beyond its bound, where a monitor has one. `on_alarm`: "warn" goes on
    and the report says so; "stop" ends the run and keeps the policy as it is; "best" ends it and keeps the
    best snapshot without an alarm, or the start if there is none.

    `held_out_pm` is the directory of a preference model that the policy does not train against. The bounds:
    `kl` in nats an answer; `held_out_gap`: how much more the training reward may rise than the held-out one,
    in standard deviations of each at the start; `sqrt_kl`: the least slope of reward over √KL after a break,
    as a share of the slope before it (the held-out reward, where there is one); `length`: correlation of
    reward with log length among the answers to a prompt; `refusals` (on helpful prompts), `evasive`,
    `boilerplate` (six words said to three prompts or more), `accusing` and `endings`: by how much the share
    of answers may rise; `self_bleu`: by how much it may; `distinct_2`, `entropy`: least share of the start's;
    `rollout_gap`: how far, in nats on average, a token's log-probability as it was sampled and as the trainer
    computes it may lie apart.
    """

    on_alarm: Literal["warn", "stop", "best"] = "warn"
    window: int = 5
    held_out_pm: str = ""
    kl: float = 25.0  # in arXiv:2204.05862 the reward has long bent by then
    held_out_gap: float = 0.5
    sqrt_kl: float = 0.0
    length: float = 0.5  # a feedback model's margins leaned to the longer answer by 0.35 (dev/LOG.md)
    refusals: float = 0.10
    evasive: float = 0.15
    boilerplate: float = 0.25
    accusing: float = 0.05
    endings: float = 0.25
    self_bleu: float = 0.2
    distinct_2: float = 0.6
    entropy: float = 0.3
    rollout_gap: float = 0.1  # bfloat16 against autocast: see dev/LOG.md

    def __post_init__(self) -> None:
        names = ("kl", "held_out_gap", "length", "refusals", "evasive", "boilerplate", "accusing", "endings")
        require(self, "rl.monitors", window=1, **dict.fromkeys(names, 0))
        require(self, "rl.monitors", self_bleu=0, distinct_2=0, entropy=0, rollout_gap=0)


@dataclass(frozen=True, slots=True)
class RewardModel:
    """One of several preference models that pay the policy, `name` in the logs.

    `pm` is its directory, or "" for that of the run. Its rewards count `weight` times; with 0 they are only
    kept. `standardise`: their mean over its own training set is taken away and they are divided by their
    spread there, so that weights are between like units; without, the model of the larger spread weighs
    more. `constitution` is the one that its labels were asked under, "" for the run's: a model that says
    otherwise is refused.
    """

    name: str
    pm: str = ""
    weight: float = 1.0
    standardise: bool = True
    constitution: str = ""

    def __post_init__(self) -> None:
        require(self, "rl.pms", weight=0)
        if not self.name.strip():
            raise DataError("a preference model needs a name", where="rl.pms", todo='write name = "…"')


@dataclass(frozen=True, slots=True)
class RLSettings:
    """How to learn from rewards.

    `pms` are the preference models that pay, none: the run's alone, its rewards as they are. One whose
    accuracy on held-out labels, all or those of one origin, lies below `least_pm_accuracy` (a share), with
    all of its 95 % interval, is refused.

    `algorithm`: "grpo", where the KL divergence from the start is a term of the loss, or "rloo", where `beta`
    times that of the whole answer is taken from its reward, an answer's advantage is what it earns over the
    mean of its siblings, undivided, and the log-probability of an answer counts as a whole.
    `loss_type` and `scale_rewards` belong to GRPO, and with "rloo" are refused; they are TRL's words: "dapo"
    (that of None) divides the sum over all tokens of a step by their number, "grpo" takes each answer's mean
    first, so that a long answer's tokens count less, "dr_grpo" divides by the limit of length, so that length
    has no part, "bnpo" is "dapo" within a micro-batch; advantages are divided by the rewards' spread within
    the "group" (that of None) of a prompt's answers, within the "batch", or by "none".

    A step takes `prompts_per_step` prompts and `num_generations` answers to each. `beta` penalises the KL
    divergence from the start; with 0 it is measured and logged all the same. Prompts longer than
    `max_prompt_length` tokens, or that leave no room for an answer, are skipped and counted.

    A step is computed in parts of at most `tokens_in_memory` tokens (as for `sft`; an answer's prompt is
    counted once for its group) and at most `micro_batch_size` answers (0: no matter how many; where it cuts
    groups, they do not share their prompts).

    `rollouts` says who samples: "torch", on a CPU a copy of the policy with its own batched decoding and
    elsewhere transformers; "vllm", TRL's vLLM in the training process, which takes `vllm_memory` of the GPU;
    "vllm-server", one that `trl vllm-serve` has started at the address `vllm_server`.

    `lora` as for `sft`: the KL is then measured from the policy without its updates, which is the start, and
    not from a second model in memory. A later round has one, since its reference is the first round's start.
    """

    steps: int = 15
    prompts_per_step: int = 4
    num_generations: int = 4
    max_prompt_length: int = 256
    max_completion_length: int = 48
    temperature: float = 1.0
    beta: float = 0.04  # as in arXiv:2402.03300, where rewards are scaled by group as in GRPO here
    learning_rate: float = 1e-5  # the first step moves the 135M by a KL of 0.0016 a token
    micro_batch_size: int = 0
    tokens_in_memory: int = 1200
    snapshot_every: int = 5
    weight_helpful: float = 0.50  # the paper's RL prompt mix, arXiv:2310.13798
    weight_red_team: float = 0.25
    weight_trait: float = 0.25
    is_bf16: bool = True
    algorithm: Literal["grpo", "rloo"] = "grpo"
    loss_type: Literal["dapo", "grpo", "dr_grpo", "bnpo"] | None = None
    scale_rewards: Literal["group", "batch", "none"] | None = None
    pms: tuple[RewardModel, ...] = ()
    least_pm_accuracy: float = 0.5  # a model that is surely worse than chance pays for the wrong side
    rollouts: Literal["torch", "vllm", "vllm-server"] = "torch"
    vllm_memory: float = 0.3
    vllm_server: str = "http://localhost:8000"
    lora: Lora = field(default_factory=Lora)
    monitors: Monitors = field(default_factory=Monitors)

    def __post_init__(self) -> None:
        require(self, "rl", steps=1, prompts_per_step=1, num_generations=2, max_prompt_length=8)
        require(self, "rl", max_completion_length=1, temperature=0.01, beta=0, learning_rate=_LEAST_RATE)
        require(self, "rl", micro_batch_size=0, tokens_in_memory=1, snapshot_every=1, vllm_memory=0)
        require(self, "rl", weight_helpful=0, weight_red_team=0, weight_trait=0, least_pm_accuracy=0)
        if self.least_pm_accuracy > 1:
            raise DataError(
                "least_pm_accuracy is a share, at most 1", where="rl", todo="write 0.5 for one half"
            )
        if not self.weight_helpful + self.weight_red_team + self.weight_trait > 0:
            raise DataError("all prompt weights are 0", where="rl", todo="give one purpose a weight")
        grpo_only = {"loss_type": self.loss_type, "scale_rewards": self.scale_rewards}
        given = [name for name, value in grpo_only.items() if value is not None]
        if self.algorithm == "rloo" and given:
            raise DataError(
                f"{' and '.join(given)} belong to GRPO: RLOO takes answers whole and divides no advantage",
                where="rl",
                todo='leave them out, or set rl.algorithm = "grpo"',
            )
        names = [model.name for model in self.pms]
        if len(set(names)) < len(names):
            raise DataError(f"two preference models have one name: {names}", where="rl.pms")
        if self.pms and not sum(model.weight for model in self.pms) > 0:
            raise DataError("no preference model has a weight", where="rl.pms", todo="give one a weight")

    def reward_models(self) -> tuple[RewardModel, ...]:
        """Return the preference models that pay: the run's own, its rewards as they are, if none is named."""
        return self.pms or (RewardModel("pm", standardise=False),)
