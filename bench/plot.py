"""The picture of a measurement: docs/performance.svg."""

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import NamedTuple
from xml.sax.saxutils import escape

from bench import ways
from bench.report import Measurement, Results, figures

_ROW, _GROUP_GAP, _HEAD, _FOOT = 19, 34, 64, 34
_LABELS, _PANEL, _GAP, _MARGIN = 196, 320, 76, 24
_WIDTH = _MARGIN + _LABELS + 2 * _PANEL + _GAP + 68

_INK, _FAINT, _LINE = "#1f2328", "#59636e", "#d8dee4"
_STRAIGHT, _OWN, _PEER = "#8c959f", "#0969da", "#bc4c00"


class _Panel(NamedTuple):
    """One of the two scales, both logarithmic.

    Attributes:
        title: above it.
        left: its first pixel.
        low, high: what it reaches from and to, as powers of ten.
        value: what it shows of a measurement.
    """

    title: str
    left: int
    low: int
    high: int
    value: Callable[[Measurement], float | None]

    def x(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.left + _PANEL * share


def picture(results: Results) -> str:
    """Each way as a row, each workload as a group of them: median, lowest and highest."""
    panels = [
        _panel(results, "CPU ms of the proxy for 1,000 calls", 0, lambda one: one.cpu_ms),
        _panel(results, "calls per second", 1, lambda one: one.rate),
    ]
    rows = sum(len(results.ways[workload.name]) for workload in results.workloads)
    height = _HEAD + rows * _ROW + len(results.workloads) * _GROUP_GAP + _FOOT
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" font-size="12" '
        'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">',
        "<title>CPU and calls per second of the interceptor and its peers</title>",
        f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
    ]
    for panel in panels:
        lines += _scale(panel, height)
    y = _HEAD
    for workload in results.workloads:
        y += _GROUP_GAP
        messages = " (messages, not calls)" if workload.answers else ""
        lines.append(_text(_MARGIN, y - 8, f"{workload.name}{messages}", weight="600"))
        lines.append(
            f'<line x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{y - 1}" y2="{y - 1}" '
            f'stroke="{_LINE}"/>'
        )
        for way in results.ways[workload.name]:
            y += _ROW
            lines.append(_text(_MARGIN + 10, y - 5, way, fill=_colour(way)))
            for panel in panels:
                values = [panel.value(one) for one in results.of(workload, way)]
                lines += _mark(panel, y - 9, [v for v in values if v], _colour(way))
    return "\n".join([*lines, "</svg>", ""])


def _panel(
    results: Results, title: str, column: int, value: Callable[[Measurement], float | None]
) -> _Panel:
    values = [number for all_ in results.calls.values() for one in all_ if (number := value(one))]
    left = _MARGIN + _LABELS + column * (_PANEL + _GAP)
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return _Panel(title, left, low, max(high, low + 1), value)


def _scale(panel: _Panel, height: int) -> Iterator[str]:
    yield _text(panel.left, 30, panel.title, weight="600")
    for power in range(panel.low, panel.high + 1):
        x = panel.x(10.0**power)
        yield (
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_HEAD - 8}" y2="{height - _FOOT + 6}" '
            f'stroke="{_LINE}"/>'
        )
        label = f"{10 ** (power - 6)}M" if power >= 6 else f"{10.0**power:,.{max(-power, 0)}f}"
        yield _text(x, _HEAD - 14, label, fill=_FAINT, anchor="middle", size=10)
        yield _text(x, height - 12, label, fill=_FAINT, anchor="middle", size=10)


def _mark(panel: _Panel, y: int, values: Sequence[float], colour: str) -> Iterator[str]:
    if not values:
        return
    low, middle, high = (panel.x(value) for value in (min(values), median(values), max(values)))
    yield (
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="{colour}" '
        'stroke-width="3" stroke-linecap="round" stroke-opacity="0.35"/>'
    )
    yield f'<circle cx="{middle:.1f}" cy="{y}" r="4.5" fill="{colour}"/>'
    yield _text(high + 9, y + 4, figures(median(values)), fill=colour, size=11)


def _colour(way: str) -> str:
    if way == ways.STRAIGHT.name:
        return _STRAIGHT
    return _OWN if way in {own.name for own in ways.OWN} else _PEER


def _text(
    x: float,
    y: float,
    text: str,
    *,
    fill: str = _INK,
    anchor: str = "start",
    weight: str = "400",
    size: int = 12,
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y}" fill="{fill}" text-anchor="{anchor}" font-weight="{weight}" '
        f'font-size="{size}">{escape(text)}</text>'
    )
