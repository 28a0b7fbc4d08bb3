"""Word diffs: spans join back to both texts, whatever the texts are."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from publius.stats import DiffSpan, word_diff

TOKENS = ["the", "a", "cat", " ", "  ", "\n", ".", "don’t", "x-y", "e\u0301", "\u3000"]
WORDY = st.lists(st.sampled_from(TOKENS), max_size=30)
TEXT = st.text(alphabet=st.characters(), max_size=60) | WORDY.map("".join)


def shown(before, after):
    marks = {"same": "{}", "removed": "[-{}-]", "added": "{{+{}+}}"}
    return "".join(marks[span.kind].format(span.text) for span in word_diff(before, after))


@given(TEXT, TEXT)
def test_spans_join_back_to_both_texts(before, after):
    spans = word_diff(before, after)
    assert "".join(s.text for s in spans if s.kind != "added") == before
    assert "".join(s.text for s in spans if s.kind != "removed") == after
    assert all(span.text for span in spans)
    for one, following in pairwise(spans):
        assert one.kind != following.kind
        assert (one.kind, following.kind) != ("added", "removed")


@given(TEXT)
def test_a_text_is_the_same_as_itself(text):
    assert word_diff(text, text) == ((DiffSpan("same", text),) if text else ())


def test_empty_sides():
    assert word_diff("", "") == ()
    assert word_diff("", "new") == (DiffSpan("added", "new"),)
    assert word_diff("old", "") == (DiffSpan("removed", "old"),)


def test_reads_like_an_edit():
    assert shown("Hello world", "Hello world again") == "Hello world{+ again+}"
    assert shown("The cat sat on the mat", "The dog sat on the mat") == "The [-cat-]{+dog+} sat on the mat"
    assert shown("I can't say", "I can say") == "I [-can't-]{+can+} say"
    assert shown("one\n\ntwo", "one two") == "one[-\n\n-]{+ +}two"
    assert shown("Yes. Do it.", "No. Do it.") == "[-Yes-]{+No+}. Do it."


def test_long_phrases_hold_together():
    # the common phrase is found as a whole, not as its first scattered words
    phrase = "keep the knife in the drawer of the kitchen"
    before, after = f"the in of {phrase}", f"{phrase} of in the"
    assert (("same", phrase)) in [(s.kind, s.text.strip()) for s in word_diff(before, after)]


def test_loops_end():
    before, after = "the " * 20_000, "the " * 15_000 + "end"
    assert "".join(s.text for s in word_diff(before, after) if s.kind != "added") == before
