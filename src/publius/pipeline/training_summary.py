"""What the report shows of the preference model and of reinforcement learning.

Paper: none.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from publius.pipeline.rounds import all_of
from publius.policy.config import RLSettings
from publius.policy.monitors import MONITORS, Reading, SnapshotReadings
from publius.preference.measure import HeldOut
from publius.preference.probes import Probes
from publius.records import decode
from publius.report import (
    MonitorCurve,
    MonitorPoint,
    PMSummary,
    RLStep,
    RLSummary,
    TemperedError,
    TrickEffect,
)
from publius.stats import Estimate


def summarise_pm(figures: Mapping[str, Any]) -> PMSummary:
    """Return the held-out figures of a preference model; what was not measured is None."""
    held_out = decode(HeldOut, figures["held_out"]) if figures["held_out"] is not None else None
    probes = decode(Probes, figures["probes"])
    tricks = tuple(TrickEffect(one.name, one.summary, one.change, one.higher) for one in probes.probes)
    if held_out is None:
        return PMSummary(accuracy=None, ece=None, brier=None, temperature=None, bins=(), tricks=tricks)
    fit, lengths = held_out.calibration, held_out.lengths
    spread: float = figures["scale"]["std"]
    return PMSummary(
        accuracy=held_out.accuracy,
        ece=fit.ece,
        brier=fit.brier,
        temperature=fit.temperature,
        bins=fit.bins,
        chance=fit.ece_if_calibrated,
        tempered=fit.tempered
        and TemperedError(
            fit.tempered.temperature,
            fit.tempered.n_fitted,
            fit.tempered.n_measured,
            fit.tempered.ece,
            fit.tempered.ece_if_calibrated,
        ),
        longer_better=lengths.longer_preferred,
        shorter_better=lengths.shorter_preferred,
        twice_as_long=_scaled(lengths.reward_per_log_token, math.log(2) / spread if spread > 0 else None),
        tricks=tricks,
    )


def all_rounds(figures: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the figures of reinforcement learning, the steps of all rounds after one another, or None.

    What does not go on from round to round is that of the last one.
    """
    rounds: list[Mapping[str, Any]] = [figures[name] for name in all_of("rl", figures)]
    if not rounds:
        return None
    joined = {name: [row for one in rounds for row in one.get(name, ())] for name in ("steps", "monitors")}
    return {**rounds[-1], **joined}


def summarise_rl(figures: Mapping[str, Any], settings: RLSettings) -> RLSummary:
    """Return the steps of reinforcement learning; KL is per answer, in nats."""
    return RLSummary(
        algorithm=settings.algorithm.upper(),
        n_per_step=settings.prompts_per_step * settings.num_generations,
        steps=tuple(
            RLStep(
                step=step["step"],
                reward=step["reward_mean"],
                reward_std=step["reward_std"],
                held_out_reward=step["held_out_mean"],
                kl=step["kl_per_answer"],
                length=step["mean_length"],
            )
            for step in figures["steps"]
        ),
        stopped=_spoken_alarms(figures["stopped"]) or None,
        best_step=figures["best_step"],
        kept_step=figures["kept_step"],
        monitors=_curves(decode(tuple[SnapshotReadings, ...], figures["monitors"])),
    )


def first_alarms(figures: Mapping[str, Any]) -> dict[str, int]:
    """Return the monitors of reinforcement learning that sounded, and the step of each first alarm."""
    first: dict[str, int] = {}
    for snapshot in figures.get("monitors", ()):  # a run of an older version has none
        for reading in snapshot["readings"]:
            if reading["is_alarm"]:
                first.setdefault(MONITORS[reading["monitor"]].title, snapshot["step"])
    return first


def _spoken_alarms(names: Sequence[str]) -> str:
    return ", ".join(MONITORS[name].title for name in names)


def _curves(snapshots: Sequence[SnapshotReadings]) -> tuple[MonitorCurve, ...]:
    by_name: dict[str, list[tuple[int, Reading]]] = {}
    for snapshot in snapshots:
        for reading in snapshot.readings:
            by_name.setdefault(reading.monitor, []).append((snapshot.step, reading))
    return tuple(
        MonitorCurve(
            name=MONITORS[name].title,
            what=MONITORS[name].what,
            bound=read[0][1].bound,
            is_least=MONITORS[name].is_least,
            points=tuple(MonitorPoint(step, one.value, one.estimate, one.is_alarm) for step, one in read),
        )
        for name, read in by_name.items()
    )


def _scaled(estimate: Estimate | None, factor: float | None) -> Estimate | None:
    if estimate is None or factor is None:
        return None
    ends = (estimate.value * factor, estimate.low * factor, estimate.high * factor)
    return Estimate(*ends, n=estimate.n, level=estimate.level)
