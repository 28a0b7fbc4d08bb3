"""What low-rank training changes of a model."""

from typing import Any


def assert_low_rank(start: Any, trained: Any, *, rank: int) -> None:
    """All linear layers have moved, by matrices of at most `rank`, and nothing else has."""
    import torch

    before = dict(start.named_parameters())
    for name, after in trained.named_parameters():
        is_linear = name.endswith("_proj.weight")
        assert torch.equal(after, before[name]) is not is_linear, name
        if is_linear:
            assert torch.linalg.matrix_rank(after - before[name], rtol=1e-3) <= rank, name
