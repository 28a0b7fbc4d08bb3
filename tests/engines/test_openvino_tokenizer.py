"""A long text is encoded in pieces, whose ids are those of the whole."""

from hypothesis import given
from hypothesis import strategies as st

from publius.engines.openvino_tokenizer import split_text, split_words


@given(text=st.text(alphabet="ab \n.é", max_size=200), max_chars=st.integers(2, 40))
def test_pieces_join_up_and_are_short(text: str, max_chars: int):
    pieces = split_text(text, max_chars=max_chars)
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= max_chars for piece in pieces)


@given(words=st.lists(st.text(alphabet="abc", min_size=1, max_size=5), max_size=60))
def test_words_are_never_cut(words: list[str]):
    pieces = split_text(" ".join(words), max_chars=12)
    assert [word for piece in pieces for word in piece.split()] == words


def test_no_text_has_no_pieces():
    assert split_text("", max_chars=4) == []


@given(text=st.text(alphabet="ab \n.é", max_size=200), other=st.text(alphabet="ab .", max_size=40))
def test_a_common_beginning_has_common_parts(text: str, other: str):
    ours, theirs = split_words(text, n_chars=8), split_words(text + other, n_chars=8)
    assert "".join(ours) == text
    assert theirs[: len(ours[:-1])] == ours[:-1]
    assert all(len(part) >= 8 for part in ours[:-1])
