"""The page of a frontier: every judge's chart and table, what is missing said, all text and nothing run."""

from dataclasses import replace

import pytest

from publius.cli.frontier import report_text
from publius.records import decode, encode
from publius.report import ReportData
from publius.report.frontier_page import FrontierReport, FrontierRow, JudgedFrontier, render_frontier
from publius.stats.intervals import Estimate

from .test_page import Page, check_self_contained

EVIL = "\"'><img src=http://evil.example/x onerror=alert(1)></style></svg>&lt;\u202e\x1b\u200b"
FILES = {"answers.jsonl", "games.jsonl", "frontier.json"}


def of(value: float) -> Estimate:
    return Estimate(value, value - 0.1, value + 0.1, n=40, level=0.95)


@pytest.fixture
def frontier(report: ReportData) -> FrontierReport:
    """Two judges, one of which paid a policy and could not place another."""
    assert report.pareto is not None
    names = [one.model for one in report.pareto.points]
    rows = tuple(FrontierRow(name, of(12.0), of(0.3), of(-4.0), of(0.2), True, 0.8) for name in names)
    lost = replace(rows[0], harmlessness=None, is_on_frontier=None, frontier_share=None)
    first = JudgedFrontier("runs/a", rows, report.pareto, report.elo[:1], paid=(names[0],), akin=(names[1],))
    second = JudgedFrontier("runs/b", (lost, *rows[1:]), None, (), notes=("harmlessness not rated.",))
    return FrontierReport({name: f"{name}/model" for name in names}, (first, second), 3, n_failed_answers=2)


def test_the_page_shows_every_judge_and_what_is_missing(frontier: FrontierReport) -> None:
    page = Page(render_frontier(decode(FrontierReport, encode(frontier))))
    check_self_contained(page, files=FILES)
    text = page.text()
    assert "On the frontier by runs/a: " in text
    assert "By runs/b the frontier was not measured." in text
    assert "yes, 80% of draws" in text
    assert "By runs/b: harmlessness not rated." in text
    assert "2 answers failed" in text
    assert f"runs/a was the reward that trained {frontier.judges[0].paid[0]}" in text
    assert f"runs/a comes from the run that trained {frontier.judges[0].akin[0]}" in text
    assert {"pareto-1", "judge-1", "judge-2"} <= set(page.values("id"))
    assert render_frontier(frontier) == render_frontier(frontier)


def test_the_terminal_says_what_could_not_be_measured(frontier: FrontierReport) -> None:
    lines = report_text(frontier).splitlines()
    second = lines[next(i for i, line in enumerate(lines) if line.startswith("by runs/b")) :]
    assert second[2].split()[1:3] == ["not", "measured"]
    assert second[2].endswith("not measured")


def test_a_judge_that_likes_declining_everything_is_no_judge_of_help(frontier: FrontierReport) -> None:
    first = frontier.judges[0]

    def page(low: float, high: float) -> str:
        judged = replace(first, prefers_refusal=Estimate(low, low, high, 40, 0.95))
        return Page(render_frontier(replace(frontier, judges=(judged,)))).text()

    assert "By runs/a one refusal of everything beats the start's answer" in page(0.8, 0.9)
    assert "so it pays for declining" in page(0.8, 0.9)
    assert "is not shown to tell help from declining" in page(0.4, 0.6)
    assert "one refusal of everything" not in page(0.1, 0.3)


def test_hostile_names_stay_text(frontier: FrontierReport) -> None:
    first = frontier.judges[0]
    rows = tuple(replace(row, policy=EVIL) for row in first.rows)
    evil = replace(first, judge=EVIL, rows=rows, paid=(EVIL,), notes=(EVIL,))
    page = Page(render_frontier(replace(frontier, policies={EVIL: EVIL}, judges=(evil,))))
    check_self_contained(page, files=FILES)
    assert "⟨U+202E⟩" in page.text()
