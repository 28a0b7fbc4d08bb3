"""Work directories: kept for the same run, emptied for another, gone at success."""

from pathlib import Path

import pytest

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


def test_what_is_half_removed_is_not_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(work: Path, **_: object) -> None:
        (work / "left").unlink()
        raise KeyboardInterrupt

    work = open_workroom(tmp_path / "model", key="a")
    for name in ("left", "also"):
        (work / name).write_text("x")
    with monkeypatch.context() as patch:
        patch.setattr("publius.training.workroom.shutil.rmtree", kill)
        with pytest.raises(KeyboardInterrupt):
            open_workroom(tmp_path / "model", key="b")
    open_workroom(tmp_path / "model", key="a")
    assert not (work / "also").exists()


@pytest.mark.parametrize("place", ["_sync_directory", "shutil.rmtree"])
def test_killed_once_the_result_is_in_place(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "model"
    out.mkdir()
    (out / "weights").write_text("older")

    def kill(*_: object, **__: object) -> None:
        if out.exists() and (out / "weights").read_text() == "first":
            raise KeyboardInterrupt

    for text in ("first", "second"):
        work = open_workroom(out, key="a")
        left = work / "checkpoint"
        if text == "second":
            assert left.exists() == (place == "_sync_directory")  # what is being removed is not gone on from
        left.mkdir(exist_ok=True)
        (work / "built").mkdir()
        (work / "built" / "weights").write_text(text)
        with monkeypatch.context() as patch:
            if text == "first":
                patch.setattr(f"publius.training.workroom.{place}", kill)
            try:
                publish(work / "built", out=out, work=work)
            except KeyboardInterrupt:
                assert text == "first"
    assert (out / "weights").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_write_durably_replaces(tmp_path: Path) -> None:
    for text in ("long text", "x"):
        write_durably(tmp_path / "file", text)
        assert (tmp_path / "file").read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
