"""Answers sampled from a copy of the policy are those of the policy."""

from collections import Counter
from pathlib import Path

import pytest

from publius.training.weights import load_causal_lm

pytest.importorskip("torch")
pytest.importorskip("trl")
import torch
from transformers import GenerationConfig

from publius.policy.rollout import Sampler, draw, sampler_of

pytestmark = pytest.mark.tiny
PROMPTS = [[1, 30, 31, 32, 33, 34], [1, 40], [1, 30, 31, 32, 33, 34], [1, 50, 51, 52]]


def _sampler(policy: object, *, is_bf16: bool = False) -> Sampler:
    sampler = sampler_of(policy, is_bf16=is_bf16, pad_id=0)  # pyright: ignore[reportArgumentType]
    assert sampler is not None
    return sampler


def test_cold_answers_equal_greedy_ones_of_single_prompts(tiny_model_dir: Path) -> None:
    policy = load_causal_lm(tiny_model_dir).model
    sampler = _sampler(policy)
    greedy = GenerationConfig(max_new_tokens=12, do_sample=False, pad_token_id=0, eos_token_id=2)
    with torch.no_grad():
        for parameter in policy.parameters():  # the copy is stale until it is refreshed
            parameter.mul_(1.5)
    sampler.refresh(policy)
    expected = [
        policy.generate(torch.tensor([ids]), generation_config=greedy)[0, len(ids) :].tolist()
        for ids in PROMPTS
    ]
    assert sampler.sample(PROMPTS, n_tokens=12, temperature=1e-5, end_ids=[2]).answers == expected


def test_each_token_comes_with_its_log_probability(tiny_model_dir: Path) -> None:
    policy = load_causal_lm(tiny_model_dir).model
    with torch.no_grad():
        policy.get_output_embeddings().weight[2] *= 4  # answers end at different lengths
    torch.manual_seed(0)
    sampled = _sampler(policy).sample(PROMPTS * 4, n_tokens=20, temperature=0.7, end_ids=[2])
    assert len({len(answer) for answer in sampled.answers}) > 2
    for prompt, answer, logprobs in zip(PROMPTS * 4, sampled.answers, sampled.logprobs, strict=True):
        with torch.no_grad():
            logits_TV = policy(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1] / 0.7
        expected = logits_TV.log_softmax(-1)[range(len(answer)), answer]
        assert torch.allclose(torch.tensor(logprobs), expected, atol=1e-5)


def test_an_answer_ends_with_its_end_token(tiny_model_dir: Path) -> None:
    policy = load_causal_lm(tiny_model_dir).model
    torch.manual_seed(0)
    with torch.no_grad():
        policy.get_output_embeddings().weight[2] *= 4  # makes an end within 40 tokens near certain
    sampler = _sampler(policy, is_bf16=True)
    answers = sampler.sample(PROMPTS * 8, n_tokens=40, temperature=1.0, end_ids=[2, 5]).answers
    assert len(answers) == 32
    assert len({tuple(answer) for answer in answers}) > 16
    assert any(answer[-1] in (2, 5) for answer in answers)
    for answer in answers:
        assert not {2, 5} & set(answer[:-1])
        assert answer[-1] in (2, 5) or len(answer) == 40


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    torch.manual_seed(0)
    shares = torch.tensor([0.5, 0.0, 0.3, 0.2])
    tokens, logprobs = draw(shares.log().expand(20_000, -1))
    counts = Counter(tokens.tolist())
    for token, share in enumerate(shares.tolist()):
        assert counts[token] == pytest.approx(20_000 * share, abs=4 * (20_000 * share * (1 - share)) ** 0.5)
    assert torch.allclose(logprobs, shares[tokens].log())


def test_a_model_whose_attention_cannot_be_replaced_has_no_sampler(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from publius.policy import decoding

    policy = load_causal_lm(tiny_model_dir).model
    monkeypatch.setattr(decoding.AnswerMemory, "attend", lambda *given: given[2].transpose(1, 2))
    assert sampler_of(policy, is_bf16=False, pad_id=0) is None
    monkeypatch.setattr(type(policy), "set_attn_implementation", lambda *_: None)
    assert sampler_of(policy, is_bf16=False, pad_id=0) is None
