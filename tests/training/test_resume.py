"""A run that was killed, whenever and however often, ends with the bits of one that was not."""

import json
from pathlib import Path

import pytest

from command import python
from publius.errors import StoreError
from small_trainings import TRAININGS, Length, Progress, rl, sft

pytest.importorskip("torch")
pytestmark = pytest.mark.tiny


def _until(step: int) -> Progress:
    def interrupt(done: int, total: int) -> None:
        if done == step:
            raise KeyboardInterrupt

    return interrupt


def _go_on(done: int, total: int) -> None: ...


@pytest.mark.parametrize("name", list(TRAININGS))
def test_killed_four_times(name: str, tiny_model_dir: Path, tmp_path: Path) -> None:
    run = TRAININGS[name]
    for step in (1, 3, 3, 6):  # before the first checkpoint, after one, at the same step again, at the last
        with pytest.raises(KeyboardInterrupt):
            run(tiny_model_dir, tmp_path / "killed", _until(step))
    seen: list[int] = []
    killed = run(tiny_model_dir, tmp_path / "killed", lambda done, total: seen.append(done))
    assert seen[0] == 5  # went on from step 4
    assert killed == run(tiny_model_dir, tmp_path / "unbroken", _go_on)
    assert not list(tmp_path.glob("*.work"))


def test_killed_at_every_one_of_eighteen_steps(tiny_model_dir: Path, tmp_path: Path) -> None:
    every = Length(checkpoint_every=1)
    for step in range(1, 19):
        with pytest.raises(KeyboardInterrupt):
            sft(tiny_model_dir, tmp_path / "killed", _until(step), length=every)
    killed = sft(tiny_model_dir, tmp_path / "killed", _go_on, length=every)
    assert [point.step for point in killed.losses] == list(range(1, 19))
    assert killed == sft(tiny_model_dir, tmp_path / "unbroken", _go_on)


@pytest.mark.parametrize("name", ["sft", "rl"])
def test_a_killed_process(name: str, tiny_model_dir: Path, tmp_path: Path) -> None:
    script = f"""
import os, signal, sys, torch
from pathlib import Path
torch.set_num_threads(1)
from small_trainings import TRAININGS
def kill(done, total):
    if done == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
TRAININGS[{name!r}](Path({str(tiny_model_dir)!r}), Path({str(tmp_path / "killed")!r}), kill)
"""
    for step in ("3", "5"):
        done = python(script, step)
        assert done.returncode == -9, done.stderr
    killed = TRAININGS[name](tiny_model_dir, tmp_path / "killed", _go_on)
    assert killed == TRAININGS[name](tiny_model_dir, tmp_path / "unbroken", _go_on)


def test_a_process_killed_while_it_writes_a_snapshot_leaves_nothing_of_it(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    script = f"""
import os, signal
from pathlib import Path
from publius.training import whole_directory
from small_trainings import rl
whole_directory._swap = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
rl(Path({str(tiny_model_dir)!r}), Path({str(tmp_path / "rl")!r}), lambda *_: None)
"""
    assert python(script).returncode == -9
    snapshots = tmp_path / "rl.work" / "result" / "snapshots"
    assert [path.name for path in snapshots.iterdir()] != ["step-2"]
    rl(tiny_model_dir, tmp_path / "rl", _go_on)
    found = sorted(path.name for path in (tmp_path / "rl" / "snapshots").iterdir())
    assert found == ["step-2", "step-4", "step-6"]


def test_half_a_removed_checkpoint_does_not_outlive_a_whole_one(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        sft(tiny_model_dir, tmp_path / "sft", _until(5))
    (tmp_path / "sft.work" / "checkpoint-2" / "model.safetensors").unlink()  # killed while it was removed
    with monkeypatch.context() as patch:
        patch.setattr("publius.training.checkpoints._save_optimizer", lambda *_: _until(0)(0, 0))
        with pytest.raises(KeyboardInterrupt):
            sft(tiny_model_dir, tmp_path / "sft", _go_on)
    seen: list[int] = []
    sft(tiny_model_dir, tmp_path / "sft", lambda done, total: seen.append(done))
    assert seen[0] == 5


def test_killed_between_the_last_step_and_the_end(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = (("sft", "publius.policy.sft.finish"), ("rl", "publius.policy.rl._publish"))
    for name, place in modules:
        with monkeypatch.context() as patch:
            patch.setattr(place, lambda *_, **__: _until(0)(0, 0))
            with pytest.raises(KeyboardInterrupt):
                TRAININGS[name](tiny_model_dir, tmp_path / name, _go_on)
        seen: list[int] = []
        killed = TRAININGS[name](
            tiny_model_dir, tmp_path / name, lambda done, total, seen=seen: seen.append(done)
        )
        assert seen == []
        assert killed == TRAININGS[name](tiny_model_dir, tmp_path / f"{name}-unbroken", _go_on)


def test_other_data_or_another_start_begins_anew(tiny_model_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        sft(tiny_model_dir, tmp_path / "sft", _until(5))
    seen: list[int] = []
    sft(tiny_model_dir, tmp_path / "sft", lambda done, total: seen.append(done), answer="No.")
    assert seen[0] == 1
    with pytest.raises(KeyboardInterrupt):
        sft(tmp_path / "sft", tmp_path / "twice", _until(5))
    seen.clear()
    sft(tiny_model_dir, tmp_path / "twice", lambda done, total: seen.append(done))
    assert seen[0] == 1


def test_half_a_checkpoint_is_passed_over_and_a_damaged_one_is_named(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        sft(tiny_model_dir, tmp_path / "sft", _until(5))
    newest = tmp_path / "sft.work" / "checkpoint-4"
    assert {path.suffix for path in newest.iterdir()} <= {".safetensors", ".json", ".jinja", ".bin", ""}
    assert not list(newest.glob("*.pt")) + list(newest.glob("*.pth"))  # what the libraries would unpickle
    (newest / "random-0.json").write_text(json.dumps({})[:1])
    with pytest.raises(StoreError, match="checkpoint cannot be read"):
        sft(tiny_model_dir, tmp_path / "sft", _go_on)
    (newest / "random-0.json").unlink()
    (newest / "optimizer.safetensors").write_bytes(b"")
    with pytest.raises(StoreError, match="checkpoint cannot be read"):
        sft(tiny_model_dir, tmp_path / "sft", _go_on)
    (newest / "COMPLETE").unlink()
    seen: list[int] = []
    sft(tiny_model_dir, tmp_path / "sft", lambda done, total: seen.append(done))
    assert seen[0] == 3
