"""Train the policy: imitate revisions (SFT), learn from preferences directly (DPO) or from rewards (RL).

Reads demonstrations, preferences, prompts and a reward function; writes model directories that
transformers and vLLM load. The libraries are imported when a function is called.

Paper: Bai et al. 2022, arXiv:2212.08073, §3 (SL-CAI) and §4 (RL-CAI). DPO (arXiv:2305.18290) is not in it:
it is the cheap road to the same place.
"""
