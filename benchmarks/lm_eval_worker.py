"""The lm-evaluation-harness side of `labels.py`, in the Python that has it: contexts in, log-likelihoods out.

Lines of JSON on stdin, one on stdout for each: `{"contexts": [...], "options": [...]}` becomes
`{"seconds": s, "logprobs": [[...], ...]}`. The harness is used as it comes (its own order of requests and its
reuse of one context for several one-token options), in the precision and batch size that are faster here.

Run: by `labels.py`.
"""

import json
import os
import sys
import time
from importlib.metadata import version
from typing import Any


def answer(model: Any, contexts: list[str], options: list[str]) -> list[list[float]]:
    """Return the log-likelihood of every option after every context."""
    from lm_eval.api.instance import Instance

    pairs = [(context, option) for context in contexts for option in options]
    requests = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]
    found = [logprob for logprob, _ in model.loglikelihood(requests, disable_tqdm=True)]
    return [found[i : i + len(options)] for i in range(0, len(found), len(options))]


def seconds_of(model: Any, contexts: list[str], options: list[str]) -> float:
    """Return how long `answer` takes."""
    began = time.perf_counter()
    answer(model, contexts, options)
    return time.perf_counter() - began


def choose_setting(model: Any, contexts: list[str], options: list[str]) -> dict[str, Any]:
    """Go on in the faster precision, then with the fastest batch size."""
    import torch

    seconds: dict[str, float] = {}
    for dtype in ("float32", "bfloat16"):
        model.model.to(getattr(torch, dtype))
        answer(model, contexts[:1], options)
        seconds[dtype] = seconds_of(model, contexts[:2], options)
    fastest = min(seconds, key=lambda name: seconds[name])
    model.model.to(getattr(torch, fastest))
    sizes: dict[int, float] = {}
    for size in (1, 4, 8):
        model.batch_size_per_gpu = size
        sizes[size] = seconds_of(model, contexts, options)
    model.batch_size_per_gpu = min(sizes, key=lambda size: sizes[size])
    return {"dtype": fastest, "batch_size": model.batch_size_per_gpu}


def main() -> None:
    """Serve until stdin ends; the first line chooses the setting."""
    out, sys.stdout = sys.stdout, sys.stderr  # the harness prints

    def say(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=out, flush=True)

    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    from lm_eval.models.huggingface import HFLM

    model = HFLM(pretrained=sys.argv[1], dtype="float32", device="cpu", batch_size=1)
    setting: dict[str, Any] | None = None
    for line in sys.stdin:
        asked = json.loads(line)
        if setting is None:
            setting = choose_setting(model, asked["contexts"], asked["options"])
            say(
                setting | {"versions": {name: version(name) for name in ("lm_eval", "torch", "transformers")}}
            )
            continue
        began = time.perf_counter()
        logprobs = answer(model, asked["contexts"], asked["options"])
        say({"seconds": time.perf_counter() - began, "logprobs": logprobs})


if __name__ == "__main__":
    main()
