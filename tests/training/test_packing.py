"""Documents in one row do not see each other, whatever the decoder; what cannot keep them apart is known."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
import torch
import transformers

from publius.training.packing import can_pack, pack_by_tokens, pack_rows
from publius.training.weights import load_causal_lm

pytestmark = pytest.mark.tiny
_SIZE: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
KINDS = {
    "llama": lambda: transformers.LlamaConfig(**_SIZE),
    "sliding window": lambda: transformers.MistralConfig(**_SIZE, sliding_window=3),
    "windows in some layers": lambda: transformers.Gemma2Config(**_SIZE, sliding_window=3, head_dim=8),
    "learned positions": lambda: transformers.GPT2Config(
        vocab_size=60, n_embd=32, n_layer=2, n_head=4, n_positions=64
    ),
}


def _model(kind: str) -> Any:
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(KINDS[kind]()).eval()


def _batch(lengths: list[int]) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    ids_BT = torch.randint(3, 60, (len(lengths), max(lengths)), generator=generator)
    mask_BT = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    return {"input_ids": ids_BT * mask_BT, "labels": ids_BT.masked_fill(~mask_BT, -100), "mask": mask_BT}


@pytest.mark.parametrize("kind", list(KINDS))
def test_gradients_equal_those_of_separate_rows(kind: str) -> None:
    model, lengths = _model(kind), [9, 4, 7]
    assert can_pack(model)
    batch = _batch(lengths)
    n_labels = sum(lengths) - len(lengths)

    packed = pack_rows(batch, [2, 0, 1], lengths=lengths)
    logits_PV = model(
        input_ids=packed["input_ids"], position_ids=packed["position_ids"], use_cache=False
    ).logits[0]
    loss = torch.nn.functional.cross_entropy(logits_PV[:-1], packed["labels"][0, 1:], reduction="sum")
    (loss / n_labels).backward()
    together = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()

    apart = torch.zeros(())
    for row, length in enumerate(lengths):
        ids_1T = batch["input_ids"][row : row + 1, :length]
        logits_TV = model(input_ids=ids_1T, use_cache=False).logits[0]
        apart = apart + torch.nn.functional.cross_entropy(logits_TV[:-1], ids_1T[0, 1:], reduction="sum")
    (apart / n_labels).backward()
    assert loss.item() == pytest.approx(apart.item(), rel=1e-5)
    for one, parameter in zip(together, model.parameters(), strict=True):
        torch.testing.assert_close(one, parameter.grad, rtol=1e-4, atol=1e-6)


def test_what_carries_a_state_over_the_border_is_refused() -> None:
    torch.manual_seed(0)
    config = transformers.MambaConfig(vocab_size=60, hidden_size=32, num_hidden_layers=2, state_size=8)
    assert not can_pack(transformers.MambaForCausalLM(config))


def test_positions_that_are_counted_along_the_row_are_refused() -> None:
    torch.manual_seed(0)
    config = transformers.BloomConfig(vocab_size=60, hidden_size=32, n_layer=2, n_head=4)
    assert not can_pack(transformers.BloomForCausalLM(config))


def test_the_probe_leaves_the_model_as_it_was(tiny_model_dir: Path) -> None:
    model = load_causal_lm(tiny_model_dir).model.train()
    assert can_pack(model)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_no_label_crosses_a_border() -> None:
    packed = pack_rows(_batch([3, 2]), [0, 1], lengths=[3, 2])
    assert (packed["labels"][0] == -100).tolist() == [True, False, False, True, False]


def test_packs_fill_the_budget() -> None:
    lengths = [40, 60, 30, 70, 20, 120]
    packs = pack_by_tokens(lengths, budget=100)
    assert sorted(row for pack in packs for row in pack) == list(range(6))
    assert [sum(lengths[row] for row in pack) for pack in packs] == [120, 100, 100, 20]


def test_as_many_packs_as_the_other_processes_have() -> None:
    assert len(pack_by_tokens([10, 10, 10], budget=100, n_least=2)) == 2
    assert len(pack_by_tokens([10, 10, 10], budget=100, n_least=7)) == 3
