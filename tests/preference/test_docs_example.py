"""The Python example of the page on preference models runs as it stands."""

import re
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.tiny

PAGE = Path(__file__).parents[2] / "docs" / "preference-model.md"
MODEL = "runs/demo/stages/pm/model"


def test_the_example_of_the_page_runs(
    tiny_pm_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [example] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    place = tmp_path / MODEL
    place.parent.mkdir(parents=True)
    place.symlink_to(tiny_pm_dir)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, str(PAGE), "exec"), {})
    assert 0 < float(capsys.readouterr().out) < 1
