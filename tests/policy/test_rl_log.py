"""The log of an RL run."""

from pathlib import Path

from publius.policy.rl_log import RLStep, append_step, keep_steps, read_steps

STEP = RLStep(1, 0.5, 0.1, 0.0, 0.0, None, 7.5, 0.25, 0, ("p1", "p2"), 1.5)


def test_round_trip_and_a_cut_last_line(tmp_path: Path) -> None:
    file = tmp_path / "steps.jsonl"
    assert read_steps(file) == []
    append_step(file, STEP)
    append_step(file, STEP)
    with file.open("a") as log:
        log.write('{"step": 3')
    assert read_steps(file) == [STEP, STEP]
    keep_steps(file, [STEP])
    assert read_steps(file) == [STEP]
    assert [path.name for path in tmp_path.iterdir()] == ["steps.jsonl"]
