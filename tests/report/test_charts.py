import math
import re
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from publius.errors import DataError
from publius.report import charts, svg
from publius.report.charts import DotRow, LineSeries, Reference
from publius.report.data import HistogramBin
from publius.stats.calibration import Bin
from publius.stats.intervals import Estimate
from publius.stats.pareto import ParetoPoint

from .planted import make_bins, make_ratings

FRAME = svg.Frame("one", "A title", "A description.", "across", "up", "n = 7")
FINITE = st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6)


def parse(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def of_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [node for node in root.iter() if name in node.get("class", "").split()]


def corners(node: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in node.attrib["points"].split())]


def words(root: ElementTree.Element) -> list[str]:
    return ["".join(node.itertext()) for node in root.iter("text")]


def is_linear(values: list[float], places: list[float]) -> bool:
    """Whether places are one linear map of values, to the two decimals of the picture."""
    low, high = values.index(min(values)), values.index(max(values))
    slope = (places[high] - places[low]) / (values[high] - values[low])
    return all(
        math.isclose(place, places[low] + slope * (value - values[low]), abs_tol=0.02)
        for value, place in zip(values, places, strict=True)
    )


def estimate(value: float, half: float = 1.0) -> Estimate:
    return Estimate(value, value - half, value + half, n=9, level=0.95)


@settings(deadline=None)
@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(3, 8))
def test_ticks_are_round_few_and_inside(low: float, width: float, n: int) -> None:
    high = low + width
    if high - low < 1e-9 * abs(low):
        return
    ticks = svg.nice_ticks(low, high, n)
    assert 1 <= len(ticks) <= 2 * n + 2
    slack = 1e-6 * width
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    assert all(a < b for a, b in pairwise(ticks))


def test_every_picture_speaks() -> None:
    root = parse(charts.histogram(FRAME, [HistogramBin(0, 1, 3)]))
    assert root.get("role") == "img"
    ids = root.attrib["aria-labelledby"].split()
    spoken = {node.get("id"): node.text for node in root if node.tag in ("title", "desc")}
    assert [spoken[id] for id in ids] == ["A title", "A description."]
    assert {"across", "up", "n = 7"} <= set(words(root))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), FINITE), min_size=2, max_size=30, unique_by=lambda p: p[0]))
def test_a_line_keeps_its_numbers(points: list[tuple[int, float]]) -> None:
    points.sort()
    xs, ys = [float(x) for x, _ in points], [y for _, y in points]
    (line,) = of_class(parse(charts.line_chart(FRAME, [LineSeries("a", tuple(xs), tuple(ys))])), "series-1")
    drawn = corners(line)
    assert is_linear(xs, [x for x, _ in drawn])
    for (_, y1), (_, y2), before, after in zip(drawn, drawn[1:], ys, ys[1:], strict=False):
        assert (y1 >= y2) if after >= before else (y1 <= y2)


@pytest.mark.parametrize("gap", [None, math.nan, math.inf])
def test_a_gap_is_not_bridged(gap: float | None) -> None:
    series = LineSeries("a", (0.0, 1.0, 2.0, 3.0, 4.0), (1.0, 2.0, gap, 3.0, 4.0))
    lines = of_class(parse(charts.line_chart(FRAME, [series])), "series-1")
    assert [len(corners(line)) for line in lines] == [2, 2]


def test_a_lone_point_is_a_dot() -> None:
    root = parse(charts.line_chart(FRAME, [LineSeries("a", (5.0,), (1.0,))]))
    assert len(of_class(root, "dot")) == 1


def test_a_band_lies_around_its_line() -> None:
    series = LineSeries("a", (0.0, 1.0), (1.0, 2.0), (0.5, None))
    root = parse(charts.line_chart(FRAME, [series]))
    (band,), (line,) = of_class(root, "band"), of_class(root, "series-1")
    upper, narrow, _, lower = corners(band)
    assert upper[1] < corners(line)[0][1] < lower[1]
    assert narrow == corners(line)[1]


def test_two_lines_are_named_and_the_marker_too() -> None:
    lines = [LineSeries(name, (0.0, 9.0), (1.0, 2.0)) for name in ("first", "second")]
    root = parse(charts.line_chart(FRAME, lines, marker=Reference(8, "kept: 8")))
    assert {"first", "second", "kept: 8"} <= set(words(root))
    assert len(of_class(root, "series-2")) == 2  # the line, and its sample in the legend


def test_reliability_is_drawn_where_it_is() -> None:
    bins = make_bins()
    root = parse(charts.reliability_diagram(FRAME, bins))
    dots = of_class(root, "dot")
    assert is_linear([one.mean_prob for one in bins], [float(dot.attrib["cx"]) for dot in dots])
    assert is_linear([one.outcome.value for one in bins], [float(dot.attrib["cy"]) for dot in dots])
    heights = [float(bar.attrib["height"]) for bar in of_class(root, "count-bar")]
    assert is_linear([float(one.outcome.n) for one in bins], heights)


def test_bars_are_as_tall_as_their_counts() -> None:
    bins = [HistogramBin(i / 4, (i + 1) / 4, n) for i, n in enumerate((0, 3, 12, 6))]
    bars = of_class(parse(charts.histogram(FRAME, bins)), "bar")
    heights = [float(bar.attrib["height"]) for bar in bars]
    assert heights[0] == 0
    assert is_linear([0.0, 3.0, 12.0, 6.0], heights)


def test_dots_and_intervals_share_one_scale() -> None:
    rows = [DotRow(str(v), estimate(v, half)) for v, half in ((-40.0, 9.0), (5.0, 20.0), (90.0, 3.0))]
    root = parse(charts.dot_chart(FRAME, rows, unit="elo"))
    values: list[float] = []
    places: list[float] = []
    for row, dot, bar in zip(rows, of_class(root, "dot"), of_class(root, "interval"), strict=True):
        assert row.estimate
        values += [row.estimate.low, row.estimate.value, row.estimate.high]
        places += [float(bar.attrib["x1"]), float(dot.attrib["cx"]), float(bar.attrib["x2"])]
    assert is_linear(values, places)


def test_an_unmeasured_row_is_said_and_not_drawn() -> None:
    root = parse(charts.dot_chart(FRAME, [DotRow("a", estimate(1.0)), DotRow("b", None)], unit="number"))
    assert len(of_class(root, "dot")) == 1
    assert "not measured" in words(root)


def test_an_interval_without_end_gets_an_arrow_and_squeezes_nothing() -> None:
    rows = [DotRow(str(v), estimate(v, 10)) for v in (0.0, 20.0, 40.0)]
    rows.append(DotRow("never lost", Estimate(60, 30, 5000, n=9, level=0.95)))
    root = parse(charts.dot_chart(FRAME, rows, unit="elo"))
    assert len(of_class(root, "beyond")) == 1
    places = [float(dot.attrib["cx"]) for dot in of_class(root, "dot")]
    assert places[2] - places[0] > FRAME.width / 10
    assert all(float(bar.attrib["x2"]) <= FRAME.width for bar in of_class(root, "interval"))


def make_points() -> list[ParetoPoint]:
    helpful, harmless = make_ratings("helpfulness"), make_ratings("harmlessness")
    return [ParetoPoint(row.model, row.elo, harmless.of(row.model).elo) for row in helpful.ratings]


def test_scatter_points_lie_on_both_scales() -> None:
    points = make_points()
    root = parse(charts.scatter(FRAME, points))
    dots = of_class(root, "dot")
    assert is_linear([one.helpful.value for one in points], [float(dot.attrib["cx"]) for dot in dots])
    assert is_linear([one.harmless.value for one in points], [float(dot.attrib["cy"]) for dot in dots])
    names = {"".join(node.itertext()) for node in of_class(root, "name")}
    assert names == {one.model for one in points}


POINTS = st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=1, max_size=8)


@settings(deadline=None)
@given(POINTS)
def test_the_frontier_is_what_nothing_beats(places: list[tuple[int, int]]) -> None:
    points = [ParetoPoint(str(i), estimate(x), estimate(y)) for i, (x, y) in enumerate(places)]
    best = charts.frontier(points)
    assert best

    def beaten(one: ParetoPoint) -> bool:
        x, y = one.helpful.value, one.harmless.value
        return any(a >= x and b >= y and (a, b) != (x, y) for a, b in places)

    assert {one.model for one in best} == {one.model for one in points if not beaten(one)}
    assert all(a.helpful.value <= b.helpful.value for a, b in pairwise(best))
    assert all(a.harmless.value >= b.harmless.value for a, b in pairwise(best))


def test_labels_keep_clear_of_each_other() -> None:
    marks = [(100.0, 100.0, "first name"), (104.0, 102.0, "second name"), (108.0, 98.0, "third name")]
    boxes = svg.place_labels(marks, inside=svg.Box(0, 0, 340, 300), taken=[])
    assert all(one.overlap(other) == 0 for one, other in combinations(boxes, 2))
    assert boxes == svg.place_labels(marks, inside=svg.Box(0, 0, 340, 300), taken=[])


@settings(deadline=None)
@given(st.lists(st.tuples(FINITE, st.floats(0, 1e5)), min_size=1, max_size=9))
def test_no_picture_has_a_number_that_is_none(rows: list[tuple[float, float]]) -> None:
    estimates = [estimate(value, half) for value, half in rows]
    pictures = [
        charts.dot_chart(FRAME, [DotRow("x", one) for one in estimates], unit="number"),
        charts.scatter(FRAME, [ParetoPoint("x", one, one) for one in estimates]),
        charts.line_chart(
            FRAME, [LineSeries("x", tuple(map(float, range(len(rows)))), tuple(v for v, _ in rows))]
        ),
    ]
    for picture in pictures:
        parse(picture)
        assert not re.search(r'"[^"]*\b(nan|inf)\b[^"]*"', picture)


def test_hostile_names_are_text() -> None:
    name = "</text><script>\u202e\"'&"
    root = parse(charts.dot_chart(FRAME, [DotRow(name, estimate(1.0))], unit="number"))
    assert not list(root.iter("script"))
    assert "</text><script>⟨U+202E⟩\"'&: 1.0 (95% interval" in "".join(root.itertext())


@pytest.mark.parametrize(
    "draw",
    [
        lambda: charts.line_chart(FRAME, [LineSeries("a", (0.0,), (None,))]),
        lambda: charts.reliability_diagram(FRAME, []),
        lambda: charts.reliability_diagram(FRAME, [Bin(0, 1, math.nan, estimate(0.5, 0.1))]),
        lambda: charts.histogram(FRAME, [HistogramBin(0, 1, 0)]),
        lambda: charts.dot_chart(FRAME, [DotRow("a", None)], unit="share"),
        lambda: charts.scatter(FRAME, []),
    ],
)
def test_nothing_to_draw_is_an_error_and_not_an_empty_picture(draw: object) -> None:
    with pytest.raises(DataError, match="A title"):
        draw()
