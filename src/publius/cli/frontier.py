"""`publius frontier`: policies of several trainings between declining and helping, on one chart.

Paper: Bai et al. 2022, arXiv:2212.08073, Figure 2. What it does: `publius.pipeline.frontier`.
"""

import json
from pathlib import Path
from typing import Any

import click

from publius.cli.display import Display
from publius.cli.options import budget_of, folder_of, order_options
from publius.cli.text import columns, printable
from publius.pipeline.frontier import PAGE, measure_frontier, read_frontier
from publius.pipeline.frontier_plan import STAGE, FrontierPlan, order_frontier, plan_frontier
from publius.records import encode
from publius.report.data import Unit
from publius.report.figure import cells
from publius.report.frontier_page import (
    FrontierReport,
    JudgedFrontier,
    frontier_doubts,
    frontier_sentence,
    place_of_row,
)
from publius.report.numbers import NOT_MEASURED, count
from publius.stats.intervals import Estimate


@click.command(
    "frontier",
    epilog="Examples:\n\n  publius frontier runs/full/stages/sft/model "
    "runs/full/stages/rl/model/snapshots/step-10 --pm runs/human_pm\n\n  publius frontier "
    "mix1=runs/a/stages/sft/model mix2=runs/b/stages/sft/model --pm my-pm --set temperature=0.7 --dry-run",
)
@click.argument("policies", nargs=-1, required=True, metavar="POLICY...")
@click.option("--start", metavar="MODEL", help="The model that is Elo 0 [the recipes' default policy].")
@click.option(
    "--pm", "pms", multiple=True, required=True, type=click.Path(path_type=Path), help="Who rates: a "
    "preference model, or a run that trained one."
)  # fmt: skip
@click.option("--n-red-team", type=click.IntRange(min=2), default=64, help="Held-out red-team prompts [64].")
@click.option("--n-helpful", type=click.IntRange(min=2), default=64, help="Held-out harmless prompts [64].")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Of everything that is drawn [0].")
@order_options("runs/frontier", engine="transformers")
def frontier(policies: tuple[str, ...], **given: Any) -> None:
    """Compare POLICIES on held-out prompts: harmlessness, helpfulness and refusals, over one start.

    POLICY is a model's directory, such as runs/full/stages/sft/model, or NAME=DIRECTORY. Prompts, seeds and
    settings (answer_tokens, temperature, top_p, n_resamples) are those of the stage evaluate.
    """
    names = ("start", "pms", "n_red_team", "n_helpful", "seed", "engine", "settings")
    order = order_frontier(policies, **{name: given[name] for name in names})
    if given["dry_run"]:
        plan = plan_frontier(order)
        click.echo(json.dumps(encode(plan), indent=2) if given["as_json"] else printable(_plan_text(plan)))
        return
    out = folder_of(given, STAGE)
    with Display(quiet=given["quiet"]) as display:
        measure_frontier(order, out, display.listener(), budget=budget_of(given))
    report, page = read_frontier(out), out / "stages" / STAGE / PAGE
    if given["as_json"]:
        click.echo(json.dumps({"page": str(page), **encode(report)}, indent=2))
    else:
        click.echo(printable(f"{report_text(report)}\n\n{page}".replace("\u00a0", " ")))


def report_text(report: FrontierReport) -> str:
    """Return the frontier as lines of text: a table a judge, who is on the frontier, what is in doubt."""
    parts = [_judged(one) for one in report.judges]
    doubts = frontier_doubts(report)
    return "\n\n".join("\n".join(lines) for lines in (*parts, *([doubts] if doubts else [])))


def _judged(one: JudgedFrontier) -> list[str]:
    rows = [["policy", "harmlessness", "refuses red-team", "helpfulness", "refuses harmless", "frontier"]]
    for row in one.rows:
        numbers = (
            _cell(row.harmlessness, "elo"),
            _cell(row.declines, "share"),
            _cell(row.helpfulness, "elo"),
            _cell(row.over_refusals, "share"),
        )
        rows.append([row.policy, *numbers, place_of_row(row)])
    title = (
        f"by {one.judge}: Elo points over the start, shares of answers that open by refusing "
        "[95 % interval over prompts] (prompts)"
    )
    return [title, *columns(rows), frontier_sentence(one)]


def _cell(estimate: Estimate | None, unit: Unit) -> str:
    if estimate is None:
        return NOT_MEASURED
    value, interval, n = cells(estimate, unit)
    return f"{value} [{interval}] ({n})"


def _plan_text(plan: FrontierPlan) -> str:
    return (
        f"{', '.join(plan.policies)} on {count(plan.n_red_team)} red-team and {count(plan.n_helpful)} "
        f"harmless prompts: {count(plan.answers)} answers, at most {count(plan.written_tokens)} tokens; "
        f"rated by {', '.join(plan.judges)}"
    )
