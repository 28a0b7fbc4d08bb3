"""Revision chains, labelled pairs and sample answers, ready to be read: word diffs, folds, a size limit.

A revision that keeps little of its draft is shown beside it, since a word diff of two unlike texts
is a heap of crumbs; any other is shown as one text with the words taken out and put in.

Paper: Bai et al. 2022, arXiv:2212.08073, Appendix A and C show chains in the same order.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from markupsafe import Markup

from publius.records import Conversation, Preference, Revision, RevisionChain
from publius.report.data import SampleAnswers
from publius.report.numbers import count, percent
from publius.report.text import SHOWN_CHARS, Folded, fold_at, folded, markup
from publius.stats.diff import DiffSpan, word_diff

View = TypeVar("View")

PROMPT_BUDGET = 900
ANSWER_BUDGET = 1_400
CRITIQUE_BUDGET = 500
REWRITTEN_BELOW = 0.35
"""Share of text kept (twice the kept characters over those of both texts) below which a diff is crumbs."""


@dataclass(frozen=True, slots=True)
class TurnView:
    """One turn of the prompt: who speaks, and the text."""

    role: str
    text: Folded


@dataclass(frozen=True, slots=True)
class RoundView:
    """One revision, shown as a `diff` or, if it keeps little, as the texts `before` and `after`."""

    number: int
    principle_id: str
    statement: str | None
    critique: Folded | None
    requests: tuple[tuple[str, Folded], ...]
    diff: Folded | None
    before: Folded | None
    after: Folded | None
    is_changed: bool
    n_leaks: int


@dataclass(frozen=True, slots=True)
class ChainView:
    """One prompt with its draft and its rounds; `draft` is there only if no round shows it."""

    prompt_id: str
    turns: tuple[TurnView, ...]
    draft_model: str
    critic_model: str
    draft: Folded | None
    rounds: tuple[RoundView, ...]
    failure: str | None


@dataclass(frozen=True, slots=True)
class AnswersView:
    """One prompt and answers to it side by side, as (policy, text); `note` says what was found of them."""

    prompt_id: str
    turns: tuple[TurnView, ...]
    answers: tuple[tuple[str, Folded], ...]
    note: str = ""


class Chains(NamedTuple):
    """The chains that fit into the page, and how many do not."""

    shown: tuple[ChainView, ...]
    n_left_out: int


class Answers(NamedTuple):
    """The prompts with answers that fit into the page, and how many do not."""

    shown: tuple[AnswersView, ...]
    n_left_out: int


def chain_views(chains: Sequence[RevisionChain], *, statements: Mapping[str, str], budget: int) -> Chains:
    """Return the first chains whose HTML text stays within `budget` characters together.

    `statements` gives the text of a principle by its id. A chain that would take a quarter of the
    budget alone is passed over.
    """
    shown = _within(budget, (_chain_view(chain, statements) for chain in chains), _chain_size)
    return Chains(shown, len(chains) - len(shown))


def answer_views(samples: Sequence[SampleAnswers], *, budget: int) -> Answers:
    """Return the first sample answers within `budget`, by the rule of `chain_views`."""
    views = (
        _answers_view(
            sample.prompt_id,
            sample.messages,
            [(answer.policy, answer.text) for answer in sample.answers],
        )
        for sample in samples
    )
    shown = _within(budget, views, _answers_size)
    return Answers(shown, len(samples) - len(shown))


def label_views(labelled: Sequence[Preference], *, budget: int) -> Answers:
    """Return the first of pairs that have a label, within `budget`, by the rule of `chain_views`."""
    views = (
        _answers_view(
            item.comparison.prompt_id,
            item.comparison.messages,
            [
                (f"A, of {item.comparison.source_a}", item.comparison.answer_a),
                (f"B, of {item.comparison.source_b}", item.comparison.answer_b),
            ],
            note=_label_note(item),
        )
        for item in labelled
    )
    shown = _within(budget, views, _answers_size)
    return Answers(shown, len(labelled) - len(shown))


def _within(budget: int, views: Iterable[View], size_of: Callable[[View], int]) -> tuple[View, ...]:
    """Return the first views that fit together; one that would take a quarter alone is passed over."""
    shown: list[View] = []
    used = 0
    for view in views:
        size = size_of(view)
        if size > budget // 4:
            continue
        if used + size > budget:
            break
        used += size
        shown.append(view)
    return tuple(shown)


def _answers_view(
    prompt_id: str, messages: Conversation, answers: Sequence[tuple[str, str]], *, note: str = ""
) -> AnswersView:
    texts = tuple((name, folded(text, ANSWER_BUDGET // 2)) for name, text in answers)
    return AnswersView(prompt_id, _turns(messages), texts, note)


def _answers_size(view: AnswersView) -> int:
    return sum(turn.text.size for turn in view.turns) + sum(text.size for _, text in view.answers)


def _label_note(item: Preference) -> str:
    """Return a pair's label in words: how it came about, and under which principles."""
    told = f"A is better with a probability of {percent(item.prob_a)}, "
    if item.origin != "asked":
        return told + {"construction": "by construction.", "human": "by people."}[item.origin]
    ids = list(dict.fromkeys(vote.principle_id for vote in item.votes))
    under = f"principle {ids[0]}" if len(ids) == 1 else f"{count(len(ids))} principles"
    return f"{told}by {item.judge} under {under}."


def _chain_view(chain: RevisionChain, statements: Mapping[str, str]) -> ChainView:
    befores = chain.answers()
    rounds = tuple(
        _round_view(revision, before, statements.get(revision.principle_id))
        for before, revision in zip(befores, chain.revisions, strict=False)
    )
    return ChainView(
        prompt_id=chain.prompt.id,
        turns=_turns(chain.prompt.messages),
        draft_model=chain.draft_model,
        critic_model=chain.critic_model,
        draft=None if rounds else folded(chain.draft, ANSWER_BUDGET),
        rounds=rounds,
        failure=chain.failure,
    )


def _round_view(revision: Revision, before: str, statement: str | None) -> RoundView:
    critique = revision.critique
    requests = [("Asked for the critique", critique.request)] if critique else []
    requests.append(("Asked for the revision", revision.request))
    diff = apart = None
    if revision.text == before:
        diff = folded(before, ANSWER_BUDGET)
    else:
        spans = word_diff(before[:SHOWN_CHARS], revision.text[:SHOWN_CHARS])
        if _kept_share(spans) < REWRITTEN_BELOW:
            apart = (folded(before, ANSWER_BUDGET), folded(revision.text, ANSWER_BUDGET))
        else:
            n_cut = max(0, len(before) - SHOWN_CHARS) + max(0, len(revision.text) - SHOWN_CHARS)
            diff = _folded_spans(spans, ANSWER_BUDGET, n_cut=n_cut)
    return RoundView(
        number=revision.round,
        principle_id=revision.principle_id,
        statement=statement,
        critique=folded(critique.text, CRITIQUE_BUDGET) if critique else None,
        requests=tuple((label, folded(text, CRITIQUE_BUDGET)) for label, text in requests),
        diff=diff,
        before=apart[0] if apart else None,
        after=apart[1] if apart else None,
        is_changed=revision.text != before,
        n_leaks=revision.n_leaks,
    )


def _kept_share(spans: Sequence[DiffSpan]) -> float:
    sizes = {kind: sum(len(span.text) for span in spans if span.kind == kind) for kind in _TAGS}
    whole = 2 * sizes["same"] + sizes["removed"] + sizes["added"]
    return 2 * sizes["same"] / whole if whole else 1.0


def _folded_spans(spans: Sequence[DiffSpan], budget: int, *, n_cut: int) -> Folded:
    """Return a diff as HTML in two parts, broken as `fold_at` breaks a text."""
    end = fold_at("".join(span.text for span in spans), budget)
    head: list[Markup] = []
    rest: list[Markup] = []
    at = n_rest = 0
    for last, span in zip((None, *spans), spans, strict=False):
        here, beyond = span.text[: max(0, end - at)], span.text[max(0, end - at) :]
        if here and last and last.kind == "removed" and not last.text[-1:].isspace():
            head.append(Markup('<span class="gap"></span>'))  # else "diary" and "log" read as one word
        head.append(_span(span.kind, here))
        rest.append(_span(span.kind, beyond))
        at += len(span.text)
        n_rest += len(beyond)
    return Folded(Markup("").join(head), Markup("").join(rest), n_rest, n_cut)


_TAGS = {"same": None, "removed": "del", "added": "ins"}


def _span(kind: str, text: str) -> Markup:
    """Return one span as HTML; space at its ends stays outside the tag, where no line is drawn on it."""
    tag, core = _TAGS[kind], text.strip()
    if tag is None or not core:
        return markup(text)
    start = text.index(core)
    inner = Markup(f"<{tag}>{{}}</{tag}>").format(markup(core))
    return markup(text[:start]) + inner + markup(text[start + len(core) :])


def _turns(messages: Conversation) -> tuple[TurnView, ...]:
    return tuple(TurnView(message.role, folded(message.content, PROMPT_BUDGET)) for message in messages)


def _chain_size(view: ChainView) -> int:
    parts: list[Folded | None] = [turn.text for turn in view.turns]
    parts.append(view.draft)
    for one in view.rounds:
        parts += [one.critique, one.diff, one.before, one.after, *(text for _, text in one.requests)]
    return sum(part.size for part in parts if part is not None)
