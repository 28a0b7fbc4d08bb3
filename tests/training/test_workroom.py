"""Work directories: kept for the same run, emptied for another, gone at success."""

from pathlib import Path

from publius.training.workroom import open_workroom, publish, write_durably


def test_what_a_run_left_is_kept_under_its_key_only(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "model"
    work = open_workroom(out, key="a")
    (work / "left").write_text("x")
    assert open_workroom(out, key="a") == work
    assert (work / "left").exists()
    open_workroom(out, key="b")
    assert not (work / "left").exists()


def test_publish_replaces_and_cleans_up(tmp_path: Path) -> None:
    out = tmp_path / "model"
    for text in ("first", "second"):
        work = open_workroom(out, key=text)
        (work / "built").mkdir()
        (work / "built" / "weights").write_text(text)
        publish(work / "built", out=out, work=work)
        assert (out / "weights").read_text() == text
        assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_write_durably_replaces(tmp_path: Path) -> None:
    for text in ("long text", "x"):
        write_durably(tmp_path / "file", text)
        assert (tmp_path / "file").read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
