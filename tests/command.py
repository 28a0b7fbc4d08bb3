"""Commands and scripts in a process of their own, as a user starts them, but for the seconds of imports.

One process imports once and forks for each (the standard library's fork server). So modules, signals and
the working folder are each one's own, and a kill is a kill. Where the imports are what is tested, or a
document's own words, a test starts Python itself.
"""

import gc
import multiprocessing
import os
import subprocess
import sys
import tempfile
from multiprocessing.process import BaseProcess
from pathlib import Path

_LIGHT = ("publius.cli.run", "publius.cli.suite", "publius.cli.sycophancy", "publius.cli.propose")
_HEAVY = (
    "trl.trainer.dpo_trainer",
    "trl.trainer.grpo_trainer",
    "trl.trainer.rloo_trainer",
    "trl.trainer.sft_trainer",
    "peft",
    "publius.policy.rl",
    "publius.preference.pm",
)
_COMMAND = "from publius.cli import main\nmain()"
_TIMEOUT_S = 300


def publius(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Return what `publius ARGUMENTS` did in the folder `cwd`."""
    return python(_COMMAND, *arguments, cwd=cwd)


def start_publius(*arguments: str, cwd: Path) -> BaseProcess:
    """Start `publius ARGUMENTS` as the head of a process group, writing to `stdout` and `stderr` in `cwd`."""
    return start_python(_COMMAND, *arguments, cwd=cwd)


def start_python(script: str, *arguments: str, cwd: Path) -> BaseProcess:
    """Start `python -c SCRIPT ARGUMENTS` as the head of a process group, with its output in `cwd`."""
    return _start(script, arguments, cwd, cwd)


def python(script: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Return what `python -c SCRIPT ARGUMENTS` did in the folder `cwd`."""
    with tempfile.TemporaryDirectory() as folder:
        process = _start(script, arguments, cwd or Path.cwd(), Path(folder))
        process.join(_TIMEOUT_S)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(list(arguments), _TIMEOUT_S)
        told = [(Path(folder) / name).read_text(encoding="utf-8") for name in ("stdout", "stderr")]
        return subprocess.CompletedProcess(list(arguments), process.exitcode, *told)


def _start(script: str, arguments: tuple[str, ...], cwd: Path, folder: Path) -> BaseProcess:
    context = multiprocessing.get_context("forkserver")
    # the first call decides: a process that never needed torch does not wait for it here either
    context.set_forkserver_preload([*_LIGHT, *(_HEAVY if "torch" in sys.modules else ())])
    process = context.Process(target=_work, args=(script, arguments, cwd, folder, dict(os.environ)))
    process.start()
    return process


def _work(
    script: str, arguments: tuple[str, ...], cwd: Path, folder: Path, environment: dict[str, str]
) -> None:
    os.setsid()
    gc.freeze()  # what was imported is no garbage of this command
    for name, number in (("stdout", 1), ("stderr", 2)):
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c", *arguments]
    exec(compile(script, "<script>", "exec"), {"__name__": "__main__"})
