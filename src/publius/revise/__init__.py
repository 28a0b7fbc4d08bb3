"""Revise: a policy drafts, a critic criticises each draft under a principle and rewrites it, n rounds.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.1 (steps 1–6 in `loop.py`).
Reads prompts and a constitution; writes `chains.jsonl` (every draft, critique and revision) and
`demonstrations.jsonl` (what the supervised stage learns from).
"""
