"""Models load and save whole, only from formats that cannot run code, and pad with their own token."""

import json
import shutil
import struct
from pathlib import Path

import pytest

from publius.errors import DataError, StoreError
from publius.training.weights import has_chat_template, load_causal_lm, save_model
from publius.training.whole_directory import appearing_whole, check_disk

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.fixture
def copy(tiny_model_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "copy"))


@pytest.mark.tiny
def test_what_is_saved_loads_to_the_same_answers(tiny_model_dir: Path, tmp_path: Path):
    loaded = load_causal_lm(tiny_model_dir)
    out = save_model(loaded.model, loaded.tokenizer, tmp_path / "out")
    again = load_causal_lm(out)
    ids = torch.tensor([[5, 6, 7, 8]])
    assert torch.equal(loaded.model(ids).logits, again.model(ids).logits)
    assert again.tokenizer.chat_template == loaded.tokenizer.chat_template
    assert not again.model.training


@pytest.mark.tiny
def test_the_asked_precision_is_what_comes(tiny_model_dir: Path):
    assert load_causal_lm(tiny_model_dir, dtype="bfloat16").model.dtype == torch.bfloat16
    assert load_causal_lm(tiny_model_dir).model.dtype == torch.float32


@pytest.mark.tiny
def test_saving_replaces_what_was_there_and_leaves_nothing_beside(tiny_model_dir: Path, tmp_path: Path):
    loaded = load_causal_lm(tiny_model_dir)
    out = tmp_path / "here" / "out"
    out.mkdir(parents=True)
    (out / "old").write_text("x")
    save_model(loaded.model, loaded.tokenizer, out)
    assert not (out / "old").exists()
    assert [path.name for path in out.parent.iterdir()] == ["out"]


@pytest.mark.tiny
def test_padding_is_never_the_end_token(copy: Path):
    config = json.loads((copy / "tokenizer_config.json").read_text())
    config["pad_token"] = config["eos_token"]
    (copy / "tokenizer_config.json").write_text(json.dumps(config))
    loaded = load_causal_lm(copy)
    assert loaded.tokenizer.pad_token == "<|endoftext|>"
    assert loaded.tokenizer.pad_token_id != loaded.tokenizer.eos_token_id
    assert loaded.model.config.pad_token_id == loaded.tokenizer.pad_token_id
    assert len(loaded.tokenizer) == loaded.model.config.vocab_size


def test_a_model_without_chat_template_is_not_trained(tiny_base_dir: Path, tmp_path: Path):
    with pytest.raises(DataError, match=r"no chat template(.|\n)*instruction-tuned"):
        load_causal_lm(tiny_base_dir)
    (tmp_path / "m.gguf").write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, 0))
    with pytest.raises(DataError, match=r"no chat template(.|\n)*instruction-tuned"):
        load_causal_lm(tmp_path / "m.gguf")


@pytest.mark.tiny
def test_a_model_without_chat_template_is_loaded_to_be_asked(tiny_model_dir: Path, tiny_base_dir: Path):
    base, tuned = load_causal_lm(tiny_base_dir, needs_template=False), load_causal_lm(tiny_model_dir)
    ids = torch.tensor([[5, 6, 7, 8]])
    assert torch.equal(base.model(ids).logits, tuned.model(ids).logits)
    assert base.tokenizer.pad_token_id == tuned.tokenizer.pad_token_id


@pytest.mark.tiny
def test_what_is_only_asked_may_be_padded_with_its_end_token(tiny_base_dir: Path, tmp_path: Path):
    """GPT-2 and Pythia's kind: one special token, which ends a text."""
    directory = Path(shutil.copytree(tiny_base_dir, tmp_path / "base"))
    path = directory / "tokenizer_config.json"
    settings = {key: value for key, value in json.loads(path.read_text()).items() if "token" not in key}
    path.write_text(json.dumps(settings | {"eos_token": "<|im_end|>"}))
    tokens = json.loads((directory / "tokenizer.json").read_text())
    for token in tokens["added_tokens"]:
        token["special"] = token["content"] == "<|im_end|>"
    (directory / "tokenizer.json").write_text(json.dumps(tokens))
    loaded = load_causal_lm(directory, needs_template=False)
    assert loaded.tokenizer.pad_token_id == loaded.tokenizer.eos_token_id


def test_a_chat_template_is_found_without_loading(tiny_model_dir: Path, tiny_base_dir: Path, tmp_path: Path):
    assert has_chat_template(tiny_model_dir)
    assert not has_chat_template(tiny_base_dir)
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    assert has_chat_template(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("[")
    with pytest.raises(DataError, match=r"tokenizer_config\.json"):
        has_chat_template(tmp_path)
    (tmp_path / "m.gguf").write_bytes(b"nothing")
    with pytest.raises(DataError, match="GGUF"):
        has_chat_template(tmp_path / "m.gguf")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pkl"])
def test_pickled_weights_are_refused(tmp_path: Path, name: str):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / name).write_bytes(b"\x80\x04")
    with pytest.raises(DataError, match="pickle"):
        load_causal_lm(tmp_path)
    with pytest.raises(DataError, match="pickle"):
        load_causal_lm(tmp_path / name)


def test_adapters_other_files_and_nothing_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="no such model"):
        load_causal_lm(tmp_path / "missing")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="neither"):
        load_causal_lm(tmp_path / "notes.txt")
    with pytest.raises(DataError, match="neither"):
        load_causal_lm(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(DataError, match="merge"):
        load_causal_lm(tmp_path)


def test_a_directory_that_fails_half_way_does_not_appear(tmp_path: Path):
    def write_half() -> None:
        with appearing_whole(tmp_path / "out") as directory:
            (directory / "half").write_text("x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_before_anything_is_written(tmp_path: Path):
    with pytest.raises(StoreError, match=r"needs about(.|\n)*PUBLIUS_CACHE"):
        check_disk(tmp_path, n_bytes=10**18, purpose="the copy")
