"""The pipeline: which stages there are, in what order, and how a recipe runs them.

Read `stages.py` first. A recipe (TOML) becomes a `Recipe`; the runner does what is missing in the run
directory and writes manifests; `status.py` reads them back.

Papers: arXiv:2212.08073, figure 1; arXiv:2310.13798, §2.
"""
