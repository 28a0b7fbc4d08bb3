"""The command line. `main` shows errors as people read them; each verb lives in its own file.

Only click is imported here: a verb's file, and what it needs, loads when the verb is used.

Exit codes: 0 done · 1 failed · 2 wrong usage · 3 wrong recipe, data, missing extra, or a judge that is
not trusted · 4 a model or server failed · 5 a limit of calls, tokens or money was reached ·
130 interrupted · 143 terminated.

Paper: none.
"""

import importlib
import sys
from typing import Any

import click

from publius import __version__

# verb → (module, attribute, one line of help); a static table, so that --help loads nothing
_VERBS: dict[str, tuple[str, str, str]] = {
    "demo": ("publius.cli.run", "demo", "The whole loop with real small models, on this machine."),
    "run": ("publius.cli.run", "run", "Run a recipe: what is missing is done, what is done is kept."),
    "status": ("publius.cli.status", "status", "Show what a run has done and its main figures."),
    "propose": ("publius.cli.propose", "propose", "Let a model write more prompts, traits or trait sets."),
    "audit": (
        "publius.cli.audit",
        "audit",
        "Audit the labelling AI, and other judges, against people's labels.",
    ),
    "effects": (
        "publius.cli.effects",
        "effects",
        "Measure what each principle of a run's constitution moves.",
    ),
    "revise": ("publius.cli.stages", "revise", "Stage: draft, critique and revise under principles."),
    "label": ("publius.cli.stages", "label", "Stage: sample pairs, label them with an audited AI."),
    "train": ("publius.cli.stages", "train", "Stages: train sft, dpo, pm or rl."),
    "eval": ("publius.cli.stages", "evaluate", "Stage: compare the policies on held-out prompts."),
    "report": ("publius.cli.stages", "report", "Stage: write the HTML report."),
    "rate": ("publius.cli.rate", "rate", "Rate models from files of judged games: Elo, agreement, frontier."),
    "frontier": (
        "publius.cli.frontier",
        "frontier",
        "Draw declining against helping: policies of several trainings on one chart.",
    ),
    "monitor": (
        "publius.cli.monitor",
        "monitor",
        "Watch the text of sampled answers: refusal, tone, boilerplate.",
    ),
    "pm": ("publius.cli.pm", "pm", "Measure a preference model: accuracy, calibration, tricks."),
    "serve": ("publius.cli.serve", "serve", "Serve a preference model's rewards over HTTP."),
    "suite": ("publius.cli.suite", "suite", "Put trait and comparison sets to a model or a PM."),
    "harm": (
        "publius.cli.harm",
        "harm",
        "Measure harm: absolute, against a baseline, attacks, over-refusal.",
    ),
    "sycophancy": (
        "publius.cli.sycophancy",
        "sycophancy",
        "Measure how far models say what pleases, and what rewards it.",
    ),
    "export": (
        "publius.cli.export",
        "export",
        "Write comparisons for TRL, OpenRLHF, verl and others; a model as GGUF.",
    ),
    "diversity": (
        "publius.cli.diversity",
        "diversity",
        "Measure how different the answers of the pairs are.",
    ),
    "constitution": (
        "publius.cli.constitution",
        "constitution",
        "List, show, lint and compare constitutions.",
    ),
    "models": ("publius.cli.models", "models", "List, fetch and locate models."),
}


class LazyGroup(click.Group):
    """A group that imports a verb when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the pipeline."""
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb, importing its file."""
        if cmd_name not in _VERBS:
            return None
        module, attribute, _ = _VERBS[cmd_name]
        return getattr(importlib.import_module(module), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs and their one-line helps without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, help) for name, (_, _, help) in _VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the verb, or say which one was perhaps meant."""
        if args and args[0] not in _VERBS and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], _VERBS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else " See 'publius --help'."
            raise click.UsageError(f"There is no verb {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with 'publius demo'. Every verb has --help with examples.",
)
@click.version_option(__version__, prog_name="publius")
def cli() -> None:
    """Apply a written constitution to a language model: draft, critique, revise, label, train, measure."""


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    from publius.cli.signals import stop_politely
    from publius.errors import PubliusError

    arguments = sys.argv[1:] if args is None else args
    debug = "--debug" in arguments
    try:
        with stop_politely():
            outcome: Any = cli.main(args=arguments, prog_name="publius", standalone_mode=False)
        sys.exit(outcome if isinstance(outcome, int) else 0)
    except PubliusError as error:
        if debug:
            raise
        _complain(str(error))
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _complain("interrupted: what was finished is kept; go on with the same command")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except MemoryError:
        _complain(
            "out of memory\n  → smaller batches (--set sft.tokens_in_memory=400); what was finished is kept"
        )
        sys.exit(1)
    except OSError as error:
        if debug:
            raise
        _complain(
            f"{error.filename or 'the system'}: {error.strerror or error}\n  → what was finished is kept"
        )
        sys.exit(1)
    except Exception as error:  # the boundary: a library's error that nobody named is shown as one line
        if debug:
            raise
        name = type(error).__name__
        _complain(f"unexpected {name}: {error}\n  → see where with --debug; what was finished is kept")
        sys.exit(1)


def _complain(message: str) -> None:
    from publius.cli.text import printable

    click.echo(f"publius: {printable(message)}", err=True)
