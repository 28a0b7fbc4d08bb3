from dataclasses import replace

import pytest

from publius.report import ReportData

from .planted import make_report


@pytest.fixture(scope="session")
def report() -> ReportData:
    return make_report()


@pytest.fixture(scope="session")
def bare(report: ReportData) -> ReportData:
    """A run in which nothing but the start happened."""
    return replace(
        report,
        conclusions=(),
        caveats=(),
        models=(),
        stages=(),
        versions=(),
        peak_memory=None,
        constitution=None,
        revision=None,
        labels=(),
        pm=None,
        rl=None,
        pareto=None,
        elo=(),
        agreement=(),
        measurements=(),
        samples=(),
    )
