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

import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from publius.engines.fetch import fetch_model
from publius.preference.config import PMSettings
from publius.preference.rows import PMRow
from publius.sources import load_comparisons
from shown import show, versions
from turns import (
    comparing,
    comparisons_of,
    relative_difference,
    run_exact,
    run_turns,
    total_seconds,
    work_in_turns,
)

MODEL = "smollm2-135m-instruct"
MAX_LENGTH = 1024  # TRL's default: longer comparisons are left out, by all three
TRAINERS = ("trl", "trl_grouped", "ours")


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


def build(name: str, task: dict[str, Any], work: Path) -> Any:
    """Return the trainer of a name."""
    rows, batch_size = read_rows(task), task["batch_size"]
    if name == "ours":
        return our_trainer(rows, work, batch_size=batch_size)
    return trl_trainer(rows, work, batch_size=batch_size, is_grouped=name == "trl_grouped")


def compare_exactly(given: Path) -> None:
    """Write the largest relative difference of loss and of gradient between shared rows and plain texts."""
    import torch

    from publius.preference.model import build_pm, collate, use_shared_prompts
    from publius.preference.rows import siblings_of
    from publius.training.environment import quiet
    from publius.training.preference_loss import soft_label_loss
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

    batch = collate(siblings_of(rows), pad_id=start.tokenizer.pad_token_id, shares=True)
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
            worst_gradient = max(worst_gradient, relative_difference(mine, theirs))
    print(json.dumps({"loss": worst_loss, "gradient": worst_gradient, "n": len(rows)}))


def exact_rows(rows: Sequence[PMRow]) -> list[PMRow]:
    """Return some of the shorter rows."""
    middle = sorted(rows, key=lambda row: row.n_tokens)[: max(4, len(rows) // 2)]
    return middle[:: max(1, len(middle) // 4)][:4]


def main() -> None:
    parser = comparing(__doc__)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4, help="in a turn")
    parser.add_argument("--batch-size", type=int, default=8, help="comparisons in a step; TRL's default")
    arguments = parser.parse_args()
    if arguments.worker == "exact":
        compare_exactly(arguments.given)
        return
    if arguments.worker:
        task = json.loads(arguments.given.read_text(encoding="utf-8"))
        work_in_turns(
            lambda work: build(arguments.worker, task, work),
            steps=task["steps"],
            is_ours=arguments.worker == "ours",
        )
        return
    n_wanted = arguments.turns * arguments.steps * arguments.batch_size
    spec = comparisons_of(arguments)
    rows = draw_rows(spec, n=n_wanted, seed=0)
    n_turns = -(-len(rows) // (arguments.steps * arguments.batch_size))
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "task"
        task = {"rows": rows, "steps": arguments.steps, "batch_size": arguments.batch_size}
        given.write_text(json.dumps(task), encoding="utf-8")
        took, peaks = run_turns(__file__, TRAINERS, given, turns=n_turns)
        exact = run_exact(__file__, exact_rows(rows), given)
    total = {name: total_seconds(turns) for name, turns in took.items()}
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
        "versions": versions("trl", "transformers", "torch", "accelerate"),
    }
    show(result, as_json=arguments.json)


if __name__ == "__main__":
    main()
