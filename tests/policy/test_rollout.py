"""Answers sampled from a copy of the policy are those of the policy."""

from pathlib import Path

import pytest

from publius.training.weights import load_causal_lm

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
from transformers import GenerationConfig  # noqa: E402

from publius.policy.rollout import sampler_of  # noqa: E402

pytestmark = pytest.mark.tiny
PROMPTS = [[1, 30, 31, 32, 33, 34], [1, 40], [1, 30, 31, 32, 33, 34], [1, 50, 51, 52]]


def test_greedy_answers_equal_those_of_single_prompts(tiny_model_dir: Path) -> None:
    policy = load_causal_lm(tiny_model_dir).model
    sampler = sampler_of(policy, is_bf16=False, pad_id=0)
    greedy = GenerationConfig(max_new_tokens=12, do_sample=False, pad_token_id=0, eos_token_id=2)
    with torch.no_grad():
        for parameter in policy.parameters():  # the copy is stale until it is refreshed
            parameter.mul_(1.5)
    sampler.refresh(policy)
    expected = [
        policy.generate(torch.tensor([ids]), generation_config=greedy)[0, len(ids) :].tolist()
        for ids in PROMPTS
    ]
    assert sampler.sample(PROMPTS, generation=greedy, end_ids=[2]) == expected


def test_an_answer_ends_with_its_end_token(tiny_model_dir: Path) -> None:
    policy = load_causal_lm(tiny_model_dir).model
    free = GenerationConfig(max_new_tokens=40, do_sample=True, top_k=0, pad_token_id=0, eos_token_id=[2, 5])
    torch.manual_seed(0)
    with torch.no_grad():
        policy.get_output_embeddings().weight[2] *= 4  # makes an end within 40 tokens near certain
    answers = sampler_of(policy, is_bf16=True, pad_id=0).sample(PROMPTS * 8, generation=free, end_ids=[2, 5])
    assert len(answers) == 32
    assert len({tuple(answer) for answer in answers}) > 16
    assert any(answer[-1] in (2, 5) for answer in answers)
    for answer in answers:
        assert not {2, 5} & set(answer[:-1])
        assert answer[-1] in (2, 5) or len(answer) == 40
