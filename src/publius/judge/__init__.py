"""The one way to ask a model "which answer is better?": prompts, both orders, readings, soft labels.

`feedback` labels with it, `evaluate` measures with it; so order bias, forged options and unreadable
answers are handled in one place.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1; arXiv:2310.13798, §2.2.
"""

from publius.judge.compare import (
    JudgeQuestion,
    Method,
    both_orders,
    judge_comparisons,
    judge_questions,
    prob_a,
    soft_label,
)
from publius.judge.prompts import GENERAL_QUESTION, pair_messages, parse_pair, point_messages

__all__ = [
    "GENERAL_QUESTION",
    "JudgeQuestion",
    "Method",
    "both_orders",
    "judge_comparisons",
    "judge_questions",
    "pair_messages",
    "parse_pair",
    "point_messages",
    "prob_a",
    "soft_label",
]
