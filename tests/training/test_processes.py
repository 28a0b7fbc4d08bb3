"""Two processes make the model that one process makes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from publius.training.weights import weights_hash

pytest.importorskip("torch")
pytestmark = pytest.mark.tiny
_SCRIPT = """
import sys
from pathlib import Path
from publius.policy.config import SFTSettings
from publius.policy.sft import train_sft
from publius.records import Demonstration, conversation
given = [Demonstration(f"d{i}", conversation(("user", f"Question {i}?")), "Yes, good.", "helpful", 0, None)
         for i in range(8)]
settings = SFTSettings(batch_size=4, micro_batch_size=2, learning_rate=1e-3, is_bf16=False)
train_sft(Path(sys.argv[1]), given, Path(sys.argv[2]), settings=settings, seed=0, on_progress=lambda *_: None)
"""


def test_the_number_of_processes_changes_nothing(tiny_model_dir: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    hashes: set[str] = set()
    for n_processes in (1, 2):
        out = tmp_path / str(n_processes)
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n_processes)]
        result = subprocess.run(
            [sys.executable, *launch, str(script), str(tiny_model_dir), str(out)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        hashes.add(weights_hash(out))
    assert len(hashes) == 1
