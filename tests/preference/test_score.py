"""Scoring a saved model: refusals by item, models of other programs, prefixes, probes. Tiny real models."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from publius.errors import DataError
from publius.preference.assess import assess, keepable
from publius.preference.measure import score_pairs
from publius.preference.probes import ProbeItem, items_of, probe, shipped_items
from publius.preference.prompted import PREFIXES, load_prefix, prompted
from publius.preference.scale import SCALE_FILE, read_scale, write_scale
from publius.preference.score import PreferenceModel, Unscored
from publius.records import Comparison, Conversation, Message, Preference, conversation
from publius.training.weights import save_model

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.tiny

ASKED = [
    conversation(("user", f"Question {i}?"), ("assistant", answer))
    for i in range(3)
    for answer in ("Yes, good", "No", "A good deal longer than the other two answers are", "")
]
LONG = conversation(("user", "Question?"), ("assistant", "good " * 600))


@pytest.fixture(scope="module")
def pm(tiny_pm_dir: Path) -> PreferenceModel:
    return PreferenceModel.load(tiny_pm_dir)


def _copy(source: Path, to: Path, **config: object) -> Path:
    shutil.copytree(source, to)
    (to / SCALE_FILE).unlink(missing_ok=True)
    file = to / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    return to


def _plain_rewards(directory: Path, ids: list[list[int]]) -> list[float]:
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(directory, dtype=torch.float32).eval()
    with torch.no_grad():
        return [model(input_ids=torch.tensor([one])).logits[0, 0].item() for one in ids]


def _template_ids(pm: PreferenceModel, asked: Conversation) -> list[int]:
    turns = [{"role": turn.role, "content": turn.content} for turn in asked]
    return pm.tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)


def test_what_cannot_be_scored_is_refused_by_itself(pm: PreferenceModel) -> None:
    bad = conversation(("user", "Question?"))
    found = pm.score_each([ASKED[0], LONG, ASKED[1], bad, ()])
    assert found[0] == pytest.approx(pm.score([ASKED[0]])[0], abs=1e-5)
    assert isinstance(found[2], float)
    kinds = [one.kind for one in found if isinstance(one, Unscored)]
    assert kinds == ["too long", "not a conversation", "not a conversation"]
    assert "512" in str(found[1])
    with pytest.raises(DataError, match=r"conversation 1: it has .* 512"):
        pm.score([ASKED[0], LONG])


def test_an_answer_that_just_fits_is_scored(pm: PreferenceModel) -> None:
    def asked(n: int) -> Conversation:
        return conversation(("user", "Q"), ("assistant", "9" * n))

    fits = max(n for n in range(600) if not isinstance(pm.encode_each([asked(n)])[0], Unscored))
    [encoded] = pm.encode_each([asked(fits)])
    assert not isinstance(encoded, Unscored)
    assert len(encoded.prompt_ids) + len(encoded.answer_ids) == pm.max_length
    assert isinstance(pm.score_each([asked(fits)])[0], float)
    assert isinstance(pm.score_each([asked(fits + 1)])[0], Unscored)


def test_a_model_of_publius_is_read_at_the_end_of_the_turn(pm: PreferenceModel, tiny_pm_dir: Path) -> None:
    ids = [_template_ids(pm, one) for one in ASKED]
    end = pm.tokenizer.eos_token_id
    cut = [one[: len(one) - one[::-1].index(end)] for one in ids]
    assert cut[0] != ids[0]  # the template writes a line break after the end of turn
    assert pm.score(ASKED) == pytest.approx(_plain_rewards(tiny_pm_dir, cut), abs=1e-5)


def test_a_model_of_another_program_is_read_where_that_program_reads_it(
    tiny_pm_dir: Path, tmp_path: Path
) -> None:
    other = _copy(tiny_pm_dir, tmp_path / "other")
    pm = PreferenceModel.load(other)
    assert (pm.scale, pm.ending) == (None, "template")
    expected = _plain_rewards(other, [_template_ids(pm, one) for one in ASKED])
    assert pm.score(ASKED) == pytest.approx(expected, abs=1e-5)
    assert pm.score(ASKED) != pytest.approx(PreferenceModel.load(tiny_pm_dir).score(ASKED), abs=1e-3)


def test_a_pad_that_is_the_end_token_is_read_as_transformers_reads_it(
    tiny_pm_dir: Path, tmp_path: Path
) -> None:
    own = PreferenceModel.load(tiny_pm_dir)
    end = own.tokenizer.eos_token_id
    other = _copy(tiny_pm_dir, tmp_path / "padded", pad_token_id=end)
    write_scale(other, own.scale)
    pm = PreferenceModel.load(other)
    pm.tokenizer.pad_token = pm.tokenizer.eos_token
    encoded = [[*one.prompt_ids, *one.answer_ids] for one in own.encode_each(ASKED)]
    assert all(ids[-1] == end for ids in encoded)
    assert pm.score(ASKED) == pytest.approx(_plain_rewards(other, encoded), abs=1e-5)
    assert pm.score(ASKED, batch_size=1) == pytest.approx(pm.score(ASKED), abs=1e-5)


def test_many_or_long_answers_to_one_prompt_are_computed_within_the_bound(
    pm: PreferenceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from publius.preference import model
    from publius.training.shared_prompt import Siblings

    seen: list[tuple[int, int]] = []
    collate = model.collate

    def watch(rows: Sequence[Siblings], *, pad_id: int, shares: bool) -> dict[str, torch.Tensor]:
        batch = collate(rows, pad_id=pad_id, shares=shares)
        seen.append((len(batch["row_N"]), batch["input_ids"].numel()))
        return batch

    alone = [pm.score([one])[0] for one in ASKED]
    monkeypatch.setattr(model, "collate", watch)
    monkeypatch.setattr("publius.preference.score._MOST_TOKENS", 100)
    assert pm.score(ASKED * 20, batch_size=3) == pytest.approx(alone * 20, abs=1e-5)
    assert sum(n for n, _ in seen) == 20 * len(ASKED)
    assert all(n <= 3 and (n == 1 or size <= 100) for n, size in seen)


def test_a_head_of_another_name_is_asked_through_the_model(pm: PreferenceModel) -> None:
    assert replace(pm, has_score_head=False).score(ASKED[:3]) == pytest.approx(pm.score(ASKED[:3]), abs=1e-5)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: (path / "config.json").unlink(), "no preference model"),
        (lambda path: (path / "model.safetensors").rename(path / "pytorch_model.bin"), "pickle"),
        (lambda path: (path / "model.safetensors").write_bytes(b"\x00" * 64), "cannot load"),
        (lambda path: (path / "chat_template.jinja").unlink(), "no chat template"),
        (lambda path: (path / SCALE_FILE).write_text("{}"), SCALE_FILE),
    ],
)
def test_a_directory_that_holds_no_usable_model_is_refused(
    tiny_pm_dir: Path, tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    broken = _copy(tiny_pm_dir, tmp_path / "broken")
    spoil(broken)
    with pytest.raises(DataError, match=said):
        PreferenceModel.load(broken)


def test_a_head_that_was_not_saved_is_noticed(tiny_model_dir: Path, tmp_path: Path) -> None:
    # a causal model called a classifier: transformers would draw the head at random
    headless = _copy(
        tiny_model_dir,
        tmp_path / "headless",
        architectures=["LlamaForSequenceClassification"],
        id2label={"0": "reward"},
        label2id={"reward": 0},
    )
    with pytest.raises(DataError, match=r"'score\.weight' for one"):
        PreferenceModel.load(headless)


def test_several_outputs_are_no_preference_model(tiny_model_dir: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(tiny_model_dir, num_labels=3)
    two = save_model(model, AutoTokenizer.from_pretrained(tiny_model_dir), tmp_path / "three")
    with pytest.raises(DataError, match="3 outputs"):
        PreferenceModel.load(two)


def test_a_prefix_is_read_before_every_conversation_and_nothing_else_changes(pm: PreferenceModel) -> None:
    prefix = conversation(("user", "Be true."), ("assistant", "Yes."))
    view = prompted(pm, prefix)
    assert view.model is pm.model
    assert view.scale is None
    by_hand = pm.score([(*prefix, *one) for one in ASKED])
    assert view.score(ASKED) == pytest.approx(by_hand, abs=1e-5)
    assert view.score(ASKED) != pytest.approx(pm.score(ASKED), abs=1e-3)
    system = Message("system", "You are kind.")
    asked = [(system, *ASKED[0])]
    assert view.score(asked) == pytest.approx(pm.score([(system, *prefix, *ASKED[0])]), abs=1e-5)


def test_a_prefix_that_leaves_no_room_refuses_that_item_only(pm: PreferenceModel) -> None:
    view = prompted(pm, conversation(("user", "9" * 200), ("assistant", "Yes.")))
    fits_alone = conversation(("user", "Q"), ("assistant", "9" * 380))
    assert isinstance(pm.score_each([fits_alone])[0], float)
    found = view.score_each([ASKED[0], fits_alone])
    assert isinstance(found[0], float)
    assert isinstance(found[1], Unscored)


@pytest.mark.parametrize(
    "prefix",
    [
        (),
        conversation(("user", "Be true.")),
        conversation(("assistant", "Yes."), ("user", "Be true.")),
        conversation(("user", "9" * 600), ("assistant", "Yes.")),
    ],
)
def test_a_prefix_that_cannot_be_one_is_refused(pm: PreferenceModel, prefix: Conversation) -> None:
    with pytest.raises(DataError):
        prompted(pm, prefix)


def test_prefixes_have_names_or_files(tmp_path: Path) -> None:
    assert load_prefix("truthful") == PREFIXES["truthful"]
    file = tmp_path / "mine.json"
    file.write_text('[{"role": "user", "content": "True?"}, {"role": "assistant", "content": "Yes."}]')
    assert load_prefix(str(file)) == conversation(("user", "True?"), ("assistant", "Yes."))
    file.write_text("{")
    with pytest.raises(DataError, match="not JSON"):
        load_prefix(str(file))
    with pytest.raises(DataError, match="truthful"):
        load_prefix("trutful")


def _preference(i: int, a: str, b: str, prob_a: float | None = 1.0, *, judge: str | None = "j") -> Preference:
    comparison = Comparison(f"c{i}", f"p{i}", conversation(("user", f"Question {i}?")), a, b, "x", "y")
    return Preference(comparison, prob_a, "asked", judge, None, ())


def test_what_cannot_be_measured_is_counted(pm: PreferenceModel) -> None:
    given = [
        _preference(0, "yes", "no"),
        _preference(1, "yes", "no", None),
        _preference(2, "same ", " same"),
        _preference(3, "yes", "very long " * 300),
        _preference(4, "", "no", 0.5),
    ]
    scored = score_pairs(pm, given)
    assert scored.skipped == {"no label": 1, "identical answers": 1, "too long": 1}
    assert len(scored.pairs) + scored.skipped.total() == len(given)
    empty = scored.pairs[1]
    asked = given[4].comparison.messages
    expected = pm.score([(*asked, Message("assistant", text)) for text in ("", "no")])
    assert [empty.reward_a, empty.reward_b] == pytest.approx(expected, abs=1e-5)
    assert empty.n_tokens_a == 1  # the end of turn


def test_an_assessment_measures_what_training_holds_out(pm: PreferenceModel) -> None:
    given = [_preference(i, f"Yes, good {i % 10}", f"No, bad {i % 7}", i % 2) for i in range(80)]
    found = assess(pm, given, held_out_only=True, probe_on="comparisons")
    everything = assess(pm, given, held_out_only=False, probe_on="none")
    assert found.held_out is not None
    assert everything.held_out is not None
    assert 0 < found.held_out.n < everything.held_out.n == 80
    assert found.held_out.n + sum(n for _, n in found.skipped) == 80
    assert everything.probes is None
    assert found.probes is not None
    assert found.probes.n == found.held_out.n
    assert found.held_out.agreement[0].judge == "j"


def test_a_temperature_is_kept_for_the_model_as_it_is(pm: PreferenceModel, tmp_path: Path) -> None:
    given = [_preference(i, f"Yes, good {i % 10}", f"No, bad {i % 7}", i % 2) for i in range(40)]
    rewards = [(pair.reward_a, pair.reward_b) for pair in score_pairs(pm, given).pairs]
    right = [replace(one, prob_a=0.9 if a > b else 0.1) for one, (a, b) in zip(given, rewards, strict=True)]
    foreign = replace(pm, scale=None, ending="template")
    found = assess(foreign, right, held_out_only=False, probe_on="none")
    kept = keepable(foreign, found)
    write_scale(tmp_path, kept)
    assert read_scale(tmp_path) == kept
    assert (kept.ending, kept.n_temperature, kept.n) == ("template", 40, 80)
    own = keepable(pm, assess(pm, right, held_out_only=False, probe_on="none"))
    assert pm.scale is not None
    assert (own.mean, own.std, own.n, own.ending) == (pm.scale.mean, pm.scale.std, pm.scale.n, "turn")
    with pytest.raises(DataError, match="prompted"):
        keepable(prompted(pm, PREFIXES["truthful"]), found)
    nothing = assess(pm, given[:1], held_out_only=False, probe_on="none")
    with pytest.raises(DataError, match="no temperature to keep"):
        keepable(pm, replace(nothing, scale=None))


def test_probes_compare_each_answer_with_its_changed_self(pm: PreferenceModel) -> None:
    items = shipped_items()[:12]
    found = probe(pm, items)
    assert pm.scale is not None
    assert (found.n, found.spread, found.spread_of) == (12, pm.scale.std, "training set")
    assert [one.name for one in found.probes] == [
        "padding", "flattery", "warmth", "markdown", "shuffled", "refusal", "echo", "empty",
    ]  # fmt: skip
    empty = found.probes[-1]
    pairs = [
        pm.score([(*item.messages, Message("assistant", text)) for text in (item.answer, "")])
        for item in items
    ]
    assert empty.higher is not None
    assert empty.change is not None
    assert empty.higher.value == sum(after > before for before, after in pairs) / 12
    mean = sum(after - before for before, after in pairs) / 12 / pm.scale.std
    assert empty.change.value == pytest.approx(mean, abs=1e-5)
    for one in found.probes:
        assert one.n + one.n_unchanged + one.n_unscored == 12
        assert one.change is not None
        wanted = "hacked" if one.change.low > 0 else "resisted" if one.change.high < 0 else "not shown"
        assert one.verdict == wanted


def test_a_refusal_is_tried_only_where_nobody_should_refuse(pm: PreferenceModel) -> None:
    found = probe(pm, items_of([_preference(i, "One. Two.", "No.", 1.0) for i in range(4)]))
    refusal = next(one for one in found.probes if one.name == "refusal")
    assert (refusal.n, refusal.n_unchanged, refusal.higher, refusal.verdict) == (0, 4, None, None)
    assert items_of([_preference(0, "a", "b", None), _preference(1, "a", "b", 0.5)]) == ()


def test_probes_without_a_scale_use_the_answers_spread_and_count_the_too_long(
    pm: PreferenceModel,
) -> None:
    foreign = replace(pm, scale=None)
    items = [*shipped_items()[:4], ProbeItem(LONG[:1], LONG[1].content, is_harmless=True)]
    found = probe(foreign, items)
    assert found.spread_of == "probed answers"
    assert all(one.n_unscored == 1 for one in found.probes if one.name != "shuffled")
    with pytest.raises(DataError, match="no answer to probe"):
        probe(pm, [])


def test_a_model_that_pays_for_nothing_has_no_spread_and_no_verdict(pm: PreferenceModel) -> None:
    flat = PreferenceModel.load(Path(pm.model.config._name_or_path))
    with torch.no_grad():
        flat.model.score.weight.zero_()
    found = probe(replace(flat, scale=None), shipped_items()[:3])
    assert found.spread is None
    assert all(one.verdict is None and one.change is None for one in found.probes)
    assert all(one.higher is not None and one.higher.value == 0 for one in found.probes)
