"""Two processes make the model that one process makes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from publius.policy.config import SFTSettings
from publius.policy.sft import train_sft
from publius.records import Demonstration, conversation
from publius.training.weights import weights_hash

pytest.importorskip("torch")
pytestmark = pytest.mark.tiny
_GIVEN = [
    Demonstration(f"d{i}", conversation(("user", f"Question {i}?")), "Yes, good.", "helpful", 0, None)
    for i in range(8)
]


def train(start: Path, out: Path) -> None:
    settings = SFTSettings(batch_size=4, micro_batch_size=2, learning_rate=1e-3, is_bf16=False)
    train_sft(start, _GIVEN, out, settings=settings, seed=0, on_progress=lambda *_: None)


def test_the_number_of_processes_changes_nothing(tiny_model_dir: Path, tmp_path: Path) -> None:
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    result = subprocess.run(
        [sys.executable, *launch, __file__, str(tiny_model_dir), str(tmp_path / "two")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    train(tiny_model_dir, tmp_path / "one")
    assert weights_hash(tmp_path / "one") == weights_hash(tmp_path / "two")


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]))
