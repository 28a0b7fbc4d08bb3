"""How fast a preference model is trained: ours against TRL's RewardTrainer, on the same comparisons.

Three trainers, each in a process of its own, take turns on the same comparisons with the weights of
SmolLM2-135M-Instruct, the same batch size in comparisons, bfloat16 autocast on a CPU:

    ours         rows that share their prompts, micro-batches of like length within a bound of tokens
    trl          RewardTrainer with its defaults: random batches, padded, all layers recomputed
    trl_grouped  the same with transformers' batches of like length

Every trainer sees every comparison once, in its own order, so the figures are ratios of the whole times:
`vs_trl`, `vs_trl_grouped`. `memory_ratio` is our peak of resident memory over that of `trl`.
`max_relative_difference` is the largest relative difference, over four comparisons of the shorter half, of
loss and of gradient (by norm, tensor by tensor) in float32 between rows that share their prompts, padded in
one batch, and one text at a time through the plain classifier.

Comparisons are read from --data, or from the file that PUBLIUS_COMPARISONS names (hh-rlhf's .jsonl.gz); with
neither, from the shipped audit set, whose answers are short: the ratios are then not those of real dialogues.

Run: .venv/bin/python benchmarks/pm_vs_trl.py --data harmless-base.jsonl.gz --json
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import publius
from publius.engines.fetch import fetch_model
from publius.preference.config import PMSettings
from publius.preference.rows import PMRow
from publius.sources import load_comparisons

MODEL = "smollm2-135m-instruct"
MAX_LENGTH = 1024  # TRL's default: longer comparisons are left out, by all three
TRAINERS = ("trl", "trl_grouped", "ours")
VARIABLE = "PUBLIUS_COMPARISONS"


def draw_rows(spec: str, *, n: int, seed: int) -> list[PMRow]:
    """Return n comparisons of a file as token ids, drawn with the seed; fewer if there are fewer."""
    from publius.preference.rows import pm_rows
    from publius.training.environment import quiet
    from publius.training.weights import load_causal_lm

    with quiet():
        tokenizer = load_causal_lm(fetch_model(MODEL)).tokenizer
    read = pm_rows(tokenizer, load_comparisons(spec).preferences, max_length=MAX_LENGTH)
    rows = [*read.train, *read.held_out]
    return random.Random(seed).sample(rows, min(n, len(rows)))


def read_rows(task: dict[str, Any]) -> list[PMRow]:
    """Return the rows that a worker was given."""
    return [PMRow(*fields) for fields in task["rows"]]


def our_trainer(rows: Sequence[PMRow], work: Path, *, batch_size: int) -> Any:
    """Return the trainer that `publius train pm` uses."""
    from publius.preference.model import build_pm
    from publius.preference.trainer import build_trainer
    from publius.training.environment import find_device
    from publius.training.weights import LoadedModel, load_causal_lm

    start = load_causal_lm(fetch_model(MODEL))
    loaded = LoadedModel(build_pm(start), start.tokenizer)
    del start
    settings = PMSettings(batch_size=batch_size, max_length=MAX_LENGTH)
    return build_trainer(loaded, rows, work, settings=settings, seed=0, device=find_device())


def trl_trainer(rows: Sequence[PMRow], work: Path, *, batch_size: int, is_grouped: bool) -> Any:
    """Return TRL's trainer with its defaults, but for what a CPU and a benchmark need."""
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    from publius.training.weights import load_causal_lm, model_directory

    path = fetch_model(MODEL)
    sided = [(row, row.a_ids, row.b_ids) if row.prob_a > 0.5 else (row, row.b_ids, row.a_ids) for row in rows]
    columns = [
        {
            "chosen_ids": [*row.prompt_ids, *better],
            "rejected_ids": [*row.prompt_ids, *worse],
            "length": len(row.prompt_ids) + max(len(better), len(worse)),
        }
        for row, better, worse in sided
    ]
    grouping = {
        "train_sampling_strategy": "group_by_length",
        "length_column_name": "length",
        "remove_unused_columns": False,  # the lengths are one
    }
    config = RewardConfig(
        output_dir=str(work),
        per_device_train_batch_size=batch_size,
        num_train_epochs=1,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **(grouping if is_grouped else {}),
    )
    return RewardTrainer(
        model=str(model_directory(path)),
        args=config,
        train_dataset=Dataset.from_list(columns),
        processing_class=load_causal_lm(path).tokenizer,
    )


def work_in_turns(name: str, given: Path) -> None:
    """Train in this process: before every turn wait for a line, after it write the seconds it took."""
    from transformers import TrainerCallback

    from publius.training.callbacks import attach
    from publius.training.environment import quiet

    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries print what they like
    task = json.loads(given.read_text(encoding="utf-8"))
    rows, steps, batch_size = read_rows(task), task["steps"], task["batch_size"]

    def say(**answer: float) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    class Turns(TrainerCallback):
        began = cpu_began = 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step % steps == 0:
                say(ready=1)
                sys.stdin.readline()
                self.began, self.cpu_began = time.perf_counter(), time.process_time()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step % steps == 0 or state.global_step == state.max_steps:
                say(
                    seconds=time.perf_counter() - self.began,
                    cpu_seconds=time.process_time() - self.cpu_began,
                )

    with quiet(), tempfile.TemporaryDirectory() as folder:
        if name == "ours":
            trainer = our_trainer(rows, Path(folder), batch_size=batch_size)
        else:
            grouped = name == "trl_grouped"
            trainer = trl_trainer(rows, Path(folder), batch_size=batch_size, is_grouped=grouped)
        attach(trainer, Turns())
        trainer.train()
    say(peak_mb=peak_mb())


def peak_mb() -> float:
    """Return the largest resident memory of this process so far."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


class Worker:
    """A trainer in a process of its own."""

    def __init__(self, name: str, given: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--worker", name, "--given", str(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(publius.__file__).parent.parent)},
        )

    def read(self) -> dict[str, float]:
        """Return the next answer."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a trainer's process ended before its time; its error is above")
        return json.loads(line)

    def turn(self) -> dict[str, float]:
        """Let it train for a turn and return its seconds, on the clock and of the processor."""
        assert self._process.stdin is not None
        self.read()
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return self.read()

    def end(self) -> float:
        """Return its peak of memory, in MB, when it has ended."""
        peak = self.read()["peak_mb"]
        self._process.wait()
        return peak

    def kill(self) -> None:
        """End the process if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


def compare_exactly(given: Path) -> None:
    """Write the largest relative difference of loss and of gradient between shared rows and plain texts."""
    import torch

    from publius.preference.loss import soft_label_loss
    from publius.preference.model import build_pm, collate, use_shared_prompts
    from publius.preference.rows import pairs_of
    from publius.training.environment import quiet
    from publius.training.weights import load_causal_lm

    rows = read_rows(json.loads(given.read_text(encoding="utf-8")))
    with quiet():
        start = load_causal_lm(fetch_model(MODEL))
        model: Any = build_pm(start)
    torch.manual_seed(0)
    torch.nn.init.normal_(model.score.weight, std=0.02)  # a head of zeros has no gradient below it
    use_shared_prompts(model)

    def gradients() -> list[Any]:
        found = [p.grad.clone() for p in model.parameters()]
        model.zero_grad()
        return found

    def plain_loss(row: PMRow) -> Any:
        texts = ([*row.prompt_ids, *answer] for answer in (row.a_ids, row.b_ids))
        a, b = (model(input_ids=torch.tensor([text])).logits[0, 0] for text in texts)
        probability = torch.sigmoid(a - b)
        return -(row.prob_a * probability.log() + (1 - row.prob_a) * (1 - probability).log())

    batch = collate(pairs_of(rows), pad_id=start.tokenizer.pad_token_id, shares=True)
    rewards_B2 = model(**batch)["rewards_N"].view(-1, 2)
    labels_B = torch.tensor([row.prob_a for row in rows])
    loss_B = soft_label_loss(rewards_B2[:, 0], rewards_B2[:, 1], labels_B)
    worst_loss = worst_gradient = 0.0
    for loss, row in zip(loss_B, rows, strict=True):
        loss.backward(retain_graph=True)
        shared = gradients()
        plain = plain_loss(row)
        plain.backward()
        worst_loss = max(worst_loss, abs(loss.item() - plain.item()) / abs(plain.item()))
        for mine, theirs in zip(shared, gradients(), strict=True):
            worst_gradient = max(worst_gradient, ((mine - theirs).norm() / theirs.norm()).item())
            if not (mine.isfinite().all() and theirs.norm() > 0):
                raise SystemExit("a gradient is not a number, or nothing: `max` would pass over it")
    print(json.dumps({"loss": worst_loss, "gradient": worst_gradient, "n": len(rows)}))


def run_turns(given: Path, *, turns: int) -> tuple[dict[str, list[dict[str, float]]], dict[str, float]]:
    """Return what every trainer's turns took and its peak of memory in MB."""
    workers = {name: Worker(name, given) for name in TRAINERS}
    took: dict[str, list[dict[str, float]]] = {name: [] for name in TRAINERS}
    try:
        for turn in range(turns):
            shift = turn % len(TRAINERS)
            for name in TRAINERS[shift:] + TRAINERS[:shift]:
                took[name].append(workers[name].turn())
                print(f"turn {turn}: {name} {took[name][-1]['seconds']:.1f} s", file=sys.stderr)
        return took, {name: worker.end() for name, worker in workers.items()}
    finally:
        for worker in workers.values():
            worker.kill()


def run_exact(rows: Sequence[PMRow], given: Path) -> dict[str, float]:
    """Return what `compare_exactly` finds, in a process of its own, about some of the shorter rows."""
    middle = sorted(rows, key=lambda row: row.n_tokens)[: max(4, len(rows) // 2)]
    given.write_text(json.dumps({"rows": middle[:: max(1, len(middle) // 4)][:4]}), encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, __file__, "--worker", "exact", "--given", str(given)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(ended.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--data", default=os.environ.get(VARIABLE), help="a file of comparisons")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4, help="in a turn")
    parser.add_argument("--batch-size", type=int, default=8, help="comparisons in a step; TRL's default")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--given", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker == "exact":
        compare_exactly(arguments.given)
        return
    if arguments.worker:
        work_in_turns(arguments.worker, arguments.given)
        return
    if not arguments.data:
        print(f"no --data and no {VARIABLE}: the shipped audit set, whose answers are short", file=sys.stderr)
    spec = arguments.data or "audit"
    n_wanted = arguments.turns * arguments.steps * arguments.batch_size
    rows = draw_rows(spec, n=n_wanted, seed=0)
    n_turns = -(-len(rows) // (arguments.steps * arguments.batch_size))
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "task"
        task = {"rows": rows, "steps": arguments.steps, "batch_size": arguments.batch_size}
        given.write_text(json.dumps(task), encoding="utf-8")
        took, peaks = run_turns(given, turns=n_turns)
        exact = run_exact(rows, given)
    total = {name: sum(turn["seconds"] for turn in turns) for name, turns in took.items()}
    result = {
        "benchmark": "pm_vs_trl",
        "figures": {
            "vs_trl": round(total["trl"] / total["ours"], 3),
            "vs_trl_grouped": round(total["trl_grouped"] / total["ours"], 3),
            "max_relative_difference": max(exact["loss"], exact["gradient"]),
            "memory_ratio": round(peaks["ours"] / peaks["trl"], 3),
        },
        "n": len(rows),
        "batch_size": arguments.batch_size,
        "data": "shipped audit set" if spec == "audit" else Path(spec).name,
        "tokens": {
            "shared": sum(row.n_tokens for row in rows),
            "separate": sum(row.n_tokens + len(row.prompt_ids) for row in rows),
        },
        # on the clock, and of the processor: where other programs run beside, only these can be compared
        "turns": took,
        "peak_mb": {name: round(value) for name, value in peaks.items()},
        "exact": exact,
        "versions": {
            "python": platform.python_version(),
            "publius": publius.__version__,
            **{name: version(name) for name in ("trl", "transformers", "torch", "accelerate")},
        },
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        for key, value in result["figures"].items():
            print(f"{key}: {value}")


if __name__ == "__main__":
    main()
