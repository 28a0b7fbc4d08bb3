"""The page of principle effects: what was found and what was not, every number with its records, all text."""

import json
import re
from dataclasses import replace

import pytest

from publius.cli.effects import report_text
from publius.records import decode, encode
from publius.report import render_effects
from publius.report.effects_page import MOST_PAIRS
from publius.stats.effects import (
    AxisEffect,
    EffectsReport,
    PrincipleEffect,
    PrincipleEffects,
    PrinciplePair,
    RetrainedEffect,
    Retraining,
    Tally,
)
from publius.stats.intervals import Estimate

from .test_page import Page, check_self_contained

EVIL = "\"'><img src=http://evil.example/x onerror=alert(1)></style></svg>&lt;\u202e\x1b\u200b"
WORDS = (
    "be-helpful",
    "no-violence",
    "mine",
    "runs/",
    "sha256",
    "Qwen",
    "harmlessness",
    "label mass",
    "should",
)
RECORDS = {"effects.json", "votes.jsonl", "verdicts.json"}
REWARDS = {f"rewards/{name}.json" for name in ("all", "all-again", "without-2")}
FILES = RECORDS | REWARDS
HARM, HELP = (12.0, 8.0, 16.0), (-5.0, -8.0, -2.0)


def of(value: float, low: float, high: float, n: int = 40) -> Estimate:
    return Estimate(value, low, high, n=n, level=0.95)


def effect(
    id: str, harm: tuple[float, float, float], help: tuple[float, float, float], against: tuple[str, ...] = ()
) -> PrincipleEffect:
    axes = (
        AxisEffect("harmlessness", of(*harm), of(*harm)),
        AxisEffect("helpfulness", of(*help), None),
    )
    return PrincipleEffect(id, 58, 2, of(0.11, 0.08, 0.14), of(0.2, 0.1, 0.3), axes, against, ())


def make_effects() -> EffectsReport:
    """Return effects of three principles: one moves both axes and pulls against another, one moves none."""
    principles = (
        effect("be-helpful", (-1, -4, 2), (3, -1, 7), ("no-violence",)),
        effect("no-violence", HARM, HELP, ("be-helpful",)),
        effect("be-clear", (0.5, -3, 4), (1, -2, 4)),
    )
    pairs = (
        PrinciplePair("be-helpful", "be-clear", of(0.7, 0.5, 0.8), of(0.4, 0.1, 0.6)),
        PrinciplePair("be-helpful", "no-violence", of(0.1, -0.2, 0.3), of(-0.6, -0.8, -0.3)),
        PrinciplePair("no-violence", "be-clear", of(0.2, -0.1, 0.4), None),
    )
    effects = PrincipleEffects(60, 40, principles, pairs, Tally(6, 2, 0.3), Tally(3, 1, 0.075))
    retrained = tuple(
        RetrainedEffect("no-violence", axis, of(*moved), of(*moved), of(*models), of(1, -2, 4), finding)
        for axis, moved, models, finding in (
            ("harmlessness", HARM, (10.0, 3.0, 17.0), "agree"),
            ("helpfulness", HELP, (-2.0, -9.0, 5.0), "undecided"),
        )
    )
    return EffectsReport(
        source="runs/demo",
        constitution="mine",
        constitution_hash="sha256:abc",
        labeller="Qwen2.5-Coder-1.5B-Instruct",
        judges={"harmlessness": "Qwen2.5-Coder-1.5B-Instruct", "helpfulness": "runs/human/pm"},
        own_judge=("harmlessness",),
        n_pairs=62,
        n_unread={"harmlessness": 0, "helpfulness": 4},
        n_unparsed=3,
        unparsed={"label mass 0.1 is under 0.5": 3},
        effects=effects,
        retraining=Retraining(
            44,
            18,
            1,
            30,
            of(0.6, 0.4, 0.8, 18),
            retrained,
            {"harmlessness": of(1, -4, 6), "helpfulness": None},
        ),
        statements={one.principle_id: f"The assistant should do {one.principle_id}." for one in principles},
    )


@pytest.fixture(scope="module")
def report() -> EffectsReport:
    return make_effects()


@pytest.fixture(scope="module")
def html(report: EffectsReport) -> str:
    return render_effects(report)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_page_loads_nothing_and_leads_to_its_records_only(html: str, page: Page) -> None:
    check_self_contained(page, files=FILES)
    assert set(page.values("href")) >= FILES
    assert "http:" not in html
    assert "https:" not in html


def test_the_page_says_what_was_found(page: Page) -> None:
    text = page.text().replace("\u00a0", " ")
    assert "2 of 6 intervals of effects exclude zero; 0.3 would by chance." in text
    assert (
        "Principle 2 (no-violence) moves harmlessness +12 points (+8 to +16) and helpfulness −5 points "
        "(−8 to −2), and pulls against 1 (be-helpful)." in text
    )
    assert "1 of 3 pairs of principles pull against each other; 0.075 would by chance." in text
    assert "The assistant should do no-violence." in text
    assert "Judge of harmlessness Qwen2.5-Coder-1.5B-Instruct, the labeller's own weights ;" in text
    assert "Judge of helpfulness runs/human/pm; 58 of 62 pairs have a verdict" in text
    assert "Prompts 40" in text
    assert "3; 3 (label mass 0.1 is under 0.5)" in text


def test_every_number_of_the_tables_leads_to_its_records(html: str) -> None:
    def row(start: str) -> str:
        [found] = re.findall(f"{start}(.*?)</tr>", html)
        return found

    # Elo is counted from the judge's verdicts, what the labels do from the votes
    moved = row('id="principle-2"><th scope="row">2 no-violence</th>')
    assert moved.startswith('<td class="number"><a href="verdicts.json">+12</a> (+8 to +16), n 40</td>')
    assert re.findall('href="([^"]*)">([^<]*)', moved) == [
        ("verdicts.json", "+12"),
        ("verdicts.json", "+12"),
        ("verdicts.json", "−5"),
        ("votes.jsonl", "0.11"),
        ("votes.jsonl", "20%"),
        ("votes.jsonl", "58"),
        ("votes.jsonl", "2"),
    ]
    opposed = row('<th scope="row">be-helpful / no-violence</th>(?=<td>)')
    assert opposed.startswith("<td>pull against each other</td>")
    assert '<a href="votes.jsonl">−0.60</a> (−0.80 to −0.30), n 40' in opposed
    # models are counted from the rewards that they gave
    trained = row("2 no-violence</th><td>harmlessness</td>")
    assert re.findall('href="([^"]*)"', trained) == ["verdicts.json"] * 2 + ["rewards/without-2.json"] * 2
    assert re.findall('href="([^"]*)"', row("another seed alone</th><td>harmlessness</td>")) == [
        "rewards/all-again.json"
    ]
    # the most opposed come first, whether or not there is something beyond the others
    rows = re.findall(r'<th scope="row">([^<]*) / ([^<]*)</th>', html)
    assert rows[-3:] == [
        ("be-helpful", "no-violence"),
        ("no-violence", "be-clear"),
        ("be-helpful", "be-clear"),
    ]
    # a number that was not measured is no link and no zero
    assert '<td class="number">–</td>' in html


def test_what_was_not_concluded_is_said(page: Page, report: EffectsReport) -> None:
    text = page.text()
    assert "Harmlessness is judged by the labeller's own weights" in text
    assert "4 of 62 pairs have no verdict on helpfulness" in text
    assert "harmlessness of principles 1, 3; helpfulness of principles 1, 3." in text
    assert "The effect of no-violence on helpfulness was not decided by retraining." in text
    assert "Nothing was trained" not in text
    agreement = " model of all principles agrees with the held-out labels on 60%"
    assert f"The{agreement} (40 to 80), n 18." in text
    assert f"the{agreement} (95% interval" in report_text(report).replace("\u00a0", " ")
    untrained = Page(render_effects(replace(report, retraining=None))).text()
    assert "Nothing was trained: that a model learns these effects is not shown." in untrained
    assert "--confirm K" in untrained


def test_a_single_principle_is_one(report: EffectsReport) -> None:
    assert report.effects
    two = replace(report.effects, principles=report.effects.principles[:2])
    text = Page(render_effects(replace(report, effects=two))).text()
    assert "Not decided, since the interval includes zero: harmlessness of principle 1;" in text


def test_both_figures_have_n_interval_a_zero_line_and_numbers(page: Page) -> None:
    figures = [attrs["id"] for tag, attrs in page.elements if tag == "figure"]
    assert figures == ["effects", "against"]
    captions = [
        data for path, data in page.texts if "figcaption" in path and path[-1] == "p" and data.strip()
    ]
    assert len(captions) == 2
    assert all("95% intervals" in caption and "n\u00a0=\u00a040" in caption for caption in captions)
    panels = [tag for tag, _ in page.elements].count("svg")
    assert [attrs.get("class") for _, attrs in page.elements].count("reference") == panels == 4


def test_hostile_text_stays_text(report: EffectsReport) -> None:
    told = json.dumps(encode(report))
    for word in WORDS:
        assert word in told
        told = told.replace(word, json.dumps(EVIL + word)[1:-1])
    html = render_effects(decode(EffectsReport, json.loads(told)))
    page = Page(html)
    check_self_contained(page, files=FILES)
    assert page.text().count("⟨U+202E⟩") > 20
    assert "⟨U+202E⟩" in page.text("title")
    assert not re.findall("[\u202e\x1b\u200b]", html)
    html.encode("utf-8")


def test_where_no_vote_could_be_read_there_is_no_number(report: EffectsReport) -> None:
    html = render_effects(replace(report, effects=None, retraining=None, statements={}))
    page = Page(html)
    assert "Effects were not measured: no vote could be read." in page.text()
    assert "What the principles move is not known." in page.text()
    assert "Prompts not measured" in page.text()
    assert "figure" not in {tag for tag, _ in page.elements}


def test_a_constitution_of_a_hundred_principles_stays_a_page(report: EffectsReport) -> None:
    assert report.effects
    pair = report.effects.pairs[1]
    pairs = tuple(replace(pair, left=f"p{i}", right=f"p{j}") for i in range(100) for j in range(i))
    principles = tuple(effect(f"p{i}", HARM, HELP) for i in range(100))
    many = replace(report.effects, principles=principles, pairs=pairs)
    html = render_effects(replace(report, effects=many, retraining=None))
    assert len(html.encode()) < 1_500_000
    assert f"{100 * 99 // 2 - MOST_PAIRS:,} further pairs, of which nothing was found, are in" in html


def test_a_pair_of_which_something_was_found_is_listed_however_many_others_there_are(
    report: EffectsReport,
) -> None:
    assert report.effects
    opposed = report.effects.pairs[1]
    pairs = [replace(opposed, left=f"p{i}", right=f"p{j}") for i in range(20) for j in range(i)]
    pairs[7] = replace(pairs[7], correlation=of(0.95, 0.92, 0.97), beyond=of(0.9, 0.8, 0.95))
    principles = [effect(f"p{i}", HARM, HELP) for i in range(20)]
    at = int(pairs[7].left[1:])
    principles[at] = replace(principles[at], repeats=(pairs[7].right,))
    many = replace(report.effects, principles=tuple(principles), pairs=tuple(pairs))
    html = render_effects(replace(report, effects=many, retraining=None))
    assert f"{pairs[7].left} / {pairs[7].right}</th><td>repeat</td>" in html
    assert html.count("</th><td></td>") == MOST_PAIRS - 1


def test_the_same_effects_give_the_same_page(report: EffectsReport, html: str) -> None:
    assert render_effects(decode(EffectsReport, encode(report))) == html
