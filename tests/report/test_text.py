import unicodedata
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from publius.report.text import SHOWN_CHARS, fold_at, folded, markup, shorten, visible

ANY_TEXT = st.text(st.characters(codec=None), max_size=60)


@pytest.mark.parametrize(
    ("hidden", "code"),
    [
        ("\u202e", "⟨U+202E⟩"),
        ("\u2066", "⟨U+2066⟩"),
        ("\u200b", "⟨U+200B⟩"),
        ("\ufeff", "⟨U+FEFF⟩"),
        ("\u00ad", "⟨U+00AD⟩"),
        ("\x1b", "⟨U+001B⟩"),
        ("\x00", "⟨U+0000⟩"),
        ("\r", "⟨U+000D⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("\u3164", "⟨U+3164⟩"),
        ("\u2028", "⟨U+2028⟩"),
        ("\ufe01", "⟨U+FE01⟩"),
        ("\U000e0041", "⟨U+E0041⟩"),
        ("\U000e0100", "⟨U+E0100⟩"),
        ("\ue000", "⟨U+E000⟩"),
    ],
)
def test_an_invisible_character_is_written_out(hidden: str, code: str) -> None:
    assert visible(f"a{hidden}b") == f"a{code}b"
    assert markup(f"a{hidden}b") == Markup(f'a<span class="code-point">{code}</span>b')


@pytest.mark.parametrize(
    "text", ["line\nline\ttab", "no\u00a0break", "❤\ufe0f", "שלום", "naïve e\u0301", "日本"]
)
def test_what_can_be_seen_stays(text: str) -> None:
    assert visible(text) == text


def test_a_windows_line_end_is_a_line_end() -> None:
    assert visible("a\r\nb") == "a\nb"


@settings(deadline=None)
@given(ANY_TEXT)
def test_nothing_invisible_is_left(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    kinds = {unicodedata.category(char) for char in shown if char not in "\n\t"}
    assert not kinds & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@settings(deadline=None)
@given(ANY_TEXT)
def test_markup_is_the_visible_text_escaped(text: str) -> None:
    html = markup(text).replace('<span class="code-point">', "").replace("</span>", "")
    assert "<" not in html
    assert unescape(html) == visible(text)


@settings(deadline=None)
@given(ANY_TEXT, st.integers(1, 40))
def test_folding_loses_nothing(text: str, budget: int) -> None:
    end = fold_at(text, budget)
    assert 0 <= end <= len(text)
    assert end == len(text) or end <= budget
    two = folded(text, budget)
    assert two.n_rest == len(text) - end
    assert two.n_cut == 0


def test_a_text_beyond_the_limit_is_cut_and_counted() -> None:
    two = folded("word " * SHOWN_CHARS, 100)
    assert two.n_cut == 4 * SHOWN_CHARS
    assert len(two.head) + len(two.rest) == SHOWN_CHARS
    assert two.n_rest == len(two.rest)


@settings(deadline=None)
@given(ANY_TEXT, st.integers(6, 30))
def test_a_short_name_fits_on_one_line(text: str, length: int) -> None:
    short = shorten(text, length)
    assert len(short) <= length
    assert "\n" not in short
