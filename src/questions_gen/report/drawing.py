"""Charts as SVG for the report page: bars with intervals, and lines over steps.

A chart is as wide as a phone and grows by CSS. It holds no colour: the page's style gives each class one that suits
light and dark. Text says the numbers, so that a chart is never the only place where they can be read.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape

from questions_gen.measures import Estimate

WIDTH = 360
ROW = 15
"""Pixels from a bar to the next."""
LABELS, VALUES = 56, 44
"""Pixels left of the bars for their names, right of them for their values."""

ENDS = ("mean", "low", "high")

Series = Sequence[tuple[float, float | None]]
"""(x, y); None where nothing was measured: the line is broken there."""


Bars = Mapping[str, Mapping[str, Estimate | None]]
"""Group → name of a bar → its estimate; None where nothing was measured."""


def bars(title: str, groups: Bars, *, full: float = 1.0) -> str:
    """Horizontal bars from 0 to `full`, in groups, with a line for the interval."""
    parts, y = [], 0
    for group, members in groups.items():
        parts.append(f'<text class="group" x="0" y="{y + 13}">{escape(group)}</text>')
        y += 20
        for place, (name, found) in enumerate(members.items()):
            parts.append(_bar(y, place, name, found, full))
            y += ROW
        y += 8
    return _svg(title, y, parts)


def _bar(y: int, place: int, name: str, found: Estimate | None, full: float) -> str:
    text = f'<text class="name" x="0" y="{y + 10}">{escape(name)}</text>'
    if found is None or found["mean"] is None:
        return f'{text}<text class="value" x="{LABELS}" y="{y + 10}">–</text>'
    scale = (WIDTH - LABELS - VALUES) / full
    mean, low, high = (None if found[name] is None else scale * min(max(found[name], 0), full) for name in ENDS)
    parts = [text, f'<rect class="bar c{place}" x="{LABELS}" y="{y + 1}" width="{mean:.1f}" height="{ROW - 4}"/>']
    if low is not None and high is not None:
        ends = "".join(f"M{LABELS + end:.1f} {y + 3.5}v6" for end in (low, high))
        parts.append(f'<path class="interval" d="M{LABELS + low:.1f} {y + 6.5}H{LABELS + high:.1f}{ends}"/>')
    parts.append(f'<text class="value" x="{WIDTH}" y="{y + 10}" text-anchor="end">{shown(found["mean"])}</text>')
    return "".join(parts)


def lines(title: str, series: Mapping[str, Series], *, x_label: str) -> str:
    """A line a series, from the lowest value to the highest, with its legend under it."""
    known = [(x, y) for points in series.values() for x, y in points if y is not None]
    if not known:
        return _svg(title, 24, ['<text class="name" x="0" y="16">nothing was measured</text>'])
    left, right, top, bottom = 44, WIDTH - 8, 8, 180
    x_ticks, y_ticks = (ticks(*_ends(values)) for values in zip(*known, strict=True))

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + (right - left) * _share(x, x_ticks[0], x_ticks[-1]),
            bottom - (bottom - top) * _share(y, y_ticks[0], y_ticks[-1]),
        )

    parts = []
    for tick in y_ticks:
        _, y = place(x_ticks[0], tick)
        parts.append(f'<path class="grid" d="M{left} {y:.1f}H{right}"/>')
        parts.append(f'<text class="name" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{shown(tick)}</text>')
    for tick in (t for t in x_ticks if t == int(t)):
        x, _ = place(tick, y_ticks[0])
        parts.append(f'<text class="name" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{shown(tick)}</text>')
    parts.append(f'<text class="name" x="{right}" y="{bottom + 32}" text-anchor="end">{escape(x_label)}</text>')
    for number, points in enumerate(series.values()):
        for run in _unbroken(points):
            corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in run))
            parts.append(f'<polyline class="line c{number}" points="{corners}"/>')
            if len(run) <= 12:
                dots = [place(*point) for point in run]
                parts += [f'<circle class="dot c{number}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in dots]
    y = bottom + 44
    for number, name in enumerate(series):
        x = (number % 3) * WIDTH / 3
        y += 18 * (number > 0 and number % 3 == 0)
        parts.append(f'<path class="line c{number}" d="M{x:.0f} {y}h22"/>')
        parts.append(f'<text class="name" x="{x + 28:.0f}" y="{y + 4}">{escape(name)}</text>')
    return _svg(title, y + 12, parts)


def ticks(low: float, high: float) -> list[float]:
    """Three to eight round numbers, the first at most `low`, the last at least `high`.

    >>> ticks(1.3, 2.75)
    [1.0, 1.5, 2.0, 2.5, 3.0]
    """
    size = 10.0 ** math.floor(math.log10(high - low))
    step = next(size * s for s in (0.2, 0.5, 1.0, 2.0) if (high - low) / (size * s) <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def shown(value: float) -> str:
    """Three significant digits, and no exponent for what is large.

    >>> shown(0.45678), shown(2.0), shown(12345.0)
    ('0.457', '2', '12345')
    """
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low)


def _unbroken(points: Series) -> list[list[tuple[float, float]]]:
    """The runs of points that were measured, one after the other."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is not None:
            runs[-1].append((x, y))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
