"""`publius pm measure` and `publius serve reward` as a user meets them, with a tiny preference model."""

import json
import shutil
from pathlib import Path

import pytest

from publius.cli import main
from publius.preference.scale import SCALE_FILE, read_scale
from publius.preference.score import PreferenceModel
from publius.records import Comparison, Preference, canonical_json, conversation, encode

pytest.importorskip("torch")
pytestmark = pytest.mark.tiny


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as found:
        main(list(arguments))
    return found.value.code if isinstance(found.value.code, int) else 1


@pytest.fixture
def model(tiny_pm_dir: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_pm_dir, tmp_path / "model")


@pytest.fixture
def comparisons(tmp_path: Path) -> Path:
    rows = [
        {"prompt": f"Question {i}?", "chosen": f"Yes, {i % 9}", "rejected": f"No {i % 7}"} for i in range(60)
    ]
    rows += [
        {"prompt": "Same?", "chosen": "yes", "rejected": "yes"},
        {"prompt": "Long?", "chosen": "yes", "rejected": "very long " * 300},
        {"prompt": "Empty?", "chosen": "yes", "rejected": ""},
    ]
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def test_measuring_prints_and_writes_the_same_json_and_its_counts_add_up(
    model: Path, comparisons: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "measured.json"
    arguments = ("pm", "measure", str(model), "--comparisons", str(comparisons))
    assert _run(*arguments, "--all", "--json", "--out", str(out)) == 0
    data = json.loads(capsys.readouterr().out)
    assert data == json.loads(out.read_text())
    assert data["refused"] == {"identical answers": 1, "an empty answer": 1}
    assert data["n_given"] + sum(data["refused"].values()) == 63
    assert data["held_out"]["n"] + sum(n for _, n in data["skipped"]) == data["n_given"] == 61
    assert dict(data["skipped"]) == {"too long": 1}
    assert data["held_out"]["accuracy"]["n"] == 60
    assert len(data["probes"]["probes"]) == 8
    assert _run(*arguments, "--probe-on", "none", "--json") == 0
    held_out = json.loads(capsys.readouterr().out)
    assert 0 < held_out["held_out"]["n"] < 60
    assert held_out["held_out"]["n"] + sum(n for _, n in held_out["skipped"]) == 61
    assert held_out["probes"] is None


def test_measuring_says_it_in_words(
    model: Path, comparisons: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--comparisons", str(comparisons), "--all", "--limit", "20", "--probe-on", "comparisons")
    assert _run("pm", "measure", str(model), *given) == 0
    said = capsys.readouterr().out
    assert "20 read, 20 measured" in said
    for part in ("accuracy", "human", "the longer is better", "calibration error", "padding", "temperature"):
        assert part in said


def test_labels_of_a_run_are_measured_by_judge(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "preferences.jsonl"
    preferences = [
        Preference(
            Comparison(
                f"c{i}", f"p{i}", conversation(("user", f"Question {i}?")), "Yes", f"No {i}", "x", "y"
            ),
            (i % 3) / 2,
            "asked",
            "a judge",
            None,
            (),
        )
        for i in range(30)
    ]
    labels.write_text("".join(canonical_json(encode(one)) + "\n" for one in preferences))
    assert _run("pm", "measure", str(model), "--labels", str(labels), "--all", "--json") == 0
    held_out = json.loads(capsys.readouterr().out)["held_out"]
    assert (held_out["n"], held_out["n_ties"]) == (30, 10)
    [agreement] = held_out["agreement"]
    assert (agreement["judge"], agreement["rate"]["n"]) == ("a judge", 20)


def test_a_temperature_is_kept_where_there_is_one(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (model / SCALE_FILE).unlink()  # as another program leaves it
    pm = PreferenceModel.load(model)
    asked = [[conversation(("user", f"Q {i}?"), ("assistant", text)) for text in "ab"] for i in range(40)]
    rewards = [pm.score(pair) for pair in asked]

    def measure(n_wrong: int, *more: str) -> int:
        file = tmp_path / "graded.jsonl"
        with file.open("w") as lines:
            for i, (a, b) in enumerate(rewards):
                better, worse = ("a", "b") if (a > b) == (i >= n_wrong) else ("b", "a")
                lines.write(json.dumps({"prompt": f"Q {i}?", "better": better, "worse": worse}) + "\n")
        given = ("--comparisons", str(file), "--all", "--probe-on", "none")
        return _run("pm", "measure", str(model), *given, *more)

    assert measure(8) == 0
    assert read_scale(model) is None
    assert measure(0, "--keep") == 3  # never wrong: no finite temperature is best
    assert "no temperature to keep" in capsys.readouterr().err
    assert read_scale(model) is None
    assert measure(8, "--keep") == 0
    kept = read_scale(model)
    assert kept is not None
    assert kept.temperature is not None
    assert (kept.n_temperature, kept.n, kept.ending) == (40, 80, "template")
    again = PreferenceModel.load(model)
    assert [again.score(pair) for pair in asked] == rewards
    assert measure(8, "--keep", "--prefix", "truthful") == 3


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["pm", "measure", "{model}"], 2, "nothing to measure with"),
        (["pm", "measure", "nowhere", "--comparisons", "audit"], 3, "no preference model"),
        (["pm", "measure", "{model}", "--comparisons", "nowhere.jsonl"], 3, "nowhere.jsonl"),
        (["pm", "measure", "{model}", "--comparisons", "audit", "--prefix", "trutful"], 3, "truthful"),
        (["pm", "measure", "{model}", "--comparisons", "audit", "--probe-on", "mars"], 2, "mars"),
        (["serve", "reward", "{model}", "--host", "0.0.0.0"], 2, "no key"),
        (["serve", "reward", "{model}", "--key-env", "PUBLIUS_NO_SUCH_KEY"], 2, "PUBLIUS_NO_SUCH_KEY"),
        (["serve", "reward", "{model}", "--port", "70000"], 2, "70000"),
        (["serve", "reward", "nowhere", "--port", "0"], 3, "no preference model"),
    ],
)
def test_wrong_commands_are_refused_in_a_line(
    arguments: list[str], code: int, said: str, tiny_pm_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(*(part.replace("{model}", str(tiny_pm_dir)) for part in arguments)) == code
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
