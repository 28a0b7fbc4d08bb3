"""Evaluate: the same held-out prompts to every policy, judged pairwise in both orders, rated as Elo.

Paper: Bai et al. 2022, arXiv:2212.08073, §1.2 and figures 2, 3 (helpfulness and harmlessness Elo).
Reads prompts, policies, a judge and a preference model; writes `answers.jsonl`, `games.jsonl` and the
rating tables.
"""
