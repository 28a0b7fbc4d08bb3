"""The audit counts what it saw and trusts nothing that chance explains."""

import math

import pytest

from by_rule import run_by
from publius.engines.flow import RunFlows
from publius.engines.protocol import Choice, ChooseRequest, Failure
from publius.errors import JudgeNotTrusted
from publius.feedback.audit import audit_judge, draw_audit, require_trust
from publius.judge import parse_pair
from publius.sources import load_audit

AUDIT = load_audit("audit")
BETTER = {item.comparison.answer_a if item.prob_a == 1.0 else item.comparison.answer_b for item in AUDIT}


def judge(logit_of_better: float, logit_of_first: float) -> RunFlows:
    def choose(request: ChooseRequest) -> Choice:
        sign = 1 if parse_pair(request.messages).first in BETTER else -1
        margin = sign * logit_of_better + logit_of_first
        return Choice(request.id, (-math.log1p(math.exp(-margin)), -math.log1p(math.exp(margin))), 1)

    return run_by(choose)


def test_an_oracle_is_right_every_time_and_trusted() -> None:
    audit = audit_judge(AUDIT, judge(2.0, 0.0), judge="oracle")
    assert audit.accuracy is not None
    assert audit.accuracy.value == 1.0
    assert audit.share_first is not None
    assert audit.share_first.value == 0.5
    assert audit.order_consistency is not None
    assert audit.order_consistency.value == 1.0
    assert set(audit.by_kind) == {"harm", "honesty", "help", "evasion"}
    require_trust(audit)


def test_order_bias_is_shown_and_averaged_away() -> None:
    audit = audit_judge(AUDIT, judge(1.0, 3.0), judge="biased")
    assert audit.accuracy is not None
    assert audit.accuracy.value == 1.0
    assert audit.one_order is not None
    assert 0.3 < audit.one_order.value < 0.7
    assert audit.share_first is not None
    assert audit.share_first.value == 1.0
    assert audit.order_consistency is not None
    assert audit.order_consistency.value == 0.0


def test_a_judge_without_an_opinion_is_not_trusted() -> None:
    audit = audit_judge(AUDIT, judge(0.0, 3.0), judge="first")
    assert not audit.trusted
    with pytest.raises(JudgeNotTrusted, match="first") as caught:
        require_trust(audit)
    assert caught.value.exit_code == 3
    assert "train_on_chance" in (caught.value.todo or "")


def test_a_drawn_audit_is_part_of_a_larger_one() -> None:
    assert len(draw_audit(AUDIT, 0, seed=0)) == len(AUDIT)
    few, more = draw_audit(AUDIT, 10, seed=0), draw_audit(AUDIT, 40, seed=0)
    assert more[:10] == few
    assert draw_audit(AUDIT, 10, seed=1) != few


def test_a_judge_that_answers_nothing_has_no_accuracy() -> None:
    broken = run_by(lambda request: Failure(request.id, "model", "no"))
    audit = audit_judge(AUDIT, broken, judge="mute")
    assert (audit.n, audit.accuracy, audit.label_mass) == (0, None, None)
    assert audit.n_unparsed == 2 * len(AUDIT)
    with pytest.raises(JudgeNotTrusted, match="no readable answer"):
        require_trust(audit)
