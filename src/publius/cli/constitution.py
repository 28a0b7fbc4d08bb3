"""`publius constitution`: list, show, lint and compare constitutions.

Paper: none.
"""

import json
import sys

import click

from publius.cli.text import printable
from publius.constitution import load_constitution, shipped
from publius.constitution.diff import ConstitutionDiff, diff
from publius.constitution.lint import CAUTION, Finding, lint
from publius.constitution.load import parse, principle_lines, read_source
from publius.constitution.show import show
from publius.records import encode

_JSON = click.option("--json", "as_json", is_flag=True, help="Data as JSON on stdout.")


@click.group()
def constitution() -> None:
    """List, show, lint and compare constitutions: shipped names, .toml files or .md lists."""


@constitution.command("list", epilog="Example:\n\n  publius constitution list")
@_JSON
def list_shipped(as_json: bool) -> None:
    """List the constitutions that ship with Publius."""
    rows = [load_constitution(name) for name in shipped()]
    if as_json:
        table = [
            {
                "name": row.name,
                "version": row.version,
                "n": len(row.principles),
                "hash": row.hash,
                "title": row.title,
            }
            for row in rows
        ]
        click.echo(json.dumps(table, indent=2))
        return
    for row in rows:
        click.echo(f"{row.name:<20}{row.version:<8}principles: {len(row.principles):<4}{row.title}")


@constitution.command(
    "show", epilog="Examples:\n\n  publius constitution show hhh\n\n  publius constitution show rules.md"
)
@click.argument("which")
@_JSON
def show_one(which: str, as_json: bool) -> None:
    """Show a constitution with all forms; derived ones are marked."""
    loaded = load_constitution(which)
    data = {"hash": loaded.hash, **encode(loaded)}
    click.echo(json.dumps(data, indent=2) if as_json else show(loaded))


@constitution.command(
    "lint",
    epilog="Examples:\n\n  publius constitution lint rules.toml\n\n  publius constitution lint hhh --json",
)
@click.argument("which")
@_JSON
def lint_one(which: str, as_json: bool) -> None:
    """Look for duplicates, contradictions, vague or preachy wording. Exit code 1 if there is an error.

    These are heuristics on words: read each finding, they can be wrong.
    """
    source = read_source(which)
    findings = lint(parse(source), lines=principle_lines(source))
    if as_json:
        click.echo(json.dumps(encode(findings), indent=2))
    else:
        for finding in findings:
            click.echo(printable(_finding_text(which, finding)))
        n_errors = sum(finding.severity == "error" for finding in findings)
        click.echo(f"findings: {len(findings)}, errors among them: {n_errors}. {CAUTION}")
    sys.exit(1 if any(finding.severity == "error" for finding in findings) else 0)


@constitution.command("diff", epilog="Example:\n\n  publius constitution diff hhh rules.toml")
@click.argument("old")
@click.argument("new")
@_JSON
def diff_two(old: str, new: str, as_json: bool) -> None:
    """Show what changes from one constitution to another."""
    found = diff(load_constitution(old), load_constitution(new))
    click.echo(json.dumps(encode(found), indent=2) if as_json else printable(_diff_text(found)))


def _finding_text(which: str, finding: Finding) -> str:
    place = f"{which}:{finding.line}" if finding.line is not None else which
    about = f" [{', '.join(finding.principle_ids)}]" if finding.principle_ids else ""
    return f"{place}: {finding.severity}: {finding.rule}{about}: {finding.message}"


def _diff_text(found: ConstitutionDiff) -> str:
    lines = [f"+ {item.id}: {item.statement}" for item in found.added]
    lines += [f"- {item.id}: {item.statement}" for item in found.removed]
    for change in found.changed:
        lines += [
            f"~ {change.principle_id}, {change.form}",
            f"    before: {change.before}",
            f"    after:  {change.after}",
        ]
    lines.append(f"{found.n_unchanged} unchanged")
    return "\n".join(lines)
