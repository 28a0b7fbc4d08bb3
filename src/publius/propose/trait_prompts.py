"""What the model is shown when it is asked for a trait, how its answer is read, and what the judge is asked.

The form is that of `prompts.py`: worked examples as chat turns, then the same question once more. The
question names the traits that are known, so that the model goes on to others. An answer is one block:

    Trait: Flattery
    Description: It tells people what they like to hear.
    1. The assistant should …
    2. The assistant should …

in this order, with exactly as many principles as asked for, each one sentence that begins "The assistant
should"; blank lines do not count. Anything else is a block that cannot be read.

The judge is asked yes or no about a readable trait, after worked examples with as many yeses as noes: would
people not want it in an assistant, can it be told from what an assistant writes, and, of each principle, does
an assistant that follows it have less of the trait. The paper keeps traits that are "unique" and
"relevant"; the first two questions are our reading of relevant. The third is there because a small model
wrote principles that ask for the trait.

Paper: Kundu et al. 2023, arXiv:2310.13798, §2.1. Departures: a description and principles beside the name;
the filter is asked of a model; wording ours.
"""

import json
import re
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Literal, NamedTuple, TypeAlias

from publius.constitution import load_constitution
from publius.constitution.checks import slug
from publius.propose.prompts import one_line
from publius.propose.proposal import Trait
from publius.records import Conversation, Message, content_hash

TRAIT_SYSTEM = (
    "You study how AI assistants can go wrong. You propose bad traits: ways in which an assistant lets "
    "people down, misleads, pushes or harms them, and which show in what it writes. For each you give a "
    "name, one line that describes it, and principles by which an assistant does the opposite."
)
_ASK = "Known traits: {known}.\nPropose one more bad trait, and {n} principles against it."
_HEAD = re.compile(r"\s*[*_#]*(Trait|Description)[*_]*\s?:[*_]*\s*(.+)", re.IGNORECASE)
_PRINCIPLE = re.compile(r"\s*(\d{1,2})[.)]\s+(The assistant should\s+[^.!?]{8,}[.]?)\s*")
_LONGEST_NAME = 6  # words

Aspect: TypeAlias = Literal["unwanted", "measurable", "opposed"]
JUDGE_OPTIONS = ("Yes", "No")
_JUDGE_SYSTEM = "You answer questions about traits of AI assistants with Yes or No only."
_QUESTIONS: dict[Aspect, str] = {
    "unwanted": "Would most people be worse off with an AI assistant that has this trait?",
    "measurable": "Can one tell from an assistant's written answers whether it has this trait?",
    "opposed": "Does an assistant that follows this rule have less of this trait?",
}


class _Judged(NamedTuple):
    """A worked example of the judge: a trait, a rule, and the right answers."""

    name: str
    description: str
    rule: str
    is_unwanted: bool
    is_measurable: bool
    is_opposed: bool

    def answer(self, aspect: Aspect) -> str:
        holds = {"unwanted": self.is_unwanted, "measurable": self.is_measurable, "opposed": self.is_opposed}
        return JUDGE_OPTIONS[0 if holds[aspect] else 1]


# as many yeses as noes for every question, in no order that could be learnt
_JUDGED = (
    _Judged(
        "Flattery",
        "It praises people whatever they do.",
        "The assistant should name the faults of a work it is shown.",
        is_unwanted=True,
        is_measurable=True,
        is_opposed=True,
    ),
    _Judged(
        "Clear language",
        "It explains things in plain words.",
        "The assistant should explain things so that a child can follow.",
        is_unwanted=False,
        is_measurable=True,
        is_opposed=False,
    ),
    _Judged(
        "Fast wear",
        "Its computers break down after a short time.",
        "The assistant should use parts that soon break.",
        is_unwanted=True,
        is_measurable=False,
        is_opposed=False,
    ),
    _Judged(
        "Low power use",
        "It runs on little electricity.",
        "The assistant should use as much electricity as it likes.",
        is_unwanted=False,
        is_measurable=False,
        is_opposed=True,
    ),
    _Judged(
        "Patience",
        "It explains a thing again without complaint.",
        "The assistant should explain a thing once and then grow cross.",
        is_unwanted=False,
        is_measurable=True,
        is_opposed=True,
    ),
    _Judged(
        "Loud fans",
        "Its machines make a noise in the building.",
        "The assistant should run at night when the building is quiet.",
        is_unwanted=True,
        is_measurable=False,
        is_opposed=False,
    ),
    _Judged(
        "Contempt",
        "It lets people feel that they are stupid.",
        "The assistant should take every question seriously and answer with respect.",
        is_unwanted=True,
        is_measurable=True,
        is_opposed=True,
    ),
    _Judged(
        "Cheap storage",
        "Its files take up little room on a disk.",
        "The assistant should keep its files small.",
        is_unwanted=False,
        is_measurable=False,
        is_opposed=False,
    ),
)


@cache
def shipped_traits() -> tuple[Trait, ...]:
    """Return the five traits that ship with Publius, with their principles."""
    text = resources.files("publius.propose").joinpath("seed_traits.toml").read_text("utf-8")
    principles = load_constitution("traits")
    return tuple(
        Trait(
            row["id"],
            row["name"],
            row["description"],
            tuple(principle.statement for principle in principles.subset(row["id"]).principles),
        )
        for row in tomllib.loads(text)["trait"]
    )


def trait_messages(shown: Sequence[Trait], *, known: Sequence[str], n_principles: int) -> Conversation:
    """Return the messages that ask for one more trait after the `shown`; `known` are names to leave out.

    Each worked question names the traits shown before it as known.
    """
    turns = [Message("system", TRAIT_SYSTEM)]
    for place, trait in enumerate(shown):
        before = [other.name for other in shown[:place]]
        kept = trait.principles[:n_principles]
        turns += [
            Message("user", _ask_for(before, len(kept))),
            Message("assistant", trait_block(trait, kept)),
        ]
    return (*turns, Message("user", _ask_for(known, n_principles)))


def trait_block(trait: Trait, principles: Sequence[str]) -> str:
    """Return a trait as the model is to write one."""
    lines = [f"Trait: {one_line(trait.name)}", f"Description: {one_line(trait.description)}"]
    lines += [f"{place}. {one_line(text)}" for place, text in enumerate(principles, 1)]
    return "\n".join(lines)


def parse_trait(answer: str, *, n_principles: int) -> Trait | None:
    """Return the trait that an answer spells out by the grammar above, or None.

    >>> parse_trait("Trait: Haste\\nDescription: It rushes.\\n1. The assistant should take its time.",
    ...             n_principles=1).id
    'haste'
    """
    lines = [line for line in answer.splitlines() if line.strip()]
    heads = [_HEAD.fullmatch(line) for line in lines[:2]]
    found = [head[1].lower() for head in heads if head is not None]
    if found != ["trait", "description"] or len(lines) != 2 + n_principles:
        return None
    name, description = (head[2].strip(" *_.") for head in heads if head is not None)
    principles = [_PRINCIPLE.fullmatch(line) for line in lines[2:]]
    numbers = [int(item[1]) for item in principles if item is not None]
    if numbers != list(range(1, n_principles + 1)) or len(name.split()) > _LONGEST_NAME or not slug(name):
        return None
    texts = tuple(one_line(item[2]).rstrip(".") + "." for item in principles if item is not None)
    return Trait(slug(name, n_words=_LONGEST_NAME), one_line(name), one_line(description) + ".", texts)


def judge_messages(trait: Trait, aspect: Aspect, *, principle: str = "") -> Conversation:
    """Return the messages that ask the judge one thing about a trait; texts are quoted as JSON strings.

    "opposed" is asked of one `principle`, the other aspects of the trait alone.
    """
    turns = [Message("system", _JUDGE_SYSTEM)]
    for example in _JUDGED:
        turns.append(Message("user", _judge_text(*example[:3], aspect=aspect)))
        turns.append(Message("assistant", example.answer(aspect)))
    text = _judge_text(trait.name, trait.description, principle, aspect=aspect)
    return (*turns, Message("user", text))


def trait_template_hash() -> str:
    """Return the hash of the wording around the seeds, and of what the judge is shown."""
    blank = Trait("", "", "", ())
    judged = [judge_messages(blank, aspect) for aspect in _QUESTIONS]
    return content_hash([TRAIT_SYSTEM, _ASK, judged, JUDGE_OPTIONS])


def _ask_for(known: Sequence[str], n: int) -> str:
    names = ", ".join(one_line(name).lower() for name in known) or "none yet"
    return _ASK.format(known=names, n=n)


def _judge_text(name: str, description: str, rule: str, *, aspect: Aspect) -> str:
    parts = [("Trait", name), ("Description", description)]
    parts += [("Rule", rule)] if aspect == "opposed" else []
    lines = [f"{head}: {json.dumps(one_line(text), ensure_ascii=False)}" for head, text in parts]
    return "\n".join((*lines, _QUESTIONS[aspect]))
