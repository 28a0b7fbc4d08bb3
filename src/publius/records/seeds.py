"""Seeds: every sampled thing has its own, derived from the run's seed and its own id.

Order of completion, batching and resuming therefore change nothing.

Paper: none.
"""

import hashlib


def derive_seed(run_seed: int, *parts: str | int) -> int:
    """Return a seed in [0, 2**31) that depends on the run's seed and on every part.

    >>> derive_seed(0, "draft", "red-1") == derive_seed(0, "draft", "red-1")
    True
    >>> derive_seed(0, "draft", "red-1") == derive_seed(1, "draft", "red-1")
    False
    """
    text = "\x1f".join([str(run_seed), *map(str, parts)])
    return int(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8], 16) % 2**31
