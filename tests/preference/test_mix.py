"""Which comparisons are trained on, how often, with which labels and weights."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publius.errors import DataError
from publius.preference.config import LossWeights, Mix, PMSettings, check_mix
from publius.preference.mix import SetCount, mix_rows
from publius.preference.rows import PMRow
from publius.records import ORIGINS, Origin
from publius.training.lora import Lora


def _rows(origin: Origin, n: int, *, prob_a: float = 0.7, constitution: str | None = None) -> list[PMRow]:
    return [PMRow([i], [1], [2], prob_a, origin, f"{origin}{i}", constitution) for i in range(n)]


def test_without_proportions_every_row_comes_once() -> None:
    rows = [*_rows("human", 3), *_rows("asked", 5)]
    mixture = mix_rows(rows, PMSettings(), seed=1)
    assert sorted(mixture.rows) == sorted(rows)
    assert mixture.sets == (SetCount("asked", 5, 0, 5), SetCount("human", 3, 0, 3))


def test_proportions_draw_and_repeat_at_the_same_number_of_rows() -> None:
    rows = [*_rows("asked", 30), *_rows("construction", 10), *_rows("human", 5)]
    settings = PMSettings(mix=Mix(asked=1, construction=0.5, human=1))
    mixture = mix_rows(rows, settings, seed=1)
    # 45 rows in the proportion 2 : 1 : 2
    assert [(item.origin, item.n_given, item.n_used) for item in mixture.sets] == [
        ("asked", 30, 18),
        ("construction", 10, 9),
        ("human", 5, 18),
    ]
    times = Counter(row.prompt_id for row in mixture.rows)
    assert {times[row.prompt_id] for row in rows if row.origin == "human"} == {3, 4}
    assert {n for prompt, n in times.items() if not prompt.startswith("human")} == {1}


@given(st.tuples(*[st.integers(1, 40)] * 3), st.tuples(*[st.integers(0, 4)] * 3), st.integers(0, 9))
def test_a_mixture_is_the_seed_s_and_has_its_proportions(
    sizes: tuple[int, ...], shares: tuple[int, ...], seed: int
) -> None:
    rows = [row for origin, n in zip(ORIGINS, sizes, strict=True) for row in _rows(origin, n)]
    settings = PMSettings(mix=Mix(*shares))
    mixture = mix_rows(rows, settings, seed=seed)
    assert mixture == mix_rows(rows, settings, seed=seed)
    assert len(mixture.rows) == sum(item.n_used for item in mixture.sets)
    if any(shares):
        total = sum(n for n, share in zip(sizes, shares, strict=True) if share)
        for item, share in zip(mixture.sets, shares, strict=True):
            assert abs(item.n_used - total * share / sum(shares)) <= 0.5


@pytest.mark.parametrize("prob_a", [0.5, 0.5 + 2**-53, 0.5 - 2**-54])
def test_a_tie_takes_no_side_by_rounding(prob_a: float) -> None:
    rows = [*_rows("asked", 3), *_rows("asked", 2, prob_a=prob_a)]
    mixture = mix_rows(rows, PMSettings(labels="hard"), seed=0)
    assert mixture.sets == (SetCount("asked", 5, 2, 3),)


def test_a_set_that_is_not_there_is_refused() -> None:
    with pytest.raises(DataError, match="asks for human comparisons") as caught:
        mix_rows(_rows("asked", 3), PMSettings(mix=Mix(asked=1, human=1)), seed=0)
    assert caught.value.where == "pm.mix.human"
    check_mix(Mix(asked=1), given=("asked",))
    check_mix(Mix(), given=())


def test_hard_labels_take_a_side_and_leave_ties_out() -> None:
    rows = [
        *_rows("asked", 1, prob_a=0.51),
        *_rows("asked", 2, prob_a=0.5),
        *_rows("asked", 1, prob_a=0.2),
    ]
    hard = mix_rows(rows, PMSettings(labels="hard"), seed=0)
    assert sorted(row.prob_a for row in hard.rows) == [0.0, 1.0]
    assert hard.sets == (SetCount("asked", 4, 2, 2),)
    soft = mix_rows(rows, PMSettings(), seed=0)
    assert sorted(row.prob_a for row in soft.rows) == [0.2, 0.5, 0.5, 0.51]
    assert soft.sets == (SetCount("asked", 4, 2, 4),)


def test_only_ties_leave_no_set_to_mix() -> None:
    rows = [*_rows("asked", 2, prob_a=0.5), *_rows("human", 2, prob_a=1.0)]
    with pytest.raises(DataError, match="asks for asked comparisons"):
        mix_rows(rows, PMSettings(labels="hard", mix=Mix(asked=1, human=1)), seed=0)


def test_weights_are_those_of_origin_and_objective() -> None:
    settings = PMSettings(
        loss_weights=LossWeights(asked=2.0, human=0.5, helpfulness=3.0),
        objectives={"sha256:1": "harmlessness", "sha256:2": "helpfulness"},
    )
    rows = [
        *_rows("asked", 1, constitution="sha256:1"),
        *_rows("asked", 1, constitution="sha256:2"),
        *_rows("human", 1),
    ]
    found = mix_rows(rows, settings, seed=0).rows
    assert [(row.constitution_hash, row.weight) for row in found] == [
        ("sha256:1", 2.0),
        ("sha256:2", 6.0),
        (None, 0.5),
    ]


@pytest.mark.parametrize(
    "refused",
    [
        lambda: Mix(asked=-1),
        lambda: LossWeights(human=float("nan")),
        lambda: Lora(rank=-1),
        lambda: PMSettings(centring=-0.01),
        lambda: PMSettings(max_length=4096, tokens_in_memory=1000),
    ],
)
def test_settings_that_cannot_be_are_refused(refused: object) -> None:
    with pytest.raises(DataError):
        refused()
