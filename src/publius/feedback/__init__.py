"""Feedback: two answers a prompt, an AI's soft label under a principle, and an audit of the labeller.

Paper: Bai et al. 2022, arXiv:2212.08073, §4.1; arXiv:2310.13798, §2.2–2.3.
Reads prompts, revision chains and a policy; writes `preferences.jsonl` (asked labels and labels by
construction) and `audit.json` (how well the feedback model agrees with people).
"""
