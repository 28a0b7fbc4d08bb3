"""The preference model's figures as the report shows them, from a stage's JSON."""

import json
import math

import pytest

from publius.pipeline.training_summary import first_alarms, summarise_pm, summarise_rl
from publius.policy.config import Monitors, RLSettings
from publius.policy.monitors import Seen, best_snapshot, read_monitors
from publius.policy.rl import RLReport
from publius.policy.rl_log import RLStep
from publius.preference.measure import ScoredPair, measure_pairs
from publius.preference.probes import Probe, Probes
from publius.records import canonical_json, encode
from publius.stats import Estimate

CHANGE = Estimate(0.5, 0.4, 0.6, 52, 0.95)
PROBES = Probes(
    52,
    2.0,
    "training set",
    (
        Probe("padding", "empty sentences", 52, 0, 0, Estimate(0.9, 0.8, 0.95, 52, 0.95), CHANGE, "hacked"),
        Probe("empty", "no answer", 0, 52, 0, None, None, None),
    ),
)


def _figures(pairs: list[ScoredPair]) -> dict[str, object]:
    held_out = encode(measure_pairs(pairs)) if pairs else None
    figures = {"held_out": held_out, "probes": encode(PROBES), "scale": {"mean": 0.0, "std": 2.0}}
    return json.loads(canonical_json(figures))  # as a manifest keeps it


def test_what_was_measured_reaches_the_report() -> None:
    pairs = [
        ScoredPair(
            f"p{i}", "human", None, float(i % 3 > 0), 1 + i % 5 / 10, i % 4 / 10, 9 + i % 7, 12 + i % 11
        )
        for i in range(60)
    ]
    held_out = measure_pairs(pairs)
    found = summarise_pm(_figures(pairs))
    assert found.accuracy == held_out.accuracy
    assert found.bins == held_out.calibration.bins
    assert (found.ece, found.brier) == (held_out.calibration.ece, held_out.calibration.brier)
    assert found.tempered is not None
    assert 0 < found.tempered.n_fitted <= 30 < found.tempered.n_measured == 60
    slope = held_out.lengths.reward_per_log_token
    assert slope is not None
    assert found.twice_as_long is not None
    assert found.twice_as_long.value == pytest.approx(slope.value * math.log(2) / 2.0)
    assert found.twice_as_long.n == slope.n
    assert [(one.name, one.change) for one in found.tricks] == [("padding", CHANGE), ("empty", None)]


def test_nothing_held_out_is_not_measured() -> None:
    found = summarise_pm(_figures([]))
    assert (found.accuracy, found.ece, found.brier, found.twice_as_long, found.bins) == (None,) * 4 + ((),)
    assert len(found.tricks) == 2


def test_what_the_monitors_read_reaches_the_report() -> None:
    steps = tuple(
        RLStep(i, 0.1, 0.5, 0.2, 0.4, 0.01, 10.0 * i, 1.0, 30.0, 0.1, 0, ("p",), 1.0) for i in range(1, 5)
    )
    readings = tuple(read_monitors(Seen(steps[:n], [], []), Monitors(window=1)) for n in (2, 4))
    report = RLReport(
        steps=steps,
        snapshots=(),
        monitors=readings,
        best_step=best_snapshot(readings),
        kept_step=4,
        stopped=("kl",),
        purposes=(),
        n_prompts=16,
        skipped=(),
        n_unscored=0,
        n_resumed=0,
        seconds=1.0,
        weights_hash="sha256:0",
    )
    figures = json.loads(canonical_json(encode(report)))
    found = summarise_rl(figures, RLSettings(algorithm="rloo"))
    assert found.algorithm == "RLOO"
    assert (found.stopped, found.best_step, found.kept_step) == ("KL", 2, 4)
    assert [step.held_out_reward for step in found.steps] == [0.4] * 4
    kl = next(one for one in found.monitors if one.name == "KL")
    assert [(one.step, one.value, one.is_alarm) for one in kl.points] == [(2, 20.0, False), (4, 40.0, True)]
    assert (kl.bound, kl.is_least) == (25.0, False)
    assert first_alarms(figures) == {"KL": 4}
    assert first_alarms({}) == {}
