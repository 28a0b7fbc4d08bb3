"""The reference engine against plain transformers calls, on a tiny random model in float32."""

import math
from pathlib import Path

import pytest

from publius.engines.protocol import (
    Choice,
    ChooseRequest,
    Completion,
    GenerateRequest,
    Sampling,
    Score,
    ScoreRequest,
)
from publius.errors import DataError, EngineError
from publius.records import conversation, user

from .conformance import all_that_come, answers_of

pytest.importorskip("torch")
pytest.importorskip("transformers")
import torch
import transformers

from publius.engines.decoding import Row
from publius.engines.sampling import Draw, sample_tokens
from publius.engines.transformers import TransformersEngine, open_transformers
from publius.engines.vocabulary import Vocabulary

TEXTS = ("Hi.", "How do I bake bread?", "What is the capital of France? " * 4, "user " * 40)


@pytest.fixture(scope="module")
def plain(tiny_model_dir: Path):
    """The same weights, used through transformers alone."""
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.float32).eval()
    return model, transformers.AutoTokenizer.from_pretrained(tiny_model_dir)


@pytest.fixture(scope="module")
def base(tiny_base_dir: Path):
    """The same weights without a chat template."""
    engine = open_transformers(tiny_base_dir, name="base", options={"dtype": "float32"})
    yield engine
    engine.close()


@pytest.fixture
def narrow(tiny_model_dir: Path):
    """An engine whose batches hold hardly more than one row."""
    engine = open_transformers(tiny_model_dir, name="tiny", options={"dtype": "float32", "batch_tokens": 64})
    yield engine
    engine.close()


def prompt_ids(tokenizer, messages, prefill: str = ""):
    turns = [{"role": message.role, "content": message.content} for message in messages]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True) + prefill
    return torch.tensor([tokenizer.encode(text, add_special_tokens=False)])


def test_greedy_is_what_transformers_generates(tiny: TransformersEngine, plain, ask):
    model, tokenizer = plain
    answers = answers_of(tiny, [ask(text, text, max_tokens=20) for text in TEXTS])
    for text in TEXTS:
        ids = prompt_ids(tokenizer, (user(text),))
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False)
        expected = tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
        assert answers[text].text == expected.rstrip("\ufffd")
        assert answers[text].prompt_tokens == ids.shape[1]


def test_choose_is_the_log_softmax_after_the_prompt(tiny: TransformersEngine, plain):
    model, tokenizer = plain
    requests = [ChooseRequest(text, (user(text),), ("A", "B", "0"), "(") for text in TEXTS]
    found = answers_of(tiny, requests)
    for text in TEXTS:
        ids = prompt_ids(tokenizer, (user(text),), "(")
        with torch.no_grad():
            expected = model(ids).logits[0, -1].log_softmax(-1)
        option_ids = [tokenizer.encode(option)[0] for option in ("A", "B", "0")]
        assert found[text].logprobs == pytest.approx(expected[option_ids].tolist(), abs=1e-4)


def test_a_base_model_answers_in_plain_text(tiny: TransformersEngine, base: TransformersEngine):
    text = "Bread is baked. The answer is: ("
    requests = [
        ChooseRequest("choice", (), ("A", "B"), text),
        *(GenerateRequest(f"text {n}", (), Sampling(8, temperature=0.0), text * n) for n in (1, 3)),
    ]
    found = answers_of(base, requests)
    assert found == answers_of(tiny, requests)
    assert isinstance(found["choice"], Choice)
    assert all(isinstance(found[f"text {n}"], Completion) for n in (1, 3))


def test_a_base_model_refuses_messages_before_it_takes_any(base: TransformersEngine, ask):
    plain = ChooseRequest("plain", (), ("A", "B"), "The answer is: (")
    talk = conversation(("user", "Hi."), ("assistant", "Hi."))
    for asked in (ask("m", "Hi."), ChooseRequest("m", (user("Hi."),), ("A", "B")), ScoreRequest("m", talk)):
        with pytest.raises(EngineError, match=r"base: .*no chat template(.|\n)*pretrained"):
            base.submit([plain, asked])
        assert base.wait() == []
    assert isinstance(answers_of(base, [plain])["plain"], Choice)


def test_choose_is_the_same_alone_and_padded(tiny: TransformersEngine):
    requests = [ChooseRequest(str(n), (user("word " * n),), ("A", "B"), "(") for n in range(30)]
    together = answers_of(tiny, requests)
    for request in requests:
        alone = answers_of(tiny, [request])[request.id]
        assert isinstance(alone, Choice)
        assert alone.logprobs == pytest.approx(together[request.id].logprobs, abs=1e-4)


def test_score_sums_the_tokens_and_the_end_of_the_turn(tiny: TransformersEngine, plain):
    model, tokenizer = plain
    talks = [
        conversation(("user", text), ("assistant", answer))
        for text, answer in zip(TEXTS, reversed(TEXTS), strict=True)
    ]
    scores = answers_of(tiny, [ScoreRequest(str(i), talk) for i, talk in enumerate(talks)])
    for index, talk in enumerate(talks):
        before = prompt_ids(tokenizer, talk[:-1])
        answer = tokenizer.encode(talk[-1].content + "<|im_end|>", add_special_tokens=False)
        with torch.no_grad():
            logits = model(torch.cat([before, torch.tensor([answer])], dim=1)).logits[0].log_softmax(-1)
        expected = sum(float(logits[before.shape[1] - 1 + i, token]) for i, token in enumerate(answer))
        assert scores[str(index)] == Score(str(index), pytest.approx(expected, abs=1e-3), len(answer))


def test_small_batches_give_the_same_answers(tiny, narrow, ask):
    requests = [
        ask(f"{n}/{seed}", "bread " * n, max_tokens=5 + n, temperature=1.0, top_p=0.9, seed=seed)
        for n in range(12)
        for seed in range(3)
    ]
    assert answers_of(tiny, requests) == answers_of(narrow, requests)
    scored = [ScoreRequest(str(n), conversation(("user", "a" * n), ("assistant", "b" * n))) for n in range(9)]
    wide, small = answers_of(tiny, scored), answers_of(narrow, scored)
    assert all(isinstance(score, Score) for score in wide.values())
    wide_scores = {id: score.logprob for id, score in wide.items()}
    assert {id: score.logprob for id, score in small.items()} == pytest.approx(wide_scores, abs=1e-3)


def test_rows_that_end_early_leave_the_others_untouched(tiny, ask):
    requests = [
        ask(str(n), "How do I bake bread?", max_tokens=n, temperature=1.0, seed=5) for n in range(1, 33)
    ]
    answers = {int(id): answer for id, answer in answers_of(tiny, requests).items()}
    longest = answers[32].text
    assert len(set(longest)) > 10
    assert all(longest.startswith(answer.text) for answer in answers.values())
    lengths = [answers[n].completion_tokens for n in sorted(answers)]
    assert lengths == sorted(lengths)


def test_sampled_answers_do_not_depend_on_the_neighbours(tiny, ask):
    def sampled(id: str, text: str, seed: int):
        return ask(id, text, temperature=1.0, seed=seed, max_tokens=10)

    target = sampled("target", "What is the capital of France?", seed=7)
    alone = answers_of(tiny, [target])["target"]
    crowd = [sampled(str(n), "yes no " * n, seed=n) for n in range(20)]
    assert answers_of(tiny, [*crowd, target])["target"] == alone


def test_sampling_follows_the_probabilities(tiny, plain, ask):
    model, tokenizer = plain
    ids = prompt_ids(tokenizer, (user("Hi."),))
    with torch.no_grad():
        prob = (model(ids).logits[0, -1] / 0.2).softmax(-1)
    n = 2000
    requests = [ask(str(i), "Hi.", max_tokens=1, temperature=0.2, seed=i) for i in range(n)]
    texts = [answer.text for answer in answers_of(tiny, requests).values()]
    best = int(prob.argmax())
    expected = float(prob[best])
    observed = texts.count(tokenizer.decode([best])) / n
    assert 0 < expected < 1
    assert abs(observed - expected) < 5 * math.sqrt(expected * (1 - expected) / n)


def test_rows_are_answered_as_they_end_and_the_others_go_on(tiny, ask):
    tiny.submit([ask(str(n), "How do I bake bread?", max_tokens=n, seed=5) for n in (9, 2, 6)])
    assert [answer.request_id for answer in tiny.wait()] == ["2"]
    assert not torch.is_inference_mode_enabled()
    tiny.submit([ChooseRequest("late", (user("Hi."),), ("A", "B"), "(")])
    assert [answer.request_id for answer in all_that_come(tiny)] == ["6", "9", "late"]


def test_kinds_take_turns(narrow, ask):
    """Text that keeps coming does not put off a choice that was there before it."""
    narrow.submit([ask("first", "Hi.", max_tokens=2)])
    narrow.submit([ChooseRequest("choice", (user("Hi."),), ("A", "B"), "(")])
    came: list[str] = []
    for n in range(6):
        narrow.submit([ask(f"{n}", "Hi.", max_tokens=2)])
        came += [answer.request_id for answer in narrow.wait()]
    assert came.index("choice") <= came.index("first") + 2
    assert len(came) + len(all_that_come(narrow)) == 8


def test_a_failing_batch_is_told_and_leaves_the_engine_usable(tiny_model_dir: Path, ask):
    engine = open_transformers(tiny_model_dir, name="tiny", options={"dtype": "float32"})
    weight = engine._loaded.model.model.norm.weight
    whole = weight.data
    weight.data = whole[:-1]  # torch cannot compute with this
    engine.submit([ask("r", "Hi."), ask("s", "Hi.")])
    with pytest.raises(EngineError, match="torch failed") as caught:
        engine.wait()
    assert "batch_tokens" in str(caught.value)
    assert len(engine.wait()) == 0
    weight.data = whole
    assert isinstance(answers_of(engine, [ask("r", "Hi.")])["r"], Completion)
    engine.close()


def test_it_looks_ahead_some_batches(tiny, narrow):
    assert tiny.capabilities.look_ahead == 4 * 64  # a batch of 16,384 tokens has 64 rows of 256
    assert narrow.capabilities.look_ahead == 4


@pytest.mark.parametrize("options", [{"dtype": "int3"}, {"batch_tokens": "many"}, {"speed": 9}])
def test_wrong_options_are_named(tiny_model_dir: Path, options):
    with pytest.raises(DataError, match=next(iter(options))):
        open_transformers(tiny_model_dir, name="tiny", options=options)


def test_an_unknown_device_is_refused(tiny_model_dir: Path):
    with pytest.raises(EngineError, match="warp"):
        open_transformers(tiny_model_dir, name="tiny", options={"device": "warp"})


def test_max_context_can_be_lowered_but_not_raised(tiny_model_dir: Path):
    for asked, expected in ((100, 100), (10_000, 512)):
        engine = open_transformers(tiny_model_dir, name="tiny", options={"max_context": asked})
        assert engine.capabilities.max_context == expected


class TestRow:
    """How an answer ends, token by token, with the tiny model's tokenizer."""

    @pytest.fixture
    def vocabulary(self, plain) -> Vocabulary:
        return Vocabulary(plain[1])

    def written(self, vocabulary: Vocabulary, request, text: str) -> Row:
        row = Row(request, vocabulary.codec.encode("<|im_start|>assistant\n"))
        for token in vocabulary.codec.encode(text):
            if row.finish is None:
                row.take(token, vocabulary)
        return row

    def test_ends_at_an_end_token_which_is_counted(self, vocabulary, ask):
        row = self.written(vocabulary, ask("r", "Hi.", max_tokens=90), "Bread.<|im_end|>more")
        assert (row.text, row.finish) == ("Bread.", "stop")
        assert row.completion().completion_tokens == len(vocabulary.codec.encode("Bread.")) + 1

    def test_a_written_control_string_is_not_an_end(self, vocabulary, ask):
        row = self.written(vocabulary, ask("r", "Hi.", max_tokens=90), "a <|im_ e n d|> b<|im_end|>")
        assert row.text == "a <|im_ e n d|> b"

    @pytest.mark.parametrize("stop", ["\n\nHuman", "🙂", "é", "water, salt and yeast, and wait."])
    def test_ends_at_a_stop_string_of_any_length(self, vocabulary, ask, stop):
        text = f" Größe: {'bread ' * 20}{stop} and more{stop}"
        row = self.written(vocabulary, ask("r", "Hi.", max_tokens=900, stop=("##", stop)), text)
        assert (row.text, row.finish) == (f" Größe: {'bread ' * 20}", "stop")

    def test_a_character_cut_by_the_limit_is_left_out(self, vocabulary, ask):
        n_tokens = len(vocabulary.codec.encode("ok 🙂")) - 1
        row = self.written(vocabulary, ask("r", "Hi.", max_tokens=n_tokens), "ok 🙂")
        assert (row.text, row.finish) == ("ok ", "length")


def test_a_draw_goes_through_the_inverse_distribution():
    logits_BV = torch.log(torch.tensor([[0.2, 0.0, 0.5, 0.3, 0.0]] * 6))
    draws = [Draw(1.0, 1.0, uniform) for uniform in (1e-9, 0.19, 0.21, 0.69, 0.71, 1.0)]
    assert sample_tokens(logits_BV, draws) == [0, 0, 2, 2, 3, 3]


def test_top_p_keeps_the_smallest_set_that_holds_it():
    logits_BV = torch.log(torch.tensor([[0.2, 0.0, 0.5, 0.3, 0.0]] * 4))
    draws = [Draw(1.0, top_p, 1.0) for top_p in (0.1, 0.5, 0.6, 0.9)]
    # the last token in the order of the vocabulary that is still inside
    assert sample_tokens(logits_BV, draws) == [2, 2, 3, 3]
    assert sample_tokens(logits_BV, [Draw(1.0, 0.9, 1e-9), *draws[1:]])[0] == 0


def test_top_p_of_a_flat_distribution_needs_more_than_a_few_candidates():
    generator = torch.Generator().manual_seed(0)
    logits_BV = torch.randn((2, 5000), generator=generator) * 0.1
    logits_BV[1, 17] = 30.0  # a peaked row among flat ones
    order = logits_BV[0].argsort(descending=True)
    held = logits_BV[0].softmax(-1)[order].cumsum(0)
    inside = set(order[: int((held < 0.8).sum()) + 1].tolist())
    drawn = {
        sample_tokens(logits_BV, [Draw(1.0, 0.8, (i + 1) / 2000), Draw(1.0, 0.8, 0.5)])[0]
        for i in range(0, 2000, 10)
    }
    assert drawn <= inside
    assert len(drawn) > 150
    assert sample_tokens(logits_BV, [Draw(0.0, 1.0, 0.5), Draw(1.0, 0.8, 0.5)])[1] == 17


def test_a_temperature_near_zero_neither_overflows_nor_strays():
    logits_BV = torch.tensor([[1000.0, 999.0, -1000.0]])
    assert sample_tokens(logits_BV, [Draw(1e-30, 1.0, 1.0)]) == [0]
