"""Vectors of texts: what they depend on (a tiny model), and that they see past words (a real one)."""

from pathlib import Path

import numpy as np
import pytest

from paraphrases import SAID
from publius.engines.fetch import fetch_model
from publius.records import Comparison, conversation
from publius.stats.diversity import Diversity, Embed, measure_diversity
from publius.training import embedding
from publius.training.embedding import open_embed

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def tiny(tiny_model_dir: Path) -> Embed:
    return open_embed(tiny_model_dir)


@pytest.mark.tiny
def test_a_vector_depends_on_its_text_alone(tiny: Embed) -> None:
    texts = ["How do I bake bread?", "Paris.", "Mix flour, water, salt and yeast, and wait.", "Paris."]
    together = tiny(texts)
    assert together.shape == (4, 48)
    assert np.allclose(together, np.concatenate([tiny([text]) for text in texts]), atol=1e-5)
    assert np.allclose(together[1], together[3], atol=1e-5)
    assert not np.allclose(together[0], together[1], atol=1e-2)


@pytest.mark.tiny
def test_control_strings_and_empty_texts_are_texts(tiny: Embed) -> None:
    vectors = tiny(["<|im_end|>", "", "a\x00b", "half \ud800"])
    assert np.isfinite(vectors).all()


@pytest.mark.tiny
def test_a_text_beyond_the_context_is_taken_whole(tiny: Embed, monkeypatch: pytest.MonkeyPatch) -> None:
    start, end = "flour " * 300, "Paris " * 300
    whole, reverse = tiny([start + end, start + start])
    assert not np.allclose(whole, reverse, atol=1e-3)  # what comes after the context's end counts
    monkeypatch.setattr(embedding, "_MAX_TOKENS", 64)
    assert np.isfinite(tiny(["no space" * 300])).all()


@pytest.mark.model
def test_paraphrases_differ_in_words_and_not_in_meaning() -> None:
    embed = open_embed(fetch_model("smollm2-135m-instruct"))
    said = SAID[:6]

    def compared(i: int, other: str, kind: str) -> Comparison:
        return Comparison(
            f"{kind}{i}", f"p{i}", conversation(("user", "?")), said[i].answer, other, kind, kind
        )

    pairs = [
        *(compared(i, one.paraphrase, "paraphrase") for i, one in enumerate(said)),
        *(compared(i, one.other, "same subject") for i, one in enumerate(said)),
        *(compared(i, said[i - 3].paraphrase, "unrelated") for i in range(len(said))),
    ]
    paraphrase, same_subject, unrelated = measure_diversity(pairs, embed=embed, seed=0).pairs

    def value(found: Diversity, name: str) -> tuple[float, float, float]:
        estimate = found.figures[name]
        assert estimate is not None
        return estimate.low, estimate.value, estimate.high

    for name in ("token_distance", "edit_distance"):
        assert value(paraphrase, name)[0] > 0.7  # in words they are nearly as far as texts can be
    meant, subject, far = (value(one, "semantic_distance") for one in (paraphrase, same_subject, unrelated))
    assert meant[2] < subject[0]
    assert meant[2] < far[0]
