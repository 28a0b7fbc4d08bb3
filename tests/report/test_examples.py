from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from publius.records import RevisionChain, conversation
from publius.report.data import PolicyAnswer, SampleAnswers
from publius.report.examples import ChainView, answer_views, chain_views
from publius.report.text import SHOWN_CHARS

from .planted import STATEMENTS, make_chain


def revised(before: str, after: str) -> RevisionChain:
    chain = make_chain(0)
    return replace(chain, draft=before, revisions=(replace(chain.revisions[0], text=after),))


def view(chain: RevisionChain) -> ChainView:
    (one,) = chain_views([chain], statements=STATEMENTS, budget=10_000_000).shown
    return one


def test_a_changed_word_is_marked() -> None:
    (one,) = view(revised("Keep a diary of the noise.", "Keep a log of the noise.")).rounds
    assert one.diff
    assert one.diff.head == Markup(
        'Keep a <del>diary</del><span class="gap"></span><ins>log</ins> of the noise.'
    )
    assert one.statement == STATEMENTS["harm-least"]


def test_a_rewritten_answer_stands_beside_its_draft() -> None:
    (one,) = view(revised("Yes, it certainly will.", "Nobody can promise that; ask a doctor.")).rounds
    assert one.diff is None
    assert one.before
    assert one.after
    assert (one.before.head, one.after.head) == (
        "Yes, it certainly will.",
        "Nobody can promise that; ask a doctor.",
    )


def test_an_unchanged_answer_is_shown_once_and_said_to_be_so() -> None:
    (one,) = view(revised("Fine.", "Fine.")).rounds
    assert not one.is_changed
    assert one.diff
    assert one.diff.head == "Fine."


def test_each_round_is_compared_with_the_one_before() -> None:
    chain = revised("a b c d e f g", "a b c d e f X")
    second = replace(chain.revisions[0], round=2, text="a b c d e Y X", critique=None)
    rounds = view(replace(chain, revisions=(*chain.revisions, second))).rounds
    assert "<del>f</del>" in (rounds[1].diff.head if rounds[1].diff else "")
    assert rounds[1].critique is None
    assert [label for label, _ in rounds[1].requests] == ["Asked for the revision"]


def test_a_chain_without_revisions_shows_its_draft_and_why() -> None:
    one = view(replace(make_chain(0), revisions=(), failure="too long"))
    assert one.draft
    assert one.failure == "too long"
    assert view(make_chain(0)).draft is None


@settings(deadline=None)
@given(st.text("ab <&\n\u200b", max_size=200), st.text("ab <&\n\u200b", max_size=200))
def test_a_diff_holds_both_texts(before: str, after: str) -> None:
    (one,) = view(revised(before, after)).rounds
    parts = [one.diff] if one.diff else [one.before, one.after]
    html = "".join(part.head + part.rest for part in parts if part)
    for tag in ("del", "ins"):
        assert html.count(f"<{tag}>") == html.count(f"</{tag}>")
    assert html.count("&lt;") >= max(before.count("<"), after.count("<"))
    assert html.count("&amp;") >= max(before.count("&"), after.count("&"))


def test_long_texts_are_folded_and_huge_ones_cut() -> None:
    before = " ".join(f"word{index}" for index in range(4_000))
    (one,) = view(revised(before, before.replace("word7 ", "seven "))).rounds
    assert one.diff
    assert "<del>word7</del>" in one.diff.head
    assert one.diff.n_rest > 10_000
    assert one.diff.n_cut == 2 * (len(before) - SHOWN_CHARS)
    assert len(one.diff.head) < 3_000


def test_a_page_takes_what_fits_and_counts_the_rest() -> None:
    chains = [make_chain(index) for index in range(50)]
    shown, left = chain_views(chains, statements=STATEMENTS, budget=12_000)
    assert 0 < len(shown) < 50
    assert left == 50 - len(shown)
    assert [one.prompt_id for one in shown] == [chain.prompt.id for chain in chains[: len(shown)]]


def test_one_giant_does_not_push_out_the_others() -> None:
    giant = revised("\u200b\u200c" * SHOWN_CHARS, "\u200c\u200b" * SHOWN_CHARS)
    shown, left = chain_views([giant, make_chain(0)], statements=STATEMENTS, budget=100_000)
    assert [one.prompt_id for one in shown] == [make_chain(0).prompt.id]
    assert left == 1


def test_answers_within_a_budget() -> None:
    sample = SampleAnswers("p", conversation(("user", "Hi")), (PolicyAnswer("a", "x" * 900),))
    shown, left = answer_views([sample] * 20, budget=9_050)
    assert (len(shown), left) == (10, 10)
