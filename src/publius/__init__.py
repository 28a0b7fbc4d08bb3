"""Publius applies a written constitution to a language model: draft, critique, revise, label, train, measure.

Read `publius.pipeline.stages` first: it lists the stages in order. `publius.records` holds the nouns.

Papers: Bai et al. 2022 (arXiv:2212.08073); Kundu et al. 2023 (arXiv:2310.13798).
"""

__version__ = "0.1.0"
