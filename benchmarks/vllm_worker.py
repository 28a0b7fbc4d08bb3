"""vLLM in a Python of its own, for `generation.py`: requests come in by lines of JSON, timings go out.

The first line that it prints says how long the model took to start. Then every line of its input is a list
of `GenerateRequest`s as `publius.records.encode` gives them, and for each it prints one line: the requests
answered and failed, the tokens written, the seconds. It ends with its input. Between the lines vLLM's
processes are stopped: they poll, which takes a fifth of a core from whoever has his turn.

Run: PYTHONPATH=src PYTHON-WITH-VLLM benchmarks/vllm_worker.py MODEL.gguf --options '{"cache_gb": 2}'
"""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

from publius.engines.flow import ask
from publius.engines.protocol import Completion, GenerateRequest
from publius.engines.vllm import open_vllm
from publius.records import decode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--options", type=json.loads, default={})
    arguments = parser.parse_args()
    # vLLM and its processes print to our output what nobody asked for
    ours = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    began = time.perf_counter()
    engine = open_vllm(arguments.model, name="vllm", options=arguments.options)
    print(json.dumps({"start_s": time.perf_counter() - began}), file=ours)
    signal_descendants(os.getpid(), signal.SIGSTOP)
    for line in sys.stdin:
        signal_descendants(os.getpid(), signal.SIGCONT)
        requests = [decode(GenerateRequest, item) for item in json.loads(line)]
        began = time.perf_counter()
        answers = list(ask(engine, requests))
        seconds = time.perf_counter() - began
        done = [answer for answer in answers if isinstance(answer, Completion)]
        told = {
            "n_answered": len(done),
            "n_failed": len(answers) - len(done),
            "n_prompt": sum(answer.prompt_tokens for answer in done),
            "n_written": sum(answer.completion_tokens for answer in done),
            "seconds": seconds,
        }
        signal_descendants(os.getpid(), signal.SIGSTOP)
        print(json.dumps(told), file=ours)
    signal_descendants(os.getpid(), signal.SIGCONT)
    engine.close()


def signal_descendants(pid: int, number: signal.Signals) -> None:
    """Send a signal to all processes that `pid` has started, and that those have (Linux)."""
    for started in Path(f"/proc/{pid}/task").glob("*/children"):  # by each of its threads
        for child in started.read_text().split():
            signal_descendants(int(child), number)
            os.kill(int(child), number)


if __name__ == "__main__":
    main()
