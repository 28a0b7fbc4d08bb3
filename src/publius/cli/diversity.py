"""`publius diversity`: how different the answers of labelled pairs are, in words and in meaning.

Paper: none. The measures: `stats/diversity.py`.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import click

from publius.cli.text import printable
from publius.errors import DataError
from publius.pipeline.preferences import NamedPreferences, open_preferences
from publius.records import Comparison, derive_seed, encode
from publius.stats.diversity import Diversity, Embed, measure_diversity


@click.command(
    epilog="Examples:\n\n  publius diversity runs/demo\n\n  publius diversity runs/demo --lexical --json\n\n"
    "  publius diversity runs/warm runs/hot --limit 200\n\n"
    "  publius diversity pairs.jsonl --model smollm2-135m-instruct"
)
@click.argument("sources", nargs=-1, required=True, metavar="RUN_OR_FILE...")
@click.option(
    "--model", help="A model by name or path, for the distance in meaning [the first run's policy]."
)
@click.option("--lexical", is_flag=True, help="Words only; no model is loaded.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N pairs of each.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Of the intervals [0].")
@click.option("--json", "as_json", is_flag=True, help="Data as JSON on stdout.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def diversity(
    sources: tuple[str, ...],
    model: str | None,
    lexical: bool,
    limit: int | None,
    seed: int,
    as_json: bool,
    debug: bool,
) -> None:
    """Measure how different the answers in RUN_OR_FILE are: of each pair, and of each source's samples.

    Means over prompts with 95 % intervals; docs/exports.md says what each figure means. Name several runs to
    compare generators or temperatures: their sources are then named after them. Without a model (a file, and
    no --model) the distance in meaning is left out.
    """
    del debug
    named = {source: open_preferences(source) for source in sources}
    pairs = [
        pair
        for source, one in named.items()
        for pair in _pairs(one, limit, prefix=f"{source}: " if len(named) > 1 else "")
    ]
    if not pairs:
        raise DataError("there are no pairs to measure", where=sources[0])
    policies = [one.policy for one in named.values() if one.policy]
    embed = None if lexical else _open_embed(model or next(iter(policies), None))
    found = measure_diversity(pairs, embed=embed, seed=derive_seed(seed, "diversity"))
    if as_json:
        click.echo(json.dumps(encode(found), indent=2))
        return
    samples = [row for row in found.samples if row.n_samples > 2]  # two answers of one source are a pair
    tables = [_table(title, rows) for title, rows in (("pairs", found.pairs), ("samples", samples)) if rows]
    click.echo(printable("\n\n".join(tables)))


def _pairs(named: NamedPreferences, limit: int | None, *, prefix: str) -> Iterator[Comparison]:
    """Yield the comparisons, with `prefix` before the names of their sources."""
    for item in islice(named.preferences, limit):
        pair = item.comparison
        yield replace(pair, source_a=prefix + pair.source_a, source_b=prefix + pair.source_b)


def _open_embed(model: str | None) -> Embed | None:
    if model is None:
        return None
    from publius.engines.fetch import fetch_model
    from publius.training.embedding import open_embed

    return open_embed(fetch_model(model))


def _table(title: str, rows: Sequence[Diversity]) -> str:
    lines = [f"{title}: mean over prompts [95 % interval]"]
    for row in rows:
        lines.append(
            f"  {row.source}: {row.n_prompts} prompts, {row.n_samples:.1f} answers each, "
            f"{row.words:.0f} words an answer"
        )
        lines += [f"    {name:<18}{_number(estimate)}" for name, estimate in row.figures.items()]
    return "\n".join(lines)


def _number(estimate: Any) -> str:
    if estimate is None:
        return "not measured"
    return f"{estimate.value:.3f}  [{estimate.low:.3f}, {estimate.high:.3f}]  n = {estimate.n}"
