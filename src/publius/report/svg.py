"""The parts that every chart shares: scales, ticks, axes, text, and labels that do not overlap.

Pictures are SVG text. Colours and fonts are CSS classes of the page, so dark mode and print need no
second picture; every text is escaped; every picture has a title and a description that a screen
reader speaks. Lengths are in the units of the view box, one CSS pixel where the picture has room.

Paper: none.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from markupsafe import escape

from publius.report.data import Unit
from publius.report.text import visible

CHAR_WIDTH = 7.0  # of 12-pixel text; system sans faces lie between 5.6 (Segoe) and 7.2 (DejaVu)


@dataclass(frozen=True, slots=True)
class Frame:
    """What a picture is called and how large it is; `n` is its sample size in words."""

    id: str
    title: str
    desc: str
    x_label: str
    y_label: str
    n: str
    width: int = 340
    height: int = 240


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from data in [low, high] to the picture in [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return where `value` lies in the picture.

        >>> Scale(0, 10, 100, 200)(2.5)
        125.0
        """
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def clipped(self, value: float) -> float:
        """Return where `value` lies, or the end of the scale that it is beyond."""
        return self(min(max(value, self.low), self.high))


@dataclass(frozen=True, slots=True)
class Plot:
    """The two scales of a chart and its axes, already drawn."""

    x: Scale
    y: Scale
    axes: tuple[str, ...]


class Box(NamedTuple):
    """A rectangle of the picture."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: "Box") -> float:
        """Return the area that both share."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)


def nice_ticks(low: float, high: float, n: int = 5) -> tuple[float, ...]:
    """Return about `n` round numbers (1, 2, 2.5 or 5 times a power of ten) inside [low, high].

    >>> nice_ticks(-37, 82), nice_ticks(0, 1)
    ((-25.0, 0.0, 25.0, 50.0, 75.0), (0.0, 0.2, 0.4, 0.6, 0.8, 1.0))
    """
    rough = (high - low) / n
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((m * power for m in (1.0, 2.0, 2.5, 5.0) if m * power >= rough * 0.95), 10.0 * power)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(round(index * step, 12) + 0.0 for index in range(first, last + 1))


def padded(values: Sequence[float], share: float = 0.06) -> tuple[float, float]:
    """Return a range a little wider than the values; around a single value it is one unit wide.

    >>> padded([0.0, 100.0])
    (-6.0, 106.0)
    """
    low, high = min(values), max(values)
    if high - low <= 1e-12 * max(1.0, abs(high)):
        return low - 0.5, high + 0.5
    return low - share * (high - low), high + share * (high - low)


def tick_texts(ticks: Sequence[float], unit: Unit) -> tuple[str, ...]:
    """Return the ticks written alike, with as many decimals as tell them apart.

    >>> tick_texts((-50.0, 0.0, 50.0), "elo"), tick_texts((0.0, 0.5, 1.0), "share")
    (('−50', '0', '+50'), ('0%', '50%', '100%'))
    """
    scaled = [tick * 100 if unit == "share" else tick for tick in ticks]
    decimals = max((_decimals(value) for value in scaled), default=0)
    texts = [f"{value:{'+' if unit == 'elo' and value else ''},.{decimals}f}" for value in scaled]
    return tuple(text.replace("-", "−") + ("%" if unit == "share" else "") for text in texts)


def text_width(content: str) -> float:
    """Return about how wide `content` is; letters of full width count double."""
    return CHAR_WIDTH * sum(2 if ord(char) > 0x2E7F else 1 for char in content)


def text(
    x: float, y: float, content: str, *, role: str, anchor: Literal["start", "middle", "end"] = "start"
) -> str:
    """Return a text element of CSS class `role`, its baseline at `y`; nothing for no text."""
    if not content:
        return ""
    place = f'x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}"'
    return f'<text class="{role}" {place}>{escape(visible(content))}</text>'


def line(start: tuple[float, float], end: tuple[float, float], *, role: str) -> str:
    """Return a straight line of CSS class `role`."""
    (x1, y1), (x2, y2) = start, end
    return f'<line class="{role}" x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}"/>'


def dot(x: float, y: float, *, role: str, radius: float = 4) -> str:
    """Return a filled circle of CSS class `role`."""
    return f'<circle class="{role}" cx="{x:.2f}" cy="{y:.2f}" r="{radius:g}"/>'


def rect(box: Box, *, role: str) -> str:
    """Return a filled rectangle of CSS class `role`."""
    width, height = box.right - box.left, box.bottom - box.top
    place = f'x="{box.left:.2f}" y="{box.top:.2f}" width="{width:.2f}" height="{height:.2f}"'
    return f'<rect class="{role}" {place}/>'


def polyline(points: Sequence[tuple[float, float]], *, role: str, closed: bool = False) -> str:
    """Return a line through the points, or the area inside them if `closed`."""
    corners = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
    return f'<{"polygon" if closed else "polyline"} class="{role}" points="{corners}"/>'


def group(parts: Sequence[str], title: str) -> str:
    """Return the parts as one mark, whose title a pointer resting on it shows."""
    return f"<g><title>{escape(visible(title))}</title>{''.join(parts)}</g>"


def picture(frame: Frame, parts: Sequence[str]) -> str:
    """Return the whole picture, with its title and description for screen readers."""
    return (
        f'<svg role="img" viewBox="0 0 {frame.width} {frame.height}"'
        f' style="max-width:{frame.width * 1.2:.0f}px" aria-labelledby="{frame.id}-title {frame.id}-desc">'
        f'<title id="{frame.id}-title">{escape(visible(frame.title))}</title>'
        f'<desc id="{frame.id}-desc">{escape(visible(frame.desc))}</desc>'
        f"{''.join(parts)}</svg>"
    )


def plot(
    frame: Frame,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    *,
    units: tuple[Unit, Unit] = ("number", "number"),
    top: float = 30,
) -> Plot:
    """Return scales and axes: light lines for y, ticks for x, the label of y and n above."""
    y_ticks = nice_ticks(*y_range, n=max(3, frame.height // 55))
    y_texts = tick_texts(y_ticks, units[1])
    left = max(map(text_width, y_texts), default=0) + 8
    right, bottom = frame.width - 12.0, frame.height - 40.0
    x, y = Scale(*x_range, left, right), Scale(*y_range, bottom, top)
    x_ticks = nice_ticks(*x_range, n=max(3, int((right - left) // 52)))
    parts = [text(0, 12, frame.y_label, role="axis-label")]
    parts.append(text(frame.width, 12, frame.n, role="sample-size", anchor="end"))
    for tick, label in zip(y_ticks, y_texts, strict=True):
        parts.append(line((left, y(tick)), (right, y(tick)), role="grid"))
        parts.append(text(left - 8, y(tick) + 4, label, role="tick", anchor="end"))
    parts.append(line((left, bottom), (right, bottom), role="axis"))
    for tick, label in zip(x_ticks, tick_texts(x_ticks, units[0]), strict=True):
        parts.append(line((x(tick), bottom), (x(tick), bottom + 4), role="axis"))
        parts.append(text(x(tick), bottom + 17, label, role="tick", anchor="middle"))
    parts.append(text(right, frame.height - 4, frame.x_label, role="axis-label", anchor="end"))
    return Plot(x, y, tuple(parts))


def place_labels(
    marks: Sequence[tuple[float, float, str]], *, inside: Box, taken: Sequence[Box]
) -> tuple[Box, ...]:
    """Return the box of each label, clear of marks and of the other labels as far as there is room.

    Each mark (x, y, label) tries the places around it in a fixed order and takes the one that covers
    least; the same marks always get the same places.
    """
    used = list(taken)
    boxes: list[Box] = []
    for x, y, label in marks:
        places = _label_boxes(x, y, text_width(label))
        fits = [box for box in places if inside.overlap(box) >= 0.999 * box.overlap(box)]
        best = min(fits or places, key=lambda box: sum(box.overlap(other) for other in used))
        used.append(best)
        boxes.append(best)
    return tuple(boxes)


def leader(x: float, y: float, box: Box) -> str:
    """Return a thin line from a mark to its label, or nothing where the label stands beside the mark."""
    near_x, near_y = min(max(x, box.left), box.right), min(max(y, box.top + 4), box.bottom - 3)
    distance = math.hypot(near_x - x, near_y - y)
    if distance < 18:
        return ""
    share = 7 / distance
    return line((x + (near_x - x) * share, y + (near_y - y) * share), (near_x, near_y), role="leader")


def boxes_along(points: Sequence[tuple[float, float]]) -> list[Box]:
    """Return small boxes that cover a line through the points, for labels to keep clear of."""
    boxes: list[Box] = []
    for (x1, y1), (x2, y2) in pairwise(points):
        n = max(1, round(math.hypot(x2 - x1, y2 - y1) / 6))
        for step in range(n):
            x, y = x1 + (x2 - x1) * step / n, y1 + (y2 - y1) * step / n
            boxes.append(Box(x - 2, y - 2, x + 2, y + 2))
    return boxes


def _label_boxes(x: float, y: float, width: float) -> list[Box]:
    """Return the places for a label, the best first: beside the mark above its bar, then further out."""
    boxes: list[Box] = []
    for distance in (3, 20, 38, 56):
        for top in (y - distance - 14, y + distance):
            boxes.extend(Box(left, top, left + width, top + 17) for left in (x + 8, x - width - 8))
            boxes.append(Box(x - width / 2, top, x + width / 2, top + 17))
    return boxes


def _decimals(value: float) -> int:
    return len(f"{value:.9f}".rstrip("0").partition(".")[2])
