"""Contrast pairs: one answer sampled under a principle, one under its opposite.

The principle is told to the policy alone; the comparison shows the prompt as it came. Which answer is
better is then known by construction, so a policy that can be steered teaches even where no model can
judge.

Paper: Yang et al. 2023, RLCD, arXiv:2307.12950, §3. Departures: the principles of a constitution in place
of a few hand-written pairs of adjectives; our own words, as a system message or after the prompt.
"""

from dataclasses import dataclass, replace
from typing import Literal

from publius.constitution import Principle
from publius.engines.answers import whole_sentences
from publius.engines.flow import Flow
from publius.engines.protocol import Completion, Failure, GenerateRequest, Sampling
from publius.feedback.pairs import Pair, Said, Skip, stated_pair
from publius.records import Conversation, Message, Prompt, content_hash, derive_seed

_FOLLOW = "Write your answer so that it follows this principle, and do not mention it: "
_OPPOSE = (
    "Write your answer so that it does the opposite of this principle, and do not mention the principle: "
)


@dataclass(frozen=True, slots=True)
class Contrast:
    """How contrast pairs are sampled: where the principle is told, the sampling, the run's seed."""

    place: Literal["system", "suffix"]
    sampling: Sampling
    seed: int


def sample_contrast(prompt: Prompt, principle: Principle, how: Contrast) -> Flow[Pair | Skip]:
    """Return the pair of an answer under the principle and one under its opposite, or why there is none."""
    followed, opposed = contrast_messages(prompt.messages, principle, how.place)
    asked = ((f"{prompt.id}/for", followed), (f"{prompt.id}/against", opposed))
    better, worse = yield tuple(
        GenerateRequest(id, messages, replace(how.sampling, seed=derive_seed(how.seed, id)))
        for id, messages in asked
    )
    return stated_pair(
        prompt,
        better=Said(_text(better), f"for {principle.id}"),
        worse=Said(_text(worse), f"against {principle.id}"),
        principle_id=principle.id,
    )


def contrast_messages(
    messages: Conversation, principle: Principle, place: Literal["system", "suffix"]
) -> tuple[Conversation, Conversation]:
    """Return a conversation with the principle told to the policy, and with its opposite."""
    return (
        _told(messages, _FOLLOW + principle.statement, place),
        _told(messages, _OPPOSE + principle.statement, place),
    )


def templates_hash() -> str:
    """Return the hash of the words around a principle; another wording makes the label stage run again."""
    return content_hash([_FOLLOW, _OPPOSE])


def _told(messages: Conversation, text: str, place: Literal["system", "suffix"]) -> Conversation:
    if place == "suffix":
        last = messages[-1]
        return (*messages[:-1], Message(last.role, f"{last.content}\n\n({text})"))
    if messages[0].role == "system":  # many templates take one system message only
        return (Message("system", f"{messages[0].content}\n\n{text}"), *messages[1:])
    return (Message("system", text), *messages)


def _text(answer: Completion | Failure) -> str | Failure:
    if isinstance(answer, Failure):
        return answer
    return whole_sentences(answer.text, finished=answer.finish == "stop")
