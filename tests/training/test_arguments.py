"""How a step is dealt out to processes and micro-batches."""

import pytest

from publius.errors import DataError
from publius.training.arguments import Optimisation, Shares, shares_of


def test_more_processes_make_the_same_batch() -> None:
    step = Optimisation(1e-5, batch_size=32, micro_batch_size=4)
    for n_processes in (1, 2, 4, 8):
        shares = shares_of(step, n_processes=n_processes)
        assert shares.n_rows * shares.n_times * n_processes == 32
        assert shares.n_rows <= 4


def test_a_small_batch_is_one_micro_batch() -> None:
    assert shares_of(Optimisation(1e-5, batch_size=2, micro_batch_size=8), n_processes=1) == Shares(2, 1)


@pytest.mark.parametrize(("batch", "micro", "processes"), [(10, 8, 1), (2, 2, 4), (12, 4, 2)])
def test_uneven_shares_are_refused(batch: int, micro: int, processes: int) -> None:
    with pytest.raises(DataError, match="cannot be cut"):
        shares_of(Optimisation(1e-5, batch_size=batch, micro_batch_size=micro), n_processes=processes)
