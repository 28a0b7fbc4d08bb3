"""Write the forms of a principle that its author left out, from its statement and a template shown here.

A stage needs a critique request, a revision request or a comparison question. A lawyer writes the
statement; these three templates do the rest, and every display marks a derived form as derived.

Paper: Bai et al. 2022, arXiv:2212.08073, §3.1 (critique and revision requests) and §4.1 (comparison
questions), whose authors wrote each form by hand. Departures: one template for all principles, in our
own words; the critique request allows the answer "nothing", so that a good draft is left alone; the
revision request does not mention the critique, so that it also serves direct revision.
"""

CRITIQUE_TEMPLATE = (
    "Hold the assistant's last response against this principle: “{statement}” "
    "Point to each place where the response goes against it, and say why. "
    "If there is none, say that there is none."
)
REVISION_TEMPLATE = (
    "Rewrite the assistant's last response so that it follows this principle: “{statement}” "
    "Keep everything in it that already helps the person, and give the new response only."
)
COMPARISON_TEMPLATE = "Which of these responses follows this principle better? “{statement}”"


def derive_critique(statement: str) -> str:
    """Return the critique request for a statement.

    >>> derive_critique("The assistant should be kind.")[:75]
    "Hold the assistant's last response against this principle: “The assistant s"
    """
    return CRITIQUE_TEMPLATE.replace("{statement}", statement)


def derive_revision(statement: str) -> str:
    """Return the revision request for a statement.

    >>> derive_revision("The assistant should be kind.")[:31]
    "Rewrite the assistant's last re"
    """
    return REVISION_TEMPLATE.replace("{statement}", statement)


def derive_comparison(statement: str) -> str:
    """Return the comparison question for a statement.

    >>> derive_comparison("The assistant should be kind.")
    'Which of these responses follows this principle better? “The assistant should be kind.”'
    """
    return COMPARISON_TEMPLATE.replace("{statement}", statement)
