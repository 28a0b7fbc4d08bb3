"""Answers that share their prompt are computed as if they did not; TRL's head and ours agree."""

from pathlib import Path

import pytest

from publius.training.weights import load_causal_lm

pytest.importorskip("torch")
pytest.importorskip("trl")
import torch
from trl.trainer.utils import add_fused_lm_head

from publius.training import answer_head
from publius.training.answer_head import score_siblings, use_answer_head
from publius.training.shared_prompt import (
    Siblings,
    can_share_prompts,
    share_prompts,
    sibling_mask,
)

pytestmark = pytest.mark.tiny
ROWS = [
    Siblings([5, 6, 7, 8], [[10, 11, 12], [13], [14, 15, 16, 17, 18]]),
    Siblings([20, 21], [[22, 23]]),
]


def test_layout() -> None:
    batch = share_prompts(ROWS, pad_id=0)
    assert batch.input_ids_BT.tolist()[1] == [20, 21, 22, 23] + [0] * 9
    assert batch.positions_BT.tolist()[0] == [0, 1, 2, 3, 4, 5, 6, 4, 4, 5, 6, 7, 8]
    assert batch.row_N.tolist() == [0, 0, 0, 1]
    assert batch.start_N.tolist() == [4, 7, 8, 2]
    assert batch.end_N.tolist() == [7, 8, 13, 4]
    assert batch.prompt_end_N.tolist() == [4, 4, 4, 2]


def test_every_token_sees_something_and_never_a_sibling() -> None:
    mask_TT = sibling_mask(torch.tensor([[0, 0, 1, 1, 2, -1]]))[0, 0]
    assert mask_TT.any(-1).all()
    assert mask_TT[4].tolist() == [True, True, False, False, True, False]
    assert mask_TT[5].tolist() == [False] * 5 + [True]
    assert not mask_TT[:5, 5].any()


def test_scores_and_gradients_equal_separate_rows(tiny_model_dir: Path) -> None:
    model = load_causal_lm(tiny_model_dir).model
    assert can_share_prompts(model)
    add_fused_lm_head(model)
    assert use_answer_head(model)
    scores = score_siblings(model, ROWS, pad_id=0)
    scores.logprob_N.sum().backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()

    apart: list[torch.Tensor] = []
    entropies: list[torch.Tensor] = []
    for prompt_ids, answers in ROWS:
        for answer_ids in answers:
            logits = model(input_ids=torch.tensor([[*prompt_ids, *answer_ids]])).logits[0]
            logprobs = logits[len(prompt_ids) - 1 : -1].log_softmax(-1)
            apart.append(logprobs.gather(-1, torch.tensor(answer_ids)[:, None])[:, 0])
            entropies.append(-(logprobs.exp() * logprobs).sum(-1))
    torch.cat(apart).sum().backward()
    torch.testing.assert_close(scores.logprob_N, torch.cat(apart), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(scores.entropy_N, torch.cat(entropies), atol=1e-5, rtol=1e-5)
    for gradient, parameter in zip(gradients, model.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, atol=1e-4, rtol=1e-4)


def test_head_gives_what_trl_s_gives(tiny_model_dir: Path) -> None:
    ours, theirs = (load_causal_lm(tiny_model_dir).model for _ in range(2))
    outputs = ("log_probs", "entropy", "mean_logits", "is_top1")
    for model in (ours, theirs):
        add_fused_lm_head(model, temperature=0.7, outputs=outputs)
    use_answer_head(ours, temperature=0.7)
    ids = torch.tensor([[5, 6, 7, 8, 9], [5, 6, 7, 3, 3]])
    labels = torch.tensor([[-100, -100, 7, 8, 9], [-100, 6, 7, -100, -100]])
    results = [model(input_ids=ids, labels=labels, fused_lm_head=True) for model in (ours, theirs)]
    for name in (*outputs, "label_mask", "loss"):
        mine, other = (getattr(result, name) for result in results)
        torch.testing.assert_close(mine.float(), other.float(), atol=1e-5, rtol=1e-5, msg=name)
    plain = ours(input_ids=ids).logits
    torch.testing.assert_close(plain, theirs(input_ids=ids).logits)


def test_chunks_change_nothing(tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results: list[list[torch.Tensor]] = []
    for chunk in (1024, 3):
        monkeypatch.setattr(answer_head, "_CHUNK", chunk)
        model = load_causal_lm(tiny_model_dir).model
        add_fused_lm_head(model)
        use_answer_head(model)
        scores = score_siblings(model, ROWS, pad_id=0)
        scores.logprob_N.sum().backward()
        results.append([*scores, *(p.grad for p in model.parameters())])
    for whole, chunked in zip(*results, strict=True):
        torch.testing.assert_close(whole, chunked)


def test_a_batch_without_labels_still_has_a_gradient(tiny_model_dir: Path) -> None:
    model = load_causal_lm(tiny_model_dir).model
    add_fused_lm_head(model)
    use_answer_head(model)
    output = model(input_ids=torch.tensor([[5, 6]]), labels=torch.tensor([[-100, -100]]), fused_lm_head=True)
    output.log_probs.sum().backward()
    assert output.log_probs.tolist() == [[0.0]]


def test_models_that_look_at_no_mask_are_refused(tiny_model_dir: Path) -> None:
    model = load_causal_lm(tiny_model_dir).model
    model.config.sliding_window = 128
    assert not can_share_prompts(model)
