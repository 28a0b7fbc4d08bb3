"""Constitutions: principles as a file that people can read, and everything done with the text alone.

    load_constitution("hhh" | "rules.toml" | "rules.md")   → Constitution
    draw_principle(constitution, seed=…)                    → Principle, by weight
    lint.lint(constitution) · diff.diff(old, new) · show.show(constitution) · formats.load_released(folder)

`principle` holds the nouns, `derive` the templates of forms that were not written, `toml_format` and
`markdown_format` the files, `formats` the layout of paper B's released prompts. Shipped constitutions
are TOML files in `library/`.

Papers: Bai et al. 2022, arXiv:2212.08073; arXiv:2310.13798.
"""

from publius.constitution.load import load_constitution, shipped
from publius.constitution.principle import FORMS, Constitution, Form, Principle
from publius.constitution.sample import draw_principle, draw_principles, share_principles

__all__ = [
    "FORMS",
    "Constitution",
    "Form",
    "Principle",
    "draw_principle",
    "draw_principles",
    "load_constitution",
    "share_principles",
    "shipped",
]
