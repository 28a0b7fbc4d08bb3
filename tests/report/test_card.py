"""The model card: the hub's format, others' words as code, and nothing measured that was not."""

from dataclasses import replace

import pytest

from publius.constitution import Constitution, load_constitution
from publius.constitution.principle import principle_from
from publius.constitution.toml_format import parse_toml
from publius.report import BaseModel, ModelCard, render_card

HOSTILE = "Be kind.\n````\n# Free model\n<script>alert(1)</script> ![x](http://e.x/y)\u202e"


def hostile() -> Constitution:
    return Constitution("mine", "1.0.0", "`", HOSTILE, "", (principle_from("kind", HOSTILE, forms={}),))


@pytest.fixture
def card() -> ModelCard:
    return ModelCard(
        run='x"\n---\nlicense: mit\n',
        stage="sft",
        method="Supervised finetuning.",
        kind="policy",
        weights="sha256:00",
        base=BaseModel("a|b`c", "sha256:11", None, None),
        seed=0,
        versions=(),
        constitutions=(load_constitution("hhh"),),
        counts=(("revisions", 1234),),
        left_out=(),
        made_with=frozenset({"revise", "sft"}),
        audit=None,
        pm=None,
        rl=None,
        ratings=(),
        findings=(),
        caveats=("[click](http://e.x) <b>",),
    )


def front_matter(text: str) -> dict[str, object]:
    yaml = pytest.importorskip("yaml")
    head, body = text.removeprefix("---\n").split("\n---\n", 1)
    assert body
    return yaml.safe_load(head)


def test_the_front_matter_is_yaml_that_a_name_cannot_leave(card: ModelCard) -> None:
    found = front_matter(render_card(card))
    assert found["library_name"] == "transformers"
    assert found["publius"]["run"] == card.run
    assert found["publius"]["constitutions"] == [load_constitution("hhh").hash]
    assert "license" not in found
    assert "base_model" not in found
    named = replace(card, base=BaseModel("b", "sha256:11", "Apache-2.0", "org/b"))
    assert front_matter(render_card(named))["base_model"] == "org/b"
    assert "that of the base model is `Apache-2.0`" in render_card(named)


@pytest.mark.parametrize("constitution", [load_constitution("harmlessness"), hostile()])
def test_the_constitution_can_be_taken_out_again(card: ModelCard, constitution: Constitution) -> None:
    text = render_card(replace(card, constitutions=(constitution,)))
    section = text.split("\n## Constitution\n", 1)[1]
    fence = section.split("toml\n", 1)[0].rsplit("\n", 1)[1]
    inside = section.split(f"{fence}toml\n", 1)[1].split(f"\n{fence}", 1)[0]
    assert fence not in inside
    assert constitution.hash in section
    assert "\u202e" not in text
    assert parse_toml(inside, where="card").hash == constitution.hash


def test_words_of_others_are_no_markup(card: ModelCard) -> None:
    text = render_card(card)
    assert "[click](" not in text
    assert r"\[click\](http\://e.x) \<b\>" in text
    assert "`` a¦b`c ``" in text


def test_what_was_not_measured_is_said_and_what_had_no_part_too(card: ModelCard) -> None:
    text = render_card(card)
    assert "Elo: not measured." in text
    assert "No label of an AI had a part in this model." in text
    assert "| revisions | 1,234 |" in text
    asked = render_card(replace(card, made_with=frozenset({"label", "pm", "rl", "sft"})))
    for sentence in (
        "agreement with people: not measured",
        "Accuracy and calibration on held-out comparisons: not measured",
        "Steps, KL and monitors: not measured",
    ):
        assert sentence in asked
        assert sentence not in text
