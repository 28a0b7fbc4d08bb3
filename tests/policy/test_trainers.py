"""SFT, DPO and RL on a tiny real model."""

from pathlib import Path

import pytest

from publius.policy.config import DPOSettings, RLSettings, SFTSettings
from publius.policy.dpo import train_dpo
from publius.policy.rl import train_rl
from publius.policy.sft import train_sft
from publius.records import Comparison, Demonstration, Preference, Prompt, conversation

torch = pytest.importorskip("torch")


def test_sft(tiny_model_dir: Path, tmp_path: Path):
    demos = [
        Demonstration(f"d{i}", conversation(("user", f"Q {i}")), "Yes, good.", "helpful", 0, None)
        for i in range(20)
    ]
    r = train_sft(
        tiny_model_dir,
        demos,
        tmp_path / "o",
        settings=SFTSettings(batch_size=4, micro_batch_size=2, learning_rate=1e-3),
        seed=0,
        on_progress=lambda *_: None,
    )
    print(r)


def test_dpo(tiny_model_dir: Path, tmp_path: Path):
    p = [
        Preference(
            Comparison(f"d{i}", f"p{i}", conversation(("user", f"Q {i}")), "Yes, good.", "No, bad", "a", "b"),
            0.9,
            "asked",
            None,
            None,
            (),
        )
        for i in range(20)
    ]
    r = train_dpo(
        tiny_model_dir,
        p,
        tmp_path / "o",
        settings=DPOSettings(batch_size=4, micro_batch_size=2, learning_rate=1e-3),
        seed=0,
        on_progress=lambda *_: None,
    )
    print(r)


def test_rl(tiny_model_dir: Path, tmp_path: Path):
    p = [
        Prompt(f"d{i}", ["helpful", "trait"][i % 2], "k", "train", conversation(("user", f"Q {i}")))
        for i in range(20)
    ]
    r = train_rl(
        tiny_model_dir,
        p,
        lambda cs: [c[-1].content.count("e") for c in cs],
        tmp_path / "o",
        settings=RLSettings(steps=5, snapshot_every=2, learning_rate=1e-3),
        seed=0,
        on_progress=lambda *a: print(a),
    )
    print(r)
    import os

    os.system(f"find {tmp_path}")
