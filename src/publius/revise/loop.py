"""Draft, then n rounds of critique and revision, over all prompts at once, with the models passed in.

Each round draws its own principle for each prompt (§3.1), puts the revision in the draft's place, and
goes on. A text that leaves its role is cut; if nothing is left the round is asked again with another
seed, and the leaks are counted. A prompt that cannot be served ends its own chain only.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from publius.constitution import Constitution, Principle, draw_principle
from publius.engines.protocol import Failure, Generate, GenerateRequest, Sampling
from publius.records import Conversation, Critique, Prompt, Revision, RevisionChain, derive_seed
from publius.revise.prompts import (
    Exemplar,
    clean_text,
    critique_messages,
    revision_messages,
)


@dataclass(frozen=True, slots=True)
class Critic:
    """Who criticises and how: the model, the sampling, the exemplars, and how often to try again.

    `show_answer` shows the answer to improve when the revision is asked; the critique always sees it.
    """

    generate: Generate
    critique: Sampling
    revision: Sampling
    exemplars: tuple[Exemplar, ...]
    tries: int
    show_answer: bool = True


class _Question(NamedTuple):
    """A text wanted from the critic: its id, the messages, and how to sample."""

    id: str
    messages: Conversation
    sampling: Sampling


class _Answer(NamedTuple):
    """The cleaned text, how many tries leaked, and why there is none (then text is empty)."""

    text: str
    n_leaks: int
    failure: str | None


def start_chains(
    prompts: Sequence[Prompt], drafts: Mapping[str, tuple[str | Failure, ...]], *, models: tuple[str, str]
) -> tuple[RevisionChain, ...]:
    """Return a chain without revisions for every prompt; `models` are the drafting and the critic's."""
    chains: list[RevisionChain] = []
    for prompt in prompts:
        draft = drafts[prompt.id][0]
        failed = isinstance(draft, Failure)
        failure = f"draft: {draft.reason}" if failed else None if draft else "draft: the answer is empty"
        chains.append(RevisionChain(prompt, "" if failed else draft, *models, (), failure))
    return tuple(chains)


def revise_once(
    chains: Sequence[RevisionChain],
    constitution: Constitution,
    critic: Critic,
    *,
    round: int,
    mode: str,
    seed: int,
) -> tuple[RevisionChain, ...]:
    """Return the chains one round longer; a chain that failed stays as it is."""
    live = [chain for chain in chains if chain.failure is None]
    principles = {
        chain.prompt.id: draw_principle(
            constitution, seed=derive_seed(seed, "principle", chain.prompt.id, round)
        )
        for chain in live
    }
    if mode == "direct":
        results = _direct_round(live, principles, critic, round=round, seed=seed)
    else:
        results = _critique_round(live, principles, critic, round=round, seed=seed)
    return tuple(results.get(chain.prompt.id, chain) for chain in chains)


def _critique_round(
    chains: Sequence[RevisionChain],
    principles: Mapping[str, Principle],
    critic: Critic,
    *,
    round: int,
    seed: int,
) -> dict[str, RevisionChain]:
    asked = {
        chain.prompt.id: critique_messages(
            chain.prompt.messages,
            chain.answers()[-1],
            principles[chain.prompt.id].critique,
            exemplars=critic.exemplars,
        )
        for chain in chains
    }
    questions = [
        _Question(f"{id}/{round}/critique", messages, critic.critique) for id, messages in asked.items()
    ]
    critiques = _ask_clean(questions, critic, seed=seed)
    questions = [
        _Question(
            f"{id}/{round}/revision",
            revision_messages(
                chain.prompt.messages,
                principles[id].revision,
                answer=chain.answers()[-1] if critic.show_answer else None,
                critique=critiques[f"{id}/{round}/critique"].text,
                exemplars=critic.exemplars,
            ),
            critic.revision,
        )
        for chain in chains
        if critiques[f"{(id := chain.prompt.id)}/{round}/critique"].failure is None
    ]
    answers = {**critiques, **_ask_clean(questions, critic, seed=seed)}
    return {
        chain.prompt.id: _longer(chain, principles[chain.prompt.id], answers, round=round) for chain in chains
    }


def _direct_round(
    chains: Sequence[RevisionChain],
    principles: Mapping[str, Principle],
    critic: Critic,
    *,
    round: int,
    seed: int,
) -> dict[str, RevisionChain]:
    questions = [
        _Question(
            f"{chain.prompt.id}/{round}/revision",
            revision_messages(
                chain.prompt.messages,
                principles[chain.prompt.id].revision,
                answer=chain.answers()[-1],
                critique=None,
                exemplars=critic.exemplars,
            ),
            critic.revision,
        )
        for chain in chains
    ]
    answers = _ask_clean(questions, critic, seed=seed)
    return {
        chain.prompt.id: _longer(chain, principles[chain.prompt.id], answers, round=round) for chain in chains
    }


def _longer(
    chain: RevisionChain, principle: Principle, answers: Mapping[str, _Answer], *, round: int
) -> RevisionChain:
    critique = answers.get(f"{chain.prompt.id}/{round}/critique")
    if critique is not None and critique.failure is not None:
        return replace(chain, failure=f"round {round}, critique: {critique.failure}")
    answer = answers[f"{chain.prompt.id}/{round}/revision"]
    if answer.failure is not None:
        return replace(chain, failure=f"round {round}, revision: {answer.failure}")
    revision = Revision(
        round=round,
        principle_id=principle.id,
        principle_hash=principle.hash,
        critique=Critique(critique.text, principle.critique) if critique is not None else None,
        request=principle.revision,
        text=answer.text,
        n_leaks=answer.n_leaks + (critique.n_leaks if critique is not None else 0),
    )
    return replace(chain, revisions=(*chain.revisions, revision))


def _ask_clean(questions: Sequence[_Question], critic: Critic, *, seed: int) -> dict[str, _Answer]:
    """Ask all questions; ask those again, with another seed, whose text is empty once it is clean."""
    open_questions = {question.id: question for question in questions}
    leaks = dict.fromkeys(open_questions, 0)
    done: dict[str, _Answer] = {}
    for attempt in range(critic.tries):
        requests = [
            GenerateRequest(
                f"{id}/{attempt}",
                question.messages,
                replace(question.sampling, seed=derive_seed(seed, id, attempt)),
            )
            for id, question in open_questions.items()
        ]
        for id, answer in critic.generate(requests).items():
            id = id.rpartition("/")[0]
            if isinstance(answer, Failure):
                done[id] = _Answer("", leaks[id], f"{answer.owner}: {answer.reason}")
                continue
            clean = clean_text(answer.text, finished=answer.finish == "stop")
            leaks[id] += clean.leaked
            if clean.text:
                done[id] = _Answer(clean.text, leaks[id], None)
        open_questions = {id: question for id, question in open_questions.items() if id not in done}
        if not open_questions:
            break
    for id in open_questions:
        done[id] = _Answer("", leaks[id], f"nothing readable in {critic.tries} tries")
    return done
