"""Every kind of training, small and in float32, from rows that are the same every time.

Each writes a model and returns all that it reports but times. Tests kill them, and so does
`benchmarks/resume.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from publius.policy.config import DPOSettings, RLSettings, SFTSettings
from publius.policy.dpo import train_dpo
from publius.policy.rl import train_rl
from publius.policy.sft import train_sft
from publius.preference.config import PMSettings
from publius.preference.pm import train_preference_model
from publius.records import Comparison, Conversation, Demonstration, Preference, Prompt, conversation
from publius.training.lora import Lora
from publius.training.report import TrainingReport

Progress = Callable[[int, int], None]


class Length(NamedTuple):
    """A training is about six steps `times` over (SFT: 18), with a checkpoint after every so many."""

    times: int = 1
    checkpoint_every: int = 2


_PURPOSES = ("helpful", "red-team", "trait")
_COMMON = {"learning_rate": 1e-3, "batch_size": 2, "max_length": 64, "is_bf16": False}
_QUESTIONS = [conversation(("user", f"Question {i}?")) for i in range(12)]
_PAIRS = [
    Preference(
        Comparison(f"c{i}", f"p{i}", asked, "Yes, good." * (i % 3), "No", "x", "y"),
        prob_a=0.8,
        origin="asked",
        judge=None,
        constitution_hash=None,
        votes=(),
    )
    for i, asked in enumerate(_QUESTIONS)
]
_USUAL = Length()
_WHOLE = Lora()


def sft(
    start: Path,
    out: Path,
    on_progress: Progress,
    *,
    length: Length = _USUAL,
    answer: str = "Yes, good.",
    lora: Lora = _WHOLE,
) -> TrainingReport:
    given = [Demonstration(f"d{i}", asked, answer, "helpful", 0, None) for i, asked in enumerate(_QUESTIONS)]
    settings = SFTSettings(
        **_COMMON,
        micro_batch_size=1,
        epochs=3 * length.times,
        checkpoint_every=length.checkpoint_every,
        lora=lora,
    )
    report = train_sft(start, given, out, settings=settings, seed=5, on_progress=on_progress)
    return _timeless(report)


def dpo(
    start: Path, out: Path, on_progress: Progress, *, length: Length = _USUAL, lora: Lora = _WHOLE
) -> object:
    settings = DPOSettings(
        **_COMMON,
        micro_batch_size=1,
        epochs=length.times,
        checkpoint_every=length.checkpoint_every,
        lora=lora,
    )
    report = train_dpo(start, _PAIRS, out, settings=settings, seed=5, on_progress=on_progress)
    return _timeless(report)


def pm(
    start: Path, out: Path, on_progress: Progress, *, length: Length = _USUAL, lora: Lora = _WHOLE
) -> object:
    settings = PMSettings(
        **_COMMON,
        epochs=2 * length.times,
        checkpoint_every=length.checkpoint_every,
        n_scale_rows=2,
        lora=lora,
    )
    report = train_preference_model(start, _PAIRS, out, settings=settings, seed=5, on_progress=on_progress)
    return replace(report, training=_timeless(report.training))


def rl(start: Path, out: Path, on_progress: Progress, *, length: Length = _USUAL, **changes: Any) -> object:
    prompts = [
        Prompt(f"p{i}", _PURPOSES[i % 3], "kind", "train", asked) for i, asked in enumerate(_QUESTIONS)
    ]
    settings = RLSettings(
        steps=6 * length.times,
        prompts_per_step=2,
        num_generations=2,
        max_completion_length=8,
        learning_rate=1e-3,
        micro_batch_size=2,
        snapshot_every=length.checkpoint_every,
        is_bf16=False,
        **changes,
    )
    report = train_rl(
        start,
        prompts,
        _vowels,
        out,
        settings=settings,
        seed=5,
        on_progress=on_progress,
        held_out_reward=_characters,
    )
    logs = [(out / name).read_text() for name in ("answers.jsonl", "monitors.jsonl")]
    return _timeless(replace(report, steps=tuple(replace(step, seconds=0.0) for step in report.steps))), logs


def _vowels(conversations: Sequence[Conversation]) -> list[float]:
    return [float(sum(c in "aeiou" for c in one[-1].content)) for one in conversations]


def _characters(conversations: Sequence[Conversation]) -> list[float]:
    return [float(len(one[-1].content)) for one in conversations]


def _timeless(report: Any) -> Any:
    """Return a report without what an interruption may change."""
    return replace(report, seconds=0.0, n_resumed=0)


TRAININGS: dict[str, Callable[..., object]] = {
    "sft": sft,
    "sft-lora": partial(sft, lora=Lora(rank=2)),
    "dpo": dpo,
    "dpo-lora": partial(dpo, lora=Lora(rank=2)),
    "pm": pm,
    "pm-lora": partial(pm, lora=Lora(rank=2)),
    "rl": rl,
    "rloo": partial(rl, algorithm="rloo"),
    "rl-lora": partial(rl, lora=Lora(rank=2)),
}
