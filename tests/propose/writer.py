"""A scripted writer of prompts and traits, and a child process that dies at a chosen answer."""

import os
import re
import signal
import sys
from pathlib import Path
from random import Random

from publius.engines import scripted
from publius.engines.protocol import GenerateRequest
from publius.pipeline.propose import Order, run_proposal
from publius.pipeline.recipe import ModelRole
from publius.pipeline.runner import Listener
from publius.propose.config import ProposeConfig

WORDS = [f"thing{number}" for number in range(60)]
QUIET = Listener(lambda event: None, lambda *_: None)


def write_list(request: GenerateRequest) -> str:
    """Return as many prompts as were asked for, of words drawn from the seed, and now and then bad lines."""
    wanted = int(re.findall(r"Write (\d+)", request.messages[-1].content)[-1])
    random = Random(request.sampling.seed)
    lines = [
        f"{place}. How do I use a {' '.join(random.sample(WORDS, 7))}?" for place in range(1, wanted + 1)
    ]
    if random.random() < 0.3:
        lines.append("I hope that these are useful!")
    if random.random() < 0.3:
        lines[0] = "1. Why?"
    return "\n".join(lines)


def order(weights: Path, config: ProposeConfig, **more: tuple[str, ...]) -> Order:
    role = ModelRole(str(weights), "scripted", {"look_ahead": 4})
    return Order(config, role, role, **more)


def main(weights: str, out: str, n: str, die_at: str) -> None:
    """Propose `n` prompts; die by SIGKILL when answer number `die_at` is asked for (0: never)."""
    asked = 0

    def reply(request: GenerateRequest) -> str:
        nonlocal asked
        asked += 1
        if asked == int(die_at):
            os.kill(os.getpid(), signal.SIGKILL)
        return write_list(request)

    scripted.default_reply = reply
    config = ProposeConfig("red-team", n=int(n), max_requests=40)
    run_proposal(order(Path(weights), config), Path(out), QUIET)
    print(asked)


if __name__ == "__main__":
    main(*sys.argv[1:])
