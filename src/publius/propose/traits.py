"""Ask for traits in rounds, keep those that are new, well formed and pass the judge.

A round asks a few requests side by side, which all name the traits known so far; what they bring is known
to the next. Seeds shown are drawn for every request and recorded.

Paper: Kundu et al. 2023, arXiv:2310.13798, §2.1: propose more traits from few shots, keep the unique
and relevant ones, iterate.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from publius.constitution import Constitution
from publius.constitution.lint import lint
from publius.constitution.principle import principle_from
from publius.engines.protocol import (
    Choice,
    Choose,
    ChooseRequest,
    Completion,
    Failure,
    Generate,
    GenerateRequest,
    ModelIdentity,
    Sampling,
)
from publius.judge import MIN_LABEL_MASS
from publius.propose.config import ProposeConfig
from publius.propose.duplicates import KnownTexts
from publius.propose.hygiene import has_unreadable, is_refusal
from publius.propose.proposal import Provenance, Reason, Rejected, Trait
from publius.propose.trait_prompts import (
    JUDGE_OPTIONS,
    judge_messages,
    parse_trait,
    trait_messages,
    trait_template_hash,
)
from publius.records import derive_seed

_ROUND = 8  # requests side by side; more of them name the same traits more often
_MOST_NAMED = 40  # known traits named in a question
_SPARE_TOKENS = 64  # for the name and the description


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judge's probabilities of "Yes", in [0, 1]; `opposed` is that of the least opposed principle."""

    unwanted: float
    measurable: float
    opposed: float


@dataclass(slots=True)
class ProposedTraits:
    """What came of the requests; every candidate is in `traits` or in `rejected`.

    `judged` is what the judge said of the kept, by trait id.
    """

    traits: list[Trait] = field(default_factory=list[Trait])
    provenance: list[Provenance] = field(default_factory=list[Provenance])
    rejected: list[Rejected] = field(default_factory=list[Rejected])
    judged: dict[str, Verdict] = field(default_factory=dict[str, Verdict])
    failures: Counter[str] = field(default_factory=Counter[str])
    n_requests: int = 0
    n_candidates: int = 0


@dataclass(frozen=True, slots=True)
class TraitTask:
    """What is wanted: the traits that may be shown, names that must not come back, and who is asked."""

    seeds: tuple[Trait, ...]
    avoid: tuple[str, ...]
    config: ProposeConfig
    model: ModelIdentity


class _Candidate(NamedTuple):
    """An answer: what was asked, which seeds it saw, its text, and the trait if it could be read."""

    request: GenerateRequest
    seeds: tuple[str, ...]
    text: str
    trait: Trait | None


def propose_traits(generate: Generate, choose: Choose, task: TraitTask) -> ProposedTraits:
    """Return up to `task.config.n` new traits, and what was rejected on the way."""
    found, config = ProposedTraits(), task.config
    known = _Known(task)
    while len(found.traits) < config.n and found.n_requests < config.most_requests:
        n_round = min(_ROUND, config.most_requests - found.n_requests)
        asked = [trait_request(task, found.n_requests + i, found.traits) for i in range(n_round)]
        answers = generate([request for request, _ in asked])
        found.n_requests += n_round
        candidates = _candidates(asked, answers, found, config)
        _sift(candidates, choose, task, found=found, known=known)
    return found


def proposed_constitution(traits: Sequence[Trait], *, source: str) -> Constitution:
    """Return the principles of traits as a constitution with a set for each trait."""
    listed = " ".join(f"{trait.name}: {trait.description}" for trait in traits)
    return Constitution(
        name="proposed-traits",
        version="0.1.0",
        title="Proposed traits an assistant should show less of",
        description=listed[:4000],
        source=source,
        principles=tuple(
            principle_from(f"{trait.id}-{place}", text, forms={}, sets=(trait.id,))
            for trait in traits
            for place, text in enumerate(trait.principles, 1)
        ),
    )


class _Known:
    """The names, descriptions and principles that must not come back."""

    def __init__(self, task: TraitTask) -> None:
        threshold = task.config.near_duplicate
        self._names, self._texts = KnownTexts(threshold), KnownTexts(threshold)
        self._ids: set[str] = set()
        for trait in task.seeds:
            self.add(trait)
        for name in task.avoid:
            self._names.add(name, name)

    def add(self, trait: Trait) -> None:
        self._ids.add(trait.id)
        self._names.add(trait.id, trait.name)
        for text in _texts_of(trait):
            self._texts.add(trait.id, text)

    def repeated(self, trait: Trait) -> tuple[bool, str] | None:
        """Return whether a trait equals a known one, and which; None if it is new."""
        if trait.id in self._ids:
            return True, trait.id
        if id := self._names.equal(trait.name):
            return True, id
        matches = (self._names.nearest(trait.name), *map(self._texts.nearest, _texts_of(trait)))
        return next(((False, match.id) for match in matches if match is not None), None)


def _texts_of(trait: Trait) -> tuple[str, ...]:
    """Return the description and the principles, these without the words that all of them begin with."""
    return (trait.description, *(text.removeprefix("The assistant should ") for text in trait.principles))


def trait_request(
    task: TraitTask, index: int, kept: Sequence[Trait]
) -> tuple[GenerateRequest, tuple[str, ...]]:
    """Return request number `index` and the seeds that it shows; it names the traits `kept` so far too."""
    config = task.config
    id = f"new-trait/{index}"
    draws = {derive_seed(config.seed, "shot", index, trait.id): trait for trait in task.seeds}
    shown = [trait for _, trait in sorted(draws.items(), key=lambda draw: draw[0])][: config.n_shots]
    names = [trait.name for trait in (*shown, *kept)] + list(task.avoid)
    known = list(dict.fromkeys(names))[-_MOST_NAMED:]
    sampling = Sampling(
        max_tokens=_SPARE_TOKENS + config.item_tokens * config.n_principles,
        temperature=config.temperature,
        top_p=config.top_p,
        seed=derive_seed(config.seed, "propose", id),
    )
    messages = trait_messages(shown, known=known, n_principles=config.n_principles)
    return GenerateRequest(id, messages, sampling), tuple(trait.id for trait in shown)


def _candidates(
    asked: Sequence[tuple[GenerateRequest, tuple[str, ...]]],
    answers: Mapping[str, Completion | Failure],
    found: ProposedTraits,
    config: ProposeConfig,
) -> list[_Candidate]:
    candidates: list[_Candidate] = []
    for request, seeds in asked:
        answer = answers[request.id]
        if isinstance(answer, Failure):
            found.failures[f"{answer.owner}: {answer.reason}"] += 1
        elif not answer.text.strip():
            found.failures["the answer is empty"] += 1
        else:
            found.n_candidates += 1
            trait = parse_trait(answer.text, n_principles=config.n_principles)
            whole = trait if answer.finish == "stop" else None
            candidates.append(_Candidate(request, seeds, answer.text, whole))
    return candidates


def _sift(
    candidates: Sequence[_Candidate], choose: Choose, task: TraitTask, *, found: ProposedTraits, known: _Known
) -> None:
    """Keep what is new, lint-clean and passes the judge; the judge is asked about the rest only."""
    hopeful: list[tuple[_Candidate, Trait]] = []
    for candidate in candidates:
        fault, near = _fault(candidate, known)
        if candidate.trait is None or fault is not None:
            _reject(found, candidate, fault or "unreadable block", near)
        else:
            hopeful.append((candidate, candidate.trait))
    verdicts = _judge([(item.request.id, trait) for item, trait in hopeful], choose)
    for candidate, trait in hopeful:
        # another of this round may have been kept since
        fault, near = _fault(candidate, known)
        verdict = verdicts[candidate.request.id]
        fault = fault or _verdict_fault(verdict, task.config.min_judged)
        if fault is None and len(found.traits) >= task.config.n:
            fault = "surplus"
        if fault is not None or verdict is None:
            _reject(found, candidate, fault or "judge unreadable", near)
            continue
        known.add(trait)
        found.traits.append(trait)
        found.judged[trait.id] = verdict
        found.provenance.append(
            Provenance(
                id=trait.id,
                model=task.model,
                request_id=candidate.request.id,
                item=1,
                seeds=candidate.seeds,
                sampling=candidate.request.sampling,
                template=trait_template_hash(),
            )
        )


def _fault(candidate: _Candidate, known: _Known) -> tuple[Reason | None, str | None]:
    if candidate.trait is None:
        return ("refusal" if is_refusal(candidate.text.strip()) else "unreadable block"), None
    if has_unreadable(candidate.text):
        return "unreadable characters", None
    repeated = known.repeated(candidate.trait)
    if repeated is not None:
        return ("duplicate" if repeated[0] else "near duplicate"), repeated[1]
    if lint(proposed_constitution([candidate.trait], source="")):
        return "fails lint", None
    return None, None


def _reject(found: ProposedTraits, candidate: _Candidate, reason: Reason, near: str | None) -> None:
    found.rejected.append(Rejected(candidate.request.id, 1, candidate.text, reason, near))


def _judge(traits: Sequence[tuple[str, Trait]], choose: Choose) -> dict[str, Verdict | None]:
    """Return what the judge says of every trait, by request id."""
    requests = [request for id, trait in traits for request in judge_requests(id, trait)]
    answers = choose(requests) if requests else {}
    verdicts: dict[str, Verdict | None] = {}
    for id, trait in traits:
        questions = judge_requests(id, trait)
        probs = [prob for each in questions if (prob := _prob_yes(answers[each.id])) is not None]
        is_whole = len(probs) == len(questions)
        verdicts[id] = Verdict(probs[0], probs[1], min(probs[2:])) if is_whole else None
    return verdicts


def judge_requests(id: str, trait: Trait) -> list[ChooseRequest]:
    """Return what the judge is asked about a trait: two questions, and one about every principle."""
    asked = [judge_messages(trait, "unwanted"), judge_messages(trait, "measurable")]
    asked += [judge_messages(trait, "opposed", principle=text) for text in trait.principles]
    return [ChooseRequest(f"{id}/{place}", messages, JUDGE_OPTIONS) for place, messages in enumerate(asked)]


def _prob_yes(answer: Choice | Failure) -> float | None:
    if isinstance(answer, Failure):
        return None
    yes, no = (math.exp(logprob) for logprob in answer.logprobs)
    return yes / (yes + no) if yes + no >= MIN_LABEL_MASS else None


def _verdict_fault(verdict: Verdict | None, least: float) -> Reason | None:
    if verdict is None:
        return "judge unreadable"
    faults: tuple[tuple[float, Reason], ...] = (
        (verdict.unwanted, "judged wanted"),
        (verdict.measurable, "judged not measurable"),
        (verdict.opposed, "judged not opposed"),
    )
    return next((reason for prob, reason in faults if prob < least), None)
