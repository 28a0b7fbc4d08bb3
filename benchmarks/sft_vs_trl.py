"""How fast a policy is finetuned: ours against TRL's SFTTrainer, on the same demonstrations.

Four trainers, each in a process of its own, take turns on the same demonstrations with the weights of
SmolLM2-135M-Instruct, the same batch size in rows, the loss on the answer only, bfloat16 autocast on a CPU:

    ours         batches cut into parts of like length within a bound of tokens, answers alone projected
    packed       ours with `sft.packing`: several rows in one within that bound
    trl          SFTTrainer with its defaults: random batches, padded, all layers recomputed
    trl_grouped  the same with transformers' batches of like length

Every trainer sees every demonstration once, in its own order, so the figures are ratios of the whole times:
`vs_trl`, `vs_trl_grouped`, and `packing`, of ours without it over ours with it. `memory_ratio` is our peak of
resident memory over that of `trl`.
`max_relative_difference` is the largest relative difference, over one batch of eight of the shorter half, of
loss and of gradient (by norm, tensor by tensor) in float32 between ours, cut into several parts, and `trl`.
`padding` is the share of our tokens that is padding: what packing several rows into one could save at most.

Demonstrations are those of a run, if --data is its `stages/revise/demonstrations.jsonl`: revisions and
helpful samples. Otherwise they are the preferred answers of the comparisons in --data, or in the file that
PUBLIUS_COMPARISONS names (hh-rlhf's .jsonl.gz); with neither, of the shipped audit set, whose answers are
short: the ratios are then not those of real dialogues.

Run: .venv/bin/python benchmarks/sft_vs_trl.py --data runs/full/stages/revise/demonstrations.jsonl --json
"""

import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from publius.engines.fetch import fetch_model
from publius.policy.config import SFTSettings
from publius.policy.sft import SFTRow
from publius.records import Demonstration
from publius.revise.stage import DEMONSTRATIONS
from publius.sources import load_comparisons
from publius.store import read_records
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
MAX_LENGTH = 1024  # TRL's default: longer rows are left out, by all three
TRAINERS = ("trl", "trl_grouped", "ours", "packed")
N_EXACT = 8


def preferred_of(spec: str) -> list[Demonstration]:
    """Return the preferred answers of a file's comparisons, as if they were revisions."""
    sided = [one for one in load_comparisons(spec).preferences if one.prob_a not in (None, 0.5)]
    return [
        Demonstration(
            one.comparison.id,
            one.comparison.messages,
            one.comparison.answer_a if (one.prob_a or 0) > 0.5 else one.comparison.answer_b,
            "revision",
            1,
            None,
        )
        for one in sided
    ]


def draw_rows(spec: str, *, n: int, seed: int) -> list[SFTRow]:
    """Return n demonstrations of a file as token ids, drawn with the seed; fewer if there are fewer."""
    from publius.policy.sft import sft_rows
    from publius.training.environment import quiet
    from publius.training.weights import load_causal_lm

    # exports have a file of that name too, in another layout
    is_stage = Path(spec).resolve().parts[-2:] == ("revise", DEMONSTRATIONS)
    found = read_records(Path(spec), Demonstration) if is_stage else preferred_of(spec)
    given = random.Random(seed).sample(found, min(2 * n, len(found)))
    with quiet():
        tokenizer = load_causal_lm(fetch_model(MODEL)).tokenizer
    rows = sft_rows(tokenizer, given, max_length=MAX_LENGTH).rows[:n]
    if not rows:
        raise SystemExit(f"{spec}: no demonstration of at most {MAX_LENGTH} tokens")
    return rows


def our_trainer(rows: Sequence[SFTRow], work: Path, **settings: Any) -> Any:
    """Return the trainer that `publius train sft` uses."""
    from publius.policy.sft import build_trainer
    from publius.training.environment import find_device
    from publius.training.weights import load_causal_lm

    chosen = SFTSettings(max_length=MAX_LENGTH, checkpoint_every=0, **settings)
    loaded = load_causal_lm(fetch_model(MODEL))
    return build_trainer(loaded, rows, work, settings=chosen, seed=0, device=find_device())


def trl_trainer(
    rows: Sequence[SFTRow], work: Path, *, batch_size: int, is_grouped: bool, **changes: Any
) -> Any:
    """Return TRL's trainer with its defaults, but for what a CPU and a benchmark need."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from publius.training.weights import load_causal_lm, model_directory

    path = fetch_model(MODEL)
    columns = [row._asdict() | ({"length": len(row.input_ids)} if is_grouped else {}) for row in rows]
    grouping = {
        "train_sampling_strategy": "group_by_length",
        "length_column_name": "length",
        "remove_unused_columns": False,  # the lengths are one
    }
    config = SFTConfig(
        output_dir=str(work),
        per_device_train_batch_size=batch_size,
        num_train_epochs=1,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataset_kwargs={"skip_prepare_dataset": True},  # the rows are tokenised
        **(grouping if is_grouped else {}),
        **changes,
    )
    return SFTTrainer(
        model=str(model_directory(path)),
        args=config,
        train_dataset=Dataset.from_list(columns),
        processing_class=load_causal_lm(path).tokenizer,
    )


def read_rows(given: Path) -> list[SFTRow]:
    """Return the rows that a worker was given."""
    return [SFTRow(*fields) for fields in json.loads(given.read_text(encoding="utf-8"))["rows"]]


def build(name: str, given: Path, work: Path) -> Any:
    """Return the trainer of a name."""
    batch_size = json.loads(given.read_text(encoding="utf-8"))["batch_size"]
    if name in ("ours", "packed"):
        return our_trainer(read_rows(given), work, batch_size=batch_size, packing=name == "packed")
    return trl_trainer(read_rows(given), work, batch_size=batch_size, is_grouped=name == "trl_grouped")


def compare_exactly(given: Path) -> None:
    """Write the largest relative difference of loss and of gradient between ours and TRL's own."""
    from publius.training.environment import quiet

    rows = read_rows(given)

    def step(trainer: Any) -> tuple[float, list[Any]]:
        """Return the loss and the gradients of all rows as one batch."""
        trainer.create_optimizer()
        trainer.model.train()
        batches, n_tokens = trainer.get_batch_samples(iter(trainer.get_train_dataloader()), 1, "cpu")
        trainer.current_gradient_accumulation_steps = 1
        loss = trainer.training_step(trainer.model, batches[0], n_tokens)
        return loss.item(), [parameter.grad for parameter in trainer.model.parameters()]

    with quiet(), tempfile.TemporaryDirectory() as folder:
        shape = {"batch_size": len(rows), "is_bf16": False, "tokens_in_memory": 300}
        our_loss, ours = step(our_trainer(rows, Path(folder), **shape))
        their_loss, theirs = step(
            trl_trainer(rows, Path(folder), batch_size=len(rows), is_grouped=False, bf16=False)
        )
    worst = max(map(relative_difference, ours, theirs))
    print(json.dumps({"loss": abs(our_loss - their_loss) / their_loss, "gradient": worst, "n": len(rows)}))


def padding_of(rows: Sequence[SFTRow], *, batch_size: int) -> float:
    """Return the share of padding in the tokens that ours computes."""
    from publius.training.batches import cut_by_tokens, grouped_order

    lengths = [len(row.input_ids) for row in rows]
    order = grouped_order(lengths, batch_size=min(4, batch_size), epochs=1, seed=0)
    n_computed = 0
    for start in range(0, len(order), batch_size):
        own = [lengths[row] for row in order[start : start + batch_size]]
        cut = cut_by_tokens(own, budget=SFTSettings().tokens_in_memory)
        n_computed += sum(len(part) * max(own[row] for row in part) for part in cut)
    return 1 - sum(lengths) / n_computed


def main() -> None:
    parser = comparing(__doc__)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2, help="in a turn")
    parser.add_argument("--batch-size", type=int, default=8, help="rows in a step; TRL's default")
    arguments = parser.parse_args()
    if arguments.worker == "exact":
        compare_exactly(arguments.given)
        return
    if arguments.worker:
        steps = json.loads(arguments.given.read_text(encoding="utf-8"))["steps"]
        work_in_turns(
            lambda work: build(arguments.worker, arguments.given, work),
            steps=steps,
            is_ours=arguments.worker in ("ours", "packed"),
        )
        return
    spec = comparisons_of(arguments)
    rows = draw_rows(spec, n=arguments.turns * arguments.steps * arguments.batch_size, seed=0)
    n_turns = -(-len(rows) // (arguments.steps * arguments.batch_size))
    shorter = sorted(rows, key=lambda row: len(row.input_ids))[: max(N_EXACT, len(rows) // 2)]
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "task"
        task = {"rows": rows, "steps": arguments.steps, "batch_size": arguments.batch_size}
        given.write_text(json.dumps(task), encoding="utf-8")
        took, peaks = run_turns(__file__, TRAINERS, given, turns=n_turns)
        exact = run_exact(__file__, shorter[:: max(1, len(shorter) // N_EXACT)][:N_EXACT], given)
    total = {name: total_seconds(turns) for name, turns in took.items()}
    result = {
        "benchmark": "sft_vs_trl",
        "figures": {
            "vs_trl": round(total["trl"] / total["ours"], 3),
            "vs_trl_grouped": round(total["trl_grouped"] / total["ours"], 3),
            "packing": round(total["ours"] / total["packed"], 3),
            "max_relative_difference": max(exact["loss"], exact["gradient"]),
            "memory_ratio": round(peaks["ours"] / peaks["trl"], 3),
            "padding": round(padding_of(rows, batch_size=arguments.batch_size), 4),
        },
        "n": len(rows),
        "batch_size": arguments.batch_size,
        "data": "shipped audit set" if spec == "audit" else Path(spec).name,
        "tokens": sum(len(row.input_ids) for row in rows),
        # on the clock, and of the processor: where other programs run beside, only these can be compared
        "turns": took,
        "peak_mb": {name: round(value) for name, value in peaks.items()},
        "exact": exact,
        "versions": versions("trl", "transformers", "torch", "accelerate"),
    }
    show(result, as_json=arguments.json)


if __name__ == "__main__":
    main()
