"""A run belongs to one process, and a stage is done when its manifest and files say so."""

import subprocess
import sys
from pathlib import Path

import pytest

from publius.errors import StoreError
from publius.store import StageResult, is_in_use, open_run, write_json


def finish(path: Path, inputs: str) -> None:
    with open_run(path) as run:
        folder = run.begin("revise", inputs)
        write_json(folder / "rows.json", [1, 2])
        run.finish(
            "revise", inputs, recipe="sha256:r", result=StageResult(rows=2, figures={"n": 2}), seconds=1.5
        )


def test_a_finished_stage_is_known_by_its_inputs(tmp_path: Path) -> None:
    finish(tmp_path, "sha256:one")
    with open_run(tmp_path) as run:
        manifest = run.finished("revise", "sha256:one")
        assert manifest is not None
        assert (manifest.rows, manifest.figures, manifest.seconds) == (2, {"n": 2}, 1.5)
        assert manifest.peak_memory is not None
        assert 10e6 < manifest.peak_memory < 1e12  # bytes of a Python process, not kilobytes
        assert run.finished("revise", "sha256:two") is None
        assert run.finished("label", "sha256:one") is None


def test_a_stage_whose_file_is_gone_or_cut_is_not_done(tmp_path: Path) -> None:
    finish(tmp_path, "sha256:one")
    file = tmp_path / "stages" / "revise" / "rows.json"
    file.write_text("[1")
    with open_run(tmp_path) as run:
        assert run.finished("revise", "sha256:one") is None
    file.unlink()
    with open_run(tmp_path) as run:
        assert run.finished("revise", "sha256:one") is None


def test_the_same_inputs_keep_the_folder_and_other_inputs_put_it_aside(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        folder = run.begin("rl", "sha256:one")
        (folder / "checkpoint").write_text("half way")
        assert (run.begin("rl", "sha256:one") / "checkpoint").exists()
        assert not (run.begin("rl", "sha256:two") / "checkpoint").exists()
        assert (run.begin("rl", "sha256:one") / "checkpoint").read_text() == "half way"
        assert not (run.begin("rl", "sha256:three") / "checkpoint").exists()
        assert (run.begin("rl", "sha256:one") / "checkpoint").exists()


def test_a_finished_stage_of_other_settings_comes_back_whole(tmp_path: Path) -> None:
    finish(tmp_path, "sha256:one")
    finish(tmp_path, "sha256:two")
    with open_run(tmp_path) as run:
        assert run.finished("revise", "sha256:one") is None
        run.begin("revise", "sha256:one")
        assert run.finished("revise", "sha256:one") is not None


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with open_run(tmp_path):
        assert is_in_use(tmp_path)
        code = (
            "import sys; from pathlib import Path; from publius.store import open_run\n"
            "with open_run(Path(sys.argv[1])): pass"
        )
        other = subprocess.run(
            [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False
        )
        assert "in use by process" in other.stderr
    assert not is_in_use(tmp_path)


def test_a_run_where_nothing_can_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"), open_run(tmp_path / "file" / "run"):
        pass


@pytest.mark.parametrize("killed_after", [1, 2, 3])
@pytest.mark.parametrize("then", ["sha256:one", "sha256:two", "sha256:three"])
def test_a_swap_of_settings_that_is_killed_in_the_middle_loses_no_model(
    tmp_path: Path, killed_after: int, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_run(tmp_path) as run:
        for name in ("one", "two"):  # two is in place, one is aside
            (run.begin("rl", f"sha256:{name}") / "model").write_text(name)
    rename, left = Path.rename, [killed_after]

    def dying(path: Path, target: Path) -> Path:
        moved = rename(path, target)
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return moved

    with open_run(tmp_path) as run:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", dying)
            with pytest.raises(KeyboardInterrupt):
                run.begin("rl", "sha256:one")
        folder = run.begin("rl", then)
        found = {file.read_text() for file in tmp_path.rglob("model")}
        assert found == ({"one", "two"} if then != "sha256:three" else found)
        if then == "sha256:three":
            assert not (folder / "model").exists()
            assert len(found) == 1  # one is kept aside, as without the kill
        else:
            assert (folder / "model").read_text() == then.removeprefix("sha256:")
        assert not [path for path in (tmp_path / "previous").iterdir() if path.name.startswith(".")]


def test_what_a_killed_write_left_belongs_to_no_stage(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        folder = run.begin("revise", "sha256:one")
        (folder / ".rows.json.123.tmp").write_text("half of i")
        (folder / ".model.x1").mkdir()
        (folder / ".model.x1" / "weights").write_text("most of them")
        (tmp_path / ".recipe.json.7.tmp").write_text("{")
    finish(tmp_path, "sha256:one")
    with open_run(tmp_path) as run:
        manifest = run.finished("revise", "sha256:one")
        assert manifest is not None
        assert set(manifest.files) == {"inputs.json", "rows.json"}
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


def test_a_file_that_changed_and_kept_its_size_is_noticed(tmp_path: Path) -> None:
    finish(tmp_path, "sha256:one")
    file = tmp_path / "stages" / "revise" / "rows.json"
    file.write_text(file.read_text().replace("1", "7"))
    with open_run(tmp_path) as run:
        assert run.finished("revise", "sha256:one") is None


def test_a_manifest_that_was_edited_is_refused(tmp_path: Path) -> None:
    finish(tmp_path, "sha256:one")
    file = tmp_path / "stages" / "revise" / "manifest.json"
    file.write_text(file.read_text().replace('"rows": 2', '"rows": 3'))
    with open_run(tmp_path) as run, pytest.raises(StoreError, match="damaged"):
        run.finished("revise", "sha256:one")
