"""What the supervised stage learns from: revisions of the rounds asked for, and helpful samples.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.1 ("finetune on revisions … mixed with helpfulness
samples"). The paper's §1.2 says final revisions and §3.4 all rounds; all is the default here.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from publius.engines.protocol import Failure
from publius.records import Demonstration, Prompt, RevisionChain, content_hash


def revision_demonstrations(
    chains: Sequence[RevisionChain], *, learn_from: Literal["all", "last"]
) -> tuple[Demonstration, ...]:
    """Return the revisions of all rounds (each text of a chain once), or the last of every chain."""
    rows: list[Demonstration] = []
    for chain in chains:
        revisions = chain.revisions if learn_from == "all" else chain.revisions[-1:]
        seen = {chain.draft}
        for revision in revisions:
            if revision.text in seen:
                continue  # "no change needed" adds nothing to learn
            seen.add(revision.text)
            rows.append(
                Demonstration(
                    id=content_hash([chain.prompt.id, revision.round, revision.text]),
                    messages=chain.prompt.messages,
                    answer=revision.text,
                    origin="revision",
                    round=revision.round,
                    principle_id=revision.principle_id,
                )
            )
    return tuple(rows)


def helpful_demonstrations(
    prompts: Sequence[Prompt], samples: Mapping[str, tuple[str | Failure, ...]]
) -> tuple[Demonstration, ...]:
    """Return one demonstration for every non-empty sampled answer to a helpful prompt."""
    return tuple(
        Demonstration(
            id=content_hash([prompt.id, "helpful", index, text]),
            messages=prompt.messages,
            answer=text,
            origin="helpful",
            round=0,
            principle_id=None,
        )
        for prompt in prompts
        for index, text in enumerate(samples[prompt.id])
        if isinstance(text, str) and text
    )
