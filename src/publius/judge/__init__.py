"""The one way to ask a model "A or B?": prompts, both orders, readings, soft labels.

`feedback` labels with it, `evaluate` measures with it; so order bias, forged options and unreadable
answers are handled in one place.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1; arXiv:2310.13798, §2.2.
"""

from publius.judge.compare import JudgeQuestion, both_orders, judge_comparisons, prob_a, soft_label
from publius.judge.prompts import SYSTEM, comparison_messages, parse_comparison, quote, unquote

__all__ = [
    "SYSTEM",
    "JudgeQuestion",
    "both_orders",
    "comparison_messages",
    "judge_comparisons",
    "parse_comparison",
    "prob_a",
    "quote",
    "soft_label",
    "unquote",
]
