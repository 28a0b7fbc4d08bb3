"""Draft, then n rounds of critique and revision of one prompt, as a flow that asks the critic.

Each round draws its own principle (§3.1), puts the revision in the draft's place, and goes on. A text that
leaves its role is cut; if nothing is left it is asked again with another seed, and the leaks are counted.
A prompt that cannot be served ends its own chain only.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.1.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from publius.constitution import Constitution, Principle, draw_principle
from publius.engines.flow import Flow
from publius.engines.protocol import Failure, GenerateRequest, Sampling
from publius.records import Conversation, Critique, Prompt, Revision, RevisionChain, derive_seed
from publius.revise.prompts import (
    Exemplar,
    Layout,
    clean_text,
    critique_messages,
    revision_messages,
)


@dataclass(frozen=True, slots=True)
class Critic:
    """How to criticise: under what, how often, how to sample, and how often to try again.

    `mode` "direct" asks for the revision without a critique. `show_answer` shows the answer to improve
    when the revision is asked; the critique always sees it. `layout` is where the revision is asked.
    """

    constitution: Constitution
    rounds: int
    mode: Literal["critique", "direct"]
    critique: Sampling
    revision: Sampling
    exemplars: tuple[Exemplar, ...]
    tries: int
    seed: int
    show_answer: bool = True
    layout: Layout = "system"


class _Text(NamedTuple):
    """A cleaned text, how many tries leaked, and why there is none (then text is empty)."""

    text: str
    n_leaks: int
    failure: str | None


def start_chain(prompt: Prompt, draft: str | Failure, *, models: tuple[str, str]) -> RevisionChain:
    """Return a chain without revisions; `models` are the drafting and the critic's."""
    if isinstance(draft, Failure):
        return RevisionChain(prompt, "", *models, (), f"draft: {draft.reason}")
    return RevisionChain(prompt, draft, *models, (), None if draft else "draft: the answer is empty")


def revise(chain: RevisionChain, critic: Critic) -> Flow[RevisionChain]:
    """Return the chain with its rounds, as far as the critic's answers can be read."""
    for round in range(1, critic.rounds + 1):
        if chain.failure is not None:
            break
        chain = yield from _revise_once(chain, critic, round)
    return chain


def _revise_once(chain: RevisionChain, critic: Critic, round: int) -> Flow[RevisionChain]:
    id = chain.prompt.id
    principle = draw_principle(critic.constitution, seed=derive_seed(critic.seed, "principle", id, round))
    critique = None
    if critic.mode == "critique":
        messages = critique_messages(
            chain.prompt.messages, chain.answers()[-1], principle.critique, exemplars=critic.exemplars
        )
        critique = yield from _ask_clean(f"{id}/{round}/critique", messages, critic.critique, critic)
        if critique.failure is not None:
            return replace(chain, failure=f"round {round}, critique: {critique.failure}")
    messages = revision_messages(
        chain.prompt.messages,
        principle.revision,
        answer=chain.answers()[-1] if critic.show_answer else None,
        critique=critique.text if critique is not None else None,
        exemplars=critic.exemplars,
        layout=critic.layout,
    )
    answer = yield from _ask_clean(f"{id}/{round}/revision", messages, critic.revision, critic)
    if answer.failure is not None:
        return replace(chain, failure=f"round {round}, revision: {answer.failure}")
    return replace(chain, revisions=(*chain.revisions, _revision(round, principle, critique, answer)))


def _revision(round: int, principle: Principle, critique: _Text | None, answer: _Text) -> Revision:
    return Revision(
        round=round,
        principle_id=principle.id,
        principle_hash=principle.hash,
        critique=Critique(critique.text, principle.critique) if critique is not None else None,
        request=principle.revision,
        text=answer.text,
        n_leaks=answer.n_leaks + (critique.n_leaks if critique is not None else 0),
    )


def _ask_clean(id: str, messages: Conversation, sampling: Sampling, critic: Critic) -> Flow[_Text]:
    """Ask, and ask again with another seed as long as the text is empty once it is clean."""
    n_leaks = 0
    for attempt in range(critic.tries):
        seed = derive_seed(critic.seed, id, attempt)
        answer = yield GenerateRequest(f"{id}/{attempt}", messages, replace(sampling, seed=seed))
        if isinstance(answer, Failure):
            return _Text("", n_leaks, f"{answer.owner}: {answer.reason}")
        clean = clean_text(answer.text, finished=answer.finish == "stop")
        n_leaks += clean.leaked
        if clean.text:
            return _Text(clean.text, n_leaks, None)
    return _Text("", n_leaks, f"nothing readable in {critic.tries} tries")
