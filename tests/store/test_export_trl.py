"""TRL trains on what we export: a tiny real model, one step a format."""

from pathlib import Path
from typing import Any

import pytest

from labelled import ASKED, HUMAN, LONG, TURNED
from publius.records import Split
from publius.store.export import FORMATS, About, export_splits

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.tiny
ITEMS = (ASKED, TURNED, HUMAN, LONG)


def load(folder: Path, name: str) -> Any:
    from datasets import load_dataset

    paths: dict[Split, Path] = {"train": folder / f"{name}.parquet"}
    export_splits(ITEMS, paths, format=FORMATS[name], about=About("t", "2026-11-22T12:00:00+00:00", {}))
    return load_dataset("parquet", data_files=str(paths["train"]), cache_dir=str(folder / "cache"))["train"]


def trainer(folder: Path, model: Path, table: Any) -> Any:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from trl.trainer.reward_config import RewardConfig
    from trl.trainer.reward_trainer import RewardTrainer

    arguments = RewardConfig(
        output_dir=str(folder / "out"), max_steps=1, per_device_train_batch_size=4, use_cpu=True, bf16=False,
        gradient_checkpointing=False, report_to="none", save_strategy="no", disable_tqdm=True,
        max_length=None,
    )  # fmt: skip
    return RewardTrainer(
        model=AutoModelForSequenceClassification.from_pretrained(model, num_labels=1),
        args=arguments,
        processing_class=AutoTokenizer.from_pretrained(model),
        train_dataset=table,
    )


def test_reward_trainer_takes_each_form_and_sees_the_same_conversations(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    seen: dict[str, list[tuple[list[int], list[int]]]] = {}
    for name in ("trl", "trl-implicit", "trl-hard"):
        made = trainer(tmp_path / name, tiny_model_dir, load(tmp_path / name, name))
        rows = made.train_dataset
        assert "margin" not in rows.column_names  # it would change the loss in silence
        seen[name] = list(zip(rows["chosen_ids"], rows["rejected_ids"], strict=True))
        assert made.train().training_loss > 0
    assert seen["trl"] == seen["trl-implicit"] == seen["trl-hard"]
    tokenizer = made.processing_class
    for item, (chosen, rejected) in zip(ITEMS, seen["trl"], strict=True):
        best = item.comparison if (item.prob_a or 0) > 0.5 else item.comparison.swap()
        assert best.answer_a in tokenizer.decode(chosen)
        assert best.answer_b in tokenizer.decode(rejected)


def test_dpo_trainer_takes_the_export(tmp_path: Path, tiny_model_dir: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    arguments = DPOConfig(
        output_dir=str(tmp_path / "out"), max_steps=1, per_device_train_batch_size=4, use_cpu=True,
        bf16=False, gradient_checkpointing=False, report_to="none", save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    made = DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny_model_dir),
        args=arguments,
        processing_class=AutoTokenizer.from_pretrained(tiny_model_dir),
        train_dataset=load(tmp_path, "trl"),
    )
    assert made.train().training_loss > 0
