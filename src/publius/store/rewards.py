"""Rewards behind the journal: a preference model rates a text once in a run, however often it is asked.

The key hashes what rates and the whole conversation, so another model or another text is rated anew. What
has no reward is not kept: it costs nothing to find again. A reward is no model call: it counts in no budget.

Paper: none.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from publius.records import Conversation, canonical_json, content_hash, encode
from publius.store.journal import Journal, Row

Rewards: TypeAlias = Callable[[Sequence[Conversation]], Sequence[float | str]]
"""The reward of each conversation's last message, or why there is none."""

_STEP = "reward"
_AT_ONCE = 256  # conversations that are on disk before the next ones are rated


def keep_rewards(journal: Journal, revision: str, rate: Rewards) -> Rewards:
    """Return `rate` behind the journal.

    `revision` pins what rates: the hash of the preference model's weights, or of them and the prefix that
    they are asked behind.
    """

    def kept(conversations: Sequence[Conversation]) -> list[float | str]:
        found: list[float | str] = []
        for start in range(0, len(conversations), _AT_ONCE):
            part = conversations[start : start + _AT_ONCE]
            keys = [content_hash([_STEP, revision, one]) for one in part]
            rewards: dict[str, float | str] = {
                key: row["reward"] for key, row in journal.get(list(dict.fromkeys(keys))).items()
            }
            fresh = {key: one for key, one in zip(keys, part, strict=True) if key not in rewards}
            if fresh:
                rated = dict(zip(fresh, rate(list(fresh.values())), strict=True))
                journal.put(
                    Row(
                        key,
                        _STEP,
                        revision,
                        canonical_json(encode(fresh[key])),
                        canonical_json({"n_calls": 0, "reward": reward}),
                    )
                    for key, reward in rated.items()
                    if not isinstance(reward, str)
                )
                rewards |= rated
            found += [rewards[key] for key in keys]
        return found

    return kept
