import math
import re
from collections.abc import Collection
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from publius.errors import DataError
from publius.records import conversation
from publius.report import PMSummary, ReportData, RLStep, RLSummary, render_report
from publius.stats.audit import LengthFigures
from publius.stats.intervals import Estimate
from publius.stats.ratings import EloTable, elo
from publius.stats.schedule import Game

from .planted import MODELS, STATEMENTS, make_chain, make_labels, make_pair, make_steps

VOID = {"meta", "link", "br", "hr", "img", "input"}
_KNOWN = """
    html head meta title link style body a div header p span h1 h2 h3 h4 time nav ol ul li main
    section figure svg desc g text line circle rect polyline polygon figcaption b details summary
    table thead tbody tr th td pre code dl dt dd cite article del ins i footer
"""
TAGS = set(_KNOWN.split())


class Page(HTMLParser):
    """A strict reader: every element is closed in order, and everything in it is remembered."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1:] == [tag], f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.texts.append((tuple(self.open), data))

    def text(self, inside: str = "body") -> str:
        return " ".join(" ".join(data for path, data in self.texts if inside in path).split())

    def values(self, name: str) -> list[str]:
        return [value for _, attrs in self.elements if (value := attrs.get(name)) is not None]


@pytest.fixture(scope="module")
def html(report: ReportData) -> str:
    return render_report(report)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def poisoned(value: Any, kind: Any, seen: list[str]) -> Any:
    """Return `value` with every free text replaced by a numbered attack; fixed words stay."""
    if get_origin(kind) is Literal:
        return value
    if isinstance(value, str):
        seen.append(f"attack{len(seen)}x")
        return f"\"'><img src=http://evil.example/{seen[-1]} onerror=alert(1)></style></svg>&lt;\u202e\x1b"
    if isinstance(value, tuple):
        inner = get_args(kind)[0]
        return tuple(poisoned(item, inner, seen) for item in value)
    if is_dataclass(value):
        hints = get_type_hints(type(value))
        return replace(
            value,
            **{
                field.name: poisoned(getattr(value, field.name), hints[field.name], seen)
                for field in fields(value)
            },
        )
    if get_origin(kind) in (Union, UnionType) and value is not None:
        return poisoned(value, next(arg for arg in get_args(kind) if arg is not type(None)), seen)
    return value


def check_self_contained(page: Page, *, files: Collection[str] = ()) -> None:
    """Check that a page is well formed, loads nothing, runs nothing, and leads only to itself and `files`."""
    assert {tag for tag, _ in page.elements} <= TAGS
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    hrefs = set(page.values("href")) - set(files) - {"data:,"}
    assert hrefs <= {f"#{id}" for id in ids}
    for label in page.values("aria-labelledby"):
        assert set(label.split()) <= set(ids)
    names = {name for _, attrs in page.elements for name in attrs}
    assert not names & {"src", "srcset", "action", "background", "poster", "data", "xlink:href"}
    assert not [name for name in names if name.startswith("on")]
    style = page.text("style")
    assert "url(" not in style
    assert "@import" not in style
    policy = [attrs["content"] for tag, attrs in page.elements if attrs.get("http-equiv")]
    assert policy
    assert "default-src 'none'" in str(policy[0])


def test_the_page_is_well_formed_asks_for_nothing_and_runs_nothing(page: Page, html: str) -> None:
    check_self_contained(page)
    assert "http:" not in html
    assert "https:" not in html


def test_hostile_text_in_every_field_stays_text(report: ReportData, page: Page) -> None:
    seen: list[str] = []
    bad = poisoned(report, ReportData, seen)
    assert len(seen) > 250
    html = render_report(bad)
    evil = Page(html)
    assert {tag for tag, _ in evil.elements} <= TAGS
    assert not {name for _, attrs in evil.elements for name in attrs} & {"src", "onerror"}
    (title,) = re.findall("<title>(.*): report of a run</title>", html)
    assert "<" not in title
    assert "\u202e" not in html
    assert "\x1b" not in html
    assert "⟨U+202E⟩" in html
    html.encode("utf-8")
    # all that the page shows of a healthy report it shows of this one, as text
    shown = {name for name in seen if name in evil.text() or name in evil.text("title")}
    for one in (bad.run, bad.command, bad.conclusions[0], bad.caveats[0], bad.models[0].revision):
        assert re.findall(r"attack\d+x", one)[0] in shown
    for one in bad.revision.examples[1].answers():
        assert re.findall(r"attack\d+x", one)[0] in shown
    assert len(shown) > 0.8 * len(seen)


def test_every_figure_has_n_interval_and_numbers(page: Page) -> None:
    figures = [attrs["id"] for tag, attrs in page.elements if tag == "figure"]
    parts = ["pareto", "audit-1", "soft-labels-1", "calibration", "tricks", "curves", "monitors"]
    assert figures == [*parts, "elo-1", "agreement-1", "measurements"]
    captions: list[str] = []
    for path, data in page.texts:
        if "figcaption" in path and path[-1] == "b":
            captions.append("")
        elif "figcaption" in path and captions:
            captions[-1] += data
    assert len(captions) == len(figures)
    for caption in captions:
        assert "interval" in caption, caption
        assert "n\u00a0=\u00a0" in caption, caption
    pictures = [
        data for path, data in page.texts if path[-1:] == ("text",) and data.startswith("n\u00a0=\u00a0")
    ]
    assert len(pictures) == [tag for tag, _ in page.elements].count("svg")
    assert [tag for tag, _ in page.elements].count("svg") >= 11
    tables = [path for path, data in page.texts if "figure" in path and path[-1:] == ("summary",)]
    assert len(tables) == len(figures)


def test_the_numbers_are_the_reports(page: Page, report: ReportData) -> None:
    text = page.text().replace("\u00a0", " ")
    for sentence in report.conclusions + report.caveats:
        assert sentence in text
    assert text.index(report.conclusions[0]) < text.index("publius run")
    assert "73% (95% interval 67 to 78, n = 248)" in text
    assert "Votes that could not be read 4 of 880" in text
    assert "22 November 2026, 16:02 UTC" in text
    assert "3.4 GB" in text
    assert report.constitution
    assert report.constitution.hash in text
    assert all(statement in text for statement in STATEMENTS.values())
    assert all(model in text for model in MODELS)


def test_a_part_that_was_not_run_is_said(bare: ReportData) -> None:
    page = Page(render_report(bare))
    text = page.text()
    for sentence in (
        "measured nothing from which a conclusion could be drawn",
        "No reservation was recorded.",
        "Helpfulness against harmlessness was not measured in this run.",
        "No model was used.",
        "This run used no constitution.",
        "No stage was run.",
        "Revision was not run.",
        "Labelling was not run.",
        "No preference model was trained.",
        "Reinforcement learning was not run.",
        "Elo was not measured.",
        "The answers' text was not measured.",
        "No sample answers are in this page.",
        "Peak memory not measured",
    ):
        assert sentence in text
    assert "figure" not in {tag for tag, _ in page.elements}
    assert not re.search(r"\b0(\.0+)?%", text)


def test_every_round_of_labels_is_shown_and_marked(report: ReportData, page: Page) -> None:
    second = replace(make_labels("label-2"), n_unread=7, examples=(make_pair("label-2", 1),))
    again = Page(render_report(replace(report, labels=(*report.labels, second))))
    check_self_contained(again)
    text = again.text()
    first, last = text.index("Round 1: label "), text.index("Round 2: label-2")
    assert first < text.index("4 without a readable vote") < last < text.index("7 without a readable vote")
    assert {"audit-1", "soft-labels-1", "audit-2", "soft-labels-2", "pair-2-1"} <= set(again.values("id"))
    assert "stages/label-2/audit.html" in text
    one_round = page.text()
    assert "Round 1" not in one_round
    assert (
        "A is better with a probability of 20%, by Qwen2.5-Coder-1.5B-Instruct under principle harm"
        in one_round
    )
    assert "A is better with a probability of 0%, by construction." in one_round
    assert "under 2 principles" in text[last:]
    asked = "asked from the feedback model, {} of 240 by construction (a revision over its draft); drawn with"
    assert f"2 of 196 {asked.format(1)} the run's seed" in text[first:last]
    assert f"1 of 196 {asked.format(0)} the run's seed" in text[last:]
    assert (
        "The feedback model was not audited."
        in Page(render_report(replace(report, labels=(replace(second, audit=None),)))).text()
    )


def test_pairs_that_are_too_long_to_show_are_counted(report: ReportData) -> None:
    (labels,) = report.labels
    pair = make_pair("label", 0)
    long = replace(pair, comparison=replace(pair.comparison, answer_a="&" * 20_000))
    text = Page(render_report(replace(report, labels=(replace(labels, examples=(long, pair)),)))).text()
    assert "Of these, 1 left out, to keep this page small." in text


def test_a_number_without_data_is_not_zero(report: ReportData) -> None:
    (labels,) = report.labels
    assert labels.audit
    audit = replace(
        labels.audit,
        accuracy=None,
        one_order=None,
        by_kind={},
        length=LengthFigures(None, None, None, {}),
        label_mass=Estimate(math.nan, 0, 1, 4, 0.95),
        finding="unread",
    )
    empty = replace(
        report,
        labels=(replace(labels, audit=audit),),
        pm=PMSummary(None, None, None, None, ()),
        rl=RLSummary("GRPO", 8, (RLStep(0, reward=1.0), RLStep(1, reward=1.5, kl=math.nan))),
        measurements=report.measurements[2:],
    )
    text = Page(render_report(empty)).text()
    assert "is not known: no vote could be read." in text
    assert "Agrees with people not measured" in text
    assert "Accuracy was not measured." in text
    assert "Probability on the two options not measured" in text
    assert "Brier score not measured" in text
    assert "Calibration was not measured." in text
    assert "Not measured: KL to the start (nats), Length (tokens)." in text
    assert "The answers' text was not measured." in text


def test_a_model_that_always_wins_is_explained(report: ReportData) -> None:
    pairs = [(a, b) for i, a in enumerate(MODELS) for b in MODELS[i + 1 :]]
    games = [
        Game(a, b, 0.0 if b == MODELS[-1] else float(prompt % 2), f"p{prompt}")
        for prompt in range(12)
        for a, b in pairs
    ]
    ratings = elo(games, anchor=MODELS[0], n_resamples=200, seed=0)
    assert ratings.regularised
    text = Page(render_report(replace(report, elo=(EloTable("harmlessness", "a judge", ratings),)))).text()
    assert f"On harmlessness ({MODELS[-1]}) the models named won or lost every time" in text


def test_a_long_training_is_thinned_and_said_so(report: ReportData) -> None:
    html = render_report(replace(report, rl=RLSummary("GRPO", 8, make_steps(5_000))))
    assert "Drawn and listed are 200 of the steps, evenly spaced." in html
    assert '<th scope="row">4,999</th>' in html


def test_blank_lines_of_an_answer_survive(report: ReportData) -> None:
    sample = replace(report.samples[0], messages=conversation(("user", "one\n\n\ntwo")))
    assert "one\n\n\ntwo" in render_report(replace(report, samples=(sample,)))


def test_an_empty_answer_is_said_to_be_empty(report: ReportData) -> None:
    (first, *_) = report.samples
    sample = replace(first, answers=tuple(replace(answer, text="") for answer in first.answers))
    assert render_report(replace(report, samples=(sample,))).count("(empty)") == len(first.answers)


def test_a_hundred_examples_stay_small(report: ReportData) -> None:
    assert report.revision
    chains = tuple(
        replace(chain, draft=chain.draft * 6, revisions=(replace(chain.revisions[0], text=chain.draft * 5),))
        for chain in (make_chain(index) for index in range(100))
    )
    html = render_report(replace(report, revision=replace(report.revision, examples=chains)))
    assert html.count('class="chain"') == 100
    assert len(html.encode()) <= 1_500_000


def test_hostile_size_stays_small(report: ReportData) -> None:
    assert report.revision
    chain = make_chain(0)
    big = replace(chain, draft="<\u200b" * 50_000)
    samples = tuple(
        replace(one, answers=tuple(replace(a, text="&\u202e" * 50_000) for a in one.answers))
        for one in report.samples
    )
    html = render_report(
        replace(report, samples=samples, revision=replace(report.revision, examples=(big, chain)))
    )
    assert len(html.encode()) <= 1_500_000
    assert "1 further examples are not in this page" in html


def test_the_same_data_give_the_same_page(report: ReportData, html: str) -> None:
    assert render_report(report) == html


def test_times_are_shown_in_utc(report: ReportData) -> None:
    moment = datetime(2026, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=5)))
    assert "31 December 2025, 20:30 UTC" in render_report(replace(report, created=moment))


def test_a_time_without_a_zone_is_refused(report: ReportData) -> None:
    with pytest.raises(DataError, match="no time zone"):
        replace(report, created=datetime(2026, 1, 1))  # noqa: DTZ001  the case under test
