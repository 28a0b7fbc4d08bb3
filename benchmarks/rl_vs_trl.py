"""How fast a policy is trained on rewards: ours against TRL's GRPOTrainer, on the same prompts.

Trainers, each in a process of its own, take turns at a step of 16 prompts with eight answers each of up to 64
tokens, with the weights of SmolLM2-135M-Instruct, rewards of a preference model of the same size (its head is
random: what it says does not matter here), KL to the start, bfloat16 autocast on a CPU:

    ours        a copy of the policy samples; answers to a prompt share it, also in training and for rewards
    trl         GRPOTrainer with `model.generate` and its defaults: eight answers at a time, layers recomputed
    trl_whole   the same with activations kept instead of recomputed

Every trainer answers every prompt once, so the figures are ratios of the whole times: `vs_trl`,
`vs_trl_whole`. `parts` says what the seconds went into. `memory_ratio` is our peak of resident memory over
that of `trl`. `max_relative_difference` is the largest relative difference of rewards, advantages (by norm),
loss and gradient (by norm, tensor by tensor) in float32 between ours and `trl` for the same answers.

Prompts are those of the comparisons in --data, or in the file that PUBLIUS_COMPARISONS names (hh-rlhf's
.jsonl.gz); with neither, of the shipped audit set.

Run: .venv/bin/python benchmarks/rl_vs_trl.py --data harmless-base.jsonl.gz --json
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from rl_trainers import N_ANSWERS, Parts, draw_prompts, our_trainer, save_pm, trl_trainer
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

TRAINERS = ("trl", "trl_whole", "ours")
N_EXACT = 3


def compare_exactly(given: Path) -> None:
    """Write the largest relative differences between ours and TRL's own, for the same answers."""
    import torch

    from publius.training.environment import quiet

    task = json.loads(given.read_text(encoding="utf-8"))["rows"]
    drawn: list[list[int]] = []

    def step(trainer: Any) -> dict[str, Any]:
        """Return rewards, advantages, loss and gradients of all prompts as one step."""
        with torch.no_grad():  # away from the start, so that there is a KL
            for number, parameter in enumerate(trainer.model.parameters()):
                noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
                parameter.add_(noise * parameter.std(correction=0) * 0.02)
        if not drawn:
            sample = trainer._generate_single_turn
            found: list[Any] = []

            def keep(*args: Any, **kwargs: Any) -> Any:
                found.append(sample(*args, **kwargs))
                drawn.extend(found[0][0])
                return found[0]

            trainer._generate_single_turn = keep
        else:
            trainer._generate_single_turn = lambda *_, **__: (drawn, None)
        trainer.create_optimizer()
        trainer.model.train()
        window = trainer.args.gradient_accumulation_steps
        batches, n_tokens = trainer.get_batch_samples(iter(trainer.get_train_dataloader()), window, "cpu")
        trainer.current_gradient_accumulation_steps = window
        losses = [trainer.training_step(trainer.model, batch, n_tokens) for batch in batches]
        return {
            "rewards": torch.tensor(next(iter(trainer._logs["rewards"].values()))),
            "advantages": torch.tensor(list(trainer._logs["advantages"])),
            "loss": torch.stack(losses).sum(),
            "kl": torch.tensor(trainer._metrics["train"]["kl"]).mean(),
            "gradients": [parameter.grad for parameter in trainer.model.parameters()],
        }

    with quiet(), tempfile.TemporaryDirectory() as folder:
        ours = step(our_trainer(task, Path(folder), is_bf16=False))
        theirs = step(trl_trainer(task, Path(folder), is_whole=False, bf16=False))
    names = ("rewards", "advantages", "loss")
    result = {name: relative_difference(ours[name], theirs[name]) for name in names}
    result["gradient"] = max(map(relative_difference, ours["gradients"], theirs["gradients"]))
    print(json.dumps({**result, "kl": ours["kl"].item(), "n_answers": len(drawn)}))


def run_worker(name: str, given: Path) -> None:
    """Train with the trainer of a name, in turns of a step."""
    task = json.loads(given.read_text(encoding="utf-8"))
    watched: list[Parts] = []

    def build(work: Path) -> Any:
        trainer = (
            our_trainer(task, work)
            if name == "ours"
            else trl_trainer(task, work, is_whole=name == "trl_whole")
        )
        watched.append(Parts(trainer))
        return trainer

    work_in_turns(build, steps=1, is_ours=name == "ours", look=lambda: watched[0].look())


def main() -> None:
    parser = comparing(__doc__)
    parser.add_argument("--turns", type=int, default=2, help="steps")
    parser.add_argument("--prompts", type=int, default=16, help="in a step")
    parser.add_argument("--trainers", nargs="+", choices=TRAINERS, default=TRAINERS)
    arguments = parser.parse_args()
    if arguments.worker == "exact":
        compare_exactly(arguments.given)
        return
    if arguments.worker:
        run_worker(arguments.worker, arguments.given)
        return
    spec = comparisons_of(arguments)
    prompts = draw_prompts(spec, n=arguments.turns * arguments.prompts, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        pm, given = Path(folder) / "pm", Path(folder) / "task"
        save_pm(pm)
        task = {"prompts": prompts, "n_prompts": arguments.prompts, "pm": str(pm)}
        given.write_text(json.dumps(task), encoding="utf-8")
        took, peaks = run_turns(__file__, arguments.trainers, given, turns=arguments.turns)
        few = sorted(prompts, key=lambda p: len(str(p)))[:N_EXACT]
        exact = run_exact(__file__, {**task, "prompts": few, "n_prompts": len(few)}, given)
    total = {name: total_seconds(turns) for name, turns in took.items()}
    ratios = {
        f"vs_{name}": round(total[name] / total["ours"], 3)
        for name in total
        if name != "ours" and "ours" in total
    }
    differences = [exact[name] for name in ("rewards", "advantages", "loss", "gradient")]
    result = {
        "benchmark": "rl_vs_trl",
        "figures": {
            **ratios,
            "max_relative_difference": max(differences),
            **(
                {"memory_ratio": round(peaks["ours"] / peaks["trl"], 3)}
                if {"ours", "trl"} <= set(peaks)
                else {}
            ),
        },
        "prompts": len(prompts),
        "answers": len(prompts) * N_ANSWERS,
        "data": "shipped audit set" if spec == "audit" else Path(spec).name,
        "parts": {
            name: {part: round(sum(turn[part] for turn in turns), 2) for part in turns[0]}
            for name, turns in took.items()
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
