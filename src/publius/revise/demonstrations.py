"""What the supervised stage learns from: revisions of the rounds asked for, and helpful samples.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.1 ("finetune on revisions … mixed with helpfulness
samples"). The paper's §1.2 says final revisions and §3.4 all rounds; all is the default here.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

from publius.engines.protocol import Failure
from publius.records import Demonstration, Prompt, RevisionChain, content_hash


def revision_demonstrations(
    chain: RevisionChain, *, learn_from: Literal["all", "last"]
) -> Iterator[Demonstration]:
    """Yield a chain's revisions of all rounds, each text once, or the last one."""
    seen = {chain.draft}
    for revision in chain.revisions if learn_from == "all" else chain.revisions[-1:]:
        if revision.text in seen:
            continue  # "no change needed" adds nothing to learn
        seen.add(revision.text)
        yield Demonstration(
            id=content_hash([chain.prompt.id, revision.round, revision.text]),
            messages=chain.prompt.messages,
            answer=revision.text,
            origin="revision",
            round=revision.round,
            principle_id=revision.principle_id,
        )


def helpful_demonstrations(prompt: Prompt, samples: Iterable[str | Failure]) -> Iterator[Demonstration]:
    """Yield one demonstration for every non-empty sampled answer to a helpful prompt."""
    for index, text in enumerate(samples):
        if isinstance(text, str) and text:
            yield Demonstration(
                id=content_hash([prompt.id, "helpful", index, text]),
                messages=prompt.messages,
                answer=text,
                origin="helpful",
                round=0,
                principle_id=None,
            )
