"""The page of an audit: self-contained, nothing that others wrote becomes markup, no number invented."""

import re
from dataclasses import replace

import pytest

from publius.records import decode, encode
from publius.report import render_audit
from publius.report.audit_figures import MOST_PRINCIPLES, audit_sentence
from publius.report.dots import MOST_ROWS
from publius.stats.audit import Audit, AuditReport, LengthFigures

from .planted import make_audit, make_label_audit, make_panel, share
from .test_page import TAGS, Page, check_self_contained, poisoned

EVIL = "\"'><img src=http://evil.example/x onerror=alert(1)></style></svg>&lt;\u202e\x1b\u200b"


def make_audits(*judges: str) -> AuditReport:
    audits = tuple(make_audit(judge) for judge in judges)
    audits = (replace(audits[0], labels=make_label_audit()), *audits[1:])
    panel = make_panel(judges) if len(judges) > 1 else None
    return AuditReport("audit", 440, audits, panel, {"an answer is empty": 3})


@pytest.fixture(scope="module")
def report() -> AuditReport:
    return make_audits("Qwen2.5-Coder-1.5B-Instruct", "SmolLM2-135M-Instruct", "a third")


@pytest.fixture(scope="module")
def html(report: AuditReport) -> str:
    return render_audit(report)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_page_is_well_formed_and_loads_nothing(html: str, page: Page) -> None:
    check_self_contained(page)
    assert "http:" not in html
    assert "https:" not in html


def test_the_page_says_what_was_found_of_every_judge(page: Page, report: AuditReport) -> None:
    text = page.text().replace("\u00a0", " ")
    for audit in report.audits:
        assert audit_sentence(audit).replace("\u00a0", " ") in text
    assert "60% (95% interval 55 to 64, n = 438)" in text
    assert "0.31 (95% interval 0.27 to 0.35, n = 438); P(A | A first) − P(A | B first)" in text
    assert "these 3 judges are worth 1.7 independent ones" in text
    assert "label mass … is under … 3" in text
    assert "model: it said <nothing> 1" in text
    assert "3 (an answer is empty)" in text
    assert "Clamped to 0.4 from below 27%" in text
    assert "Expected calibration error 0.08" in text
    assert "Brier score not measured" in text
    assert "Use of the 4 principles" in text
    assert "kappa" in text


def test_every_figure_has_n_interval_and_numbers(page: Page) -> None:
    figures = [attrs["id"] for tag, attrs in page.elements if tag == "figure"]
    assert figures[:2] == ["order", "agreement"]
    assert {"judge-1-accuracy", "judge-3-calibration", "labels-1-principles", "labels-1-among"} <= set(
        figures
    )
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


def test_hostile_text_stays_text(report: AuditReport) -> None:
    seen: list[str] = []
    bad = poisoned(report, AuditReport, seen)
    audits = tuple(
        replace(one, unparsed={EVIL: 2}, form={EVIL: EVIL}, by_kind={EVIL: share(3, 4)}) for one in bad.audits
    )
    html = render_audit(replace(bad, audits=audits, left_out={EVIL: 1}))
    evil = Page(html)
    assert {tag for tag, _ in evil.elements} <= TAGS
    assert not {name for _, attrs in evil.elements for name in attrs} & {"src", "onerror"}
    assert not re.findall("[\u202e\x1b\u200b]", html)
    assert "⟨U+202E⟩" in evil.text()
    html.encode("utf-8")


def test_one_judge_of_whom_nothing_was_read(report: AuditReport) -> None:
    empty = replace(
        make_audit("mute"),
        n=0,
        accuracy=None,
        one_order=None,
        share_first=None,
        position_bias=None,
        order_consistency=None,
        label_mass=None,
        clamp=None,
        by_kind={},
        length=LengthFigures(None, None, None, {}),
        calibration=None,
        finding="unread",
        trusted=False,
    )
    text = Page(render_audit(AuditReport("audit", 440, (empty,)))).text()
    assert "How far people agree with mute is not known: no vote could be read." in text
    assert "Nothing could be measured." in text
    assert "The effect of the order was not measured." in text
    assert "Same answer in both orders not measured" in text
    assert not re.search(r"\b0(\.0+)?%", text)
    assert "No judge was audited." in Page(render_audit(AuditReport("none", 0, ()))).text()


@pytest.mark.parametrize(
    ("finding", "said"),
    [
        ("trusted", "better than chance"),
        ("chance", "its labels show nothing"),
        ("inverted", "its labels are inverted"),
    ],
)
def test_the_verdict_is_said_in_words(finding: str, said: str) -> None:
    audit = decode(Audit, encode(make_audit()) | {"finding": finding})
    assert said in audit_sentence(audit)


def test_a_thousand_principles_stay_a_page(report: AuditReport) -> None:
    first = make_label_audit().principles[0]
    many = tuple(replace(first, principle_id=f"principle-{i}") for i in range(1_000))
    panel = make_panel(tuple(f"principle-{i}" for i in range(12)))
    labels = replace(make_label_audit(), principles=many, among_principles=panel)
    html = render_audit(replace(report, audits=(replace(report.audits[0], labels=labels),)))
    assert len(html.encode()) < 1_500_000
    assert f"{1_000 - MOST_PRINCIPLES} further principles" in html
    assert f"{66 - MOST_ROWS} further rows are in the table only" in html


def test_the_same_audit_gives_the_same_page(report: AuditReport, html: str) -> None:
    assert render_audit(report) == html
    assert render_audit(decode(AuditReport, encode(report))) == html
