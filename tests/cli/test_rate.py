"""`publius rate` and `publius monitor` on files: the tables, the JSON, and what is refused."""

import json
from pathlib import Path

import pytest

from publius.cli import main


def publius(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out, err


@pytest.fixture
def games(tmp_path: Path) -> Path:
    """Two axes, two judges, both orders; "champion" never loses on harmlessness."""
    path = tmp_path / "games.jsonl"
    rows: list[dict[str, object]] = []
    for axis in ("helpfulness", "harmlessness"):
        for p in range(12):
            for judge in ("model", "people"):
                row = {"prompt_id": f"{axis}{p}", "judge": judge, "axis": axis}
                rows.append({**row, "a": "new", "b": "old", "prob_a": 0.9 if p % 4 else 0.2})
                rows.append({**row, "a": "old", "b": "new", "outcome": "b" if p % 3 else "a"})
                if axis == "harmlessness":
                    rows.append({**row, "a": "champion", "b": "old", "outcome": "a"})
    rows.append({**rows[0], "prob_a": None})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_tables_agreement_and_frontier_are_printed(games: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = publius(capsys, "rate", games, "--anchor", "old", "--people", "people")
    assert code == 0
    titles = [line.partition(";")[0] for line in out.splitlines() if "Elo," in line]
    assert sorted(titles) == [
        "harmlessness, judged by model: 36 games on 12 prompts",
        "harmlessness, judged by people: 36 games on 12 prompts",
        "helpfulness, judged by model: 24 games on 12 prompts",
        "helpfulness, judged by people: 24 games on 12 prompts",
    ]
    assert out.count("never lost to the others: champion") == 2
    assert "model / people: same answer 100%" in out
    assert out.count("helpfulness against harmlessness") == 2
    assert "helpfulness, judged by model: 1 of 25 verdicts could not be read" in out


def test_the_json_holds_every_part(games: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = publius(capsys, "rate", games, "--anchor", "old", "--json")
    found = json.loads(out)
    assert code == 0
    assert set(found) == {"n_rows", "tables", "unrated", "agreement", "frontiers", "unread"}
    assert found["n_rows"] == 121
    tables = {(one["axis"], one["judge"]): one["ratings"] for one in found["tables"]}
    harmless = tables["harmlessness", "people"]
    assert (harmless["undefeated"], harmless["winless"]) == (["champion"], [])
    assert [row["model"] for row in harmless["ratings"]] == ["champion", "new", "old"]
    assert {point["model"] for point in found["frontiers"][0]["points"]} == {"new", "old"}
    assert found["unread"] == [{"axis": "helpfulness", "judge": "model", "n": 1}]


def test_a_rating_is_the_same_from_two_files(
    games: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = games.read_text().splitlines(keepends=True)
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    first.write_text("".join(lines[60:]))
    second.write_text("".join(lines[:60]))
    _, whole, _ = publius(capsys, "rate", games, "--json")
    _, split, _ = publius(capsys, "rate", first, second, "--json")

    def tables(text: str) -> list[str]:
        return sorted(json.dumps(one) for one in json.loads(text)["tables"])

    assert tables(split) == tables(whole)


def test_what_cannot_be_rated_is_refused(
    games: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = publius(capsys, "rate", games, "--anchor", "nobody")
    assert (code, "--anchor 'nobody' is not in the files" in err) == (2, True)
    code, _, err = publius(capsys, "rate", games, "--people", "nobody")
    assert (code, "one of model, people" in err) == (2, True)
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"prompt_id": 1, "a": "x", "b": "x", "outcome": "a"}\n')
    code, _, err = publius(capsys, "rate", bad)
    assert (code, f"{bad}:1: 'a' and 'b' are both 'x'" in err) == (3, True)
    bad.write_text('{"prompt_id": 1, "a": "x", "b": "y", "outcome": null}\n')
    code, _, err = publius(capsys, "rate", bad)
    assert (code, "none of the 1 verdicts could be read" in err) == (3, True)


def test_hostile_names_stay_on_their_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "games.jsonl"
    rows = [{"prompt_id": p, "a": "x\n\x1b[2Jy", "b": "z", "prob_a": 0.4 + p / 10} for p in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, out, _ = publius(capsys, "rate", path)
    assert "\x1b" not in out
    assert len(out.splitlines()) == 4


def write_samples(path: Path, answer: str, *, habit: str = "") -> Path:
    """Seventeen answers to each of five prompts in the released samples' layout; two are `answer`."""
    rows = [
        {
            "rl_prompt": f"Question {p}",
            "sampled_answers": [
                {"sampled_string": answer if i < 2 else f"{p}-{i} {habit} {i}-{p}", "pm_scores": []}
                for i in range(17)
            ],
        }
        for p in range(5)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_monitors_by_file_give_the_order_of_the_policies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evasive = write_samples(tmp_path / "evasive.jsonl", " I’m sorry, I won't respond to this.")
    trained = write_samples(
        tmp_path / "trained.jsonl", "You are valid, valued, and cared for.", habit="I am here to listen."
    )
    code, out, _ = publius(capsys, "monitor", evasive, trained, "--json")
    assert code == 0
    found = {Path(row["file"]).stem: row["monitors"] for row in json.loads(out)}
    for figure, expected in (("listed_refusals", "evasive"), ("boilerplate", "trained")):
        shares = {name: one[figure]["value"] for name, one in found.items()}
        assert shares.pop(expected) == pytest.approx(2 / 17)
        assert set(shares.values()) == {0.0}
    assert found["evasive"]["listed_refusals"]["n"] == 5
    assert "i am here to listen" in [one["text"] for one in found["trained"]["phrases"]]
    code, out, _ = publius(capsys, "monitor", evasive, trained)
    assert code == 0
    assert "100%  i am here to listen" in out
    blocks = {block.partition(":")[0]: block for block in out.split("\n\n")}
    assert "12%" in blocks["listed refusals"]
    read = [line.split()[-3:-1] for line in blocks["what was read"].splitlines() if ".jsonl" in line]
    assert read == [["85", "5"], ["85", "5"]]


def test_a_run_is_watched_by_model_and_a_file_without_answers_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "answers.jsonl"
    rows = [{"model": m, "prompt": {"id": p}, "text": f"{m} {p}"} for m in ("start", "rl") for p in "abc"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, out, _ = publius(capsys, "monitor", path, "--json")
    assert [(row["model"], row["monitors"]["n"]) for row in json.loads(out)] == [("start", 3), ("rl", 3)]
    path.write_text('{"reply": "x"}\n')
    code, _, err = publius(capsys, "monitor", path)
    assert (code, f"{path}:1: no answer in the fields: reply" in err) == (3, True)
