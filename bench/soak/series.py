"""What a process holds over time, and whether it stays flat."""

from collections.abc import Sequence
from statistics import linear_regression, median
from typing import NamedTuple
from xml.sax.saxutils import escape

# What is flat: the last third is no more than so much above the first, nor any value above the
# median.
_GROWTH, _PEAK = 0.05, 1.5

# What counts little by little is not told from noise by shares: so many files, threads or MiB more
# are none.
_NOISE = 4.0


class Sample(NamedTuple):
    """What a process holds at a moment.

    Attributes:
        seconds: since the beginning.
        files: descriptors.
        threads: of the process.
        mib: of memory, resident.
        cpu: seconds that it has used so far.
    """

    seconds: float
    files: int
    threads: int
    mib: float
    cpu: float


class Flatness(NamedTuple):
    """Whether one of the values has stayed flat.

    Attributes:
        what: its name.
        middle: its median.
        slope: by which it has grown in an hour, by least squares.
        growth: share by which the median of the last third is above that of the first.
        peak: the highest value, to the median.
        flat: the verdict.
    """

    what: str
    middle: float
    slope: float
    growth: float
    peak: float
    flat: bool

    def __str__(self) -> str:
        verdict = "flat" if self.flat else "NOT FLAT"
        return (
            f"{self.what:<8} {verdict}: median {self.middle:,.1f}, {self.slope:+,.1f} an hour, "
            f"last third to first {self.growth:+.1%}, highest {self.peak:.2f} x the median"
        )


def judge(samples: Sequence[Sample], after: float) -> list[Flatness]:
    """Say of each value whether it has stayed flat.

    Args:
        samples: in order.
        after: seconds from which on it is to be.
    """
    kept = [sample for sample in samples if sample.seconds >= after]
    return [
        _flatness(what, [s.seconds for s in kept], [float(getattr(s, what)) for s in kept])
        for what in ("files", "threads", "mib")
    ]


def _flatness(what: str, seconds: Sequence[float], values: Sequence[float]) -> Flatness:
    third = max(len(values) // 3, 1)
    first, last, middle = median(values[:third]), median(values[-third:]), median(values)
    slope = linear_regression(seconds, values).slope * 3600 if len(values) > 1 else 0.0
    growth = (last - first) / first if first else 0.0
    peak = max(values) / middle if middle else 1.0
    grown = growth > _GROWTH and last - first > _NOISE
    leapt = peak > _PEAK and max(values) - middle > _NOISE
    return Flatness(what, middle, slope, growth, peak, not grown and not leapt)


_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP = 760, 130, 70, 20, 46


def picture(samples: Sequence[Sample], after: float) -> str:
    """The series as an SVG picture, a panel for each value."""
    panels = ("files", "threads", "mib")
    height = _TOP + len(panels) * _HEIGHT + 20
    end = max(samples[-1].seconds, 1.0)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" font-size="12" '
        'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">',
        "<title>What mitm-demo proxy holds over time</title>",
        f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="24" fill="#1f2328" font-weight="600">'
        f"What mitm-demo proxy holds, over {end / 60:.0f} minutes</text>",
    ]
    span = _WIDTH - _LEFT - _RIGHT
    for number, what in enumerate(panels):
        top = _TOP + number * _HEIGHT
        values = [float(getattr(sample, what)) for sample in samples]
        highest = max(*values, 1.0)
        name = {"files": "file descriptors", "mib": "MiB resident"}.get(what, what)
        bottom = top + _HEIGHT - 26
        lines += [
            f'<text x="{_LEFT}" y="{top + 12}" fill="#59636e">{escape(name)}, '
            f"up to {highest:,.0f}</text>",
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{bottom}" y2="{bottom}" '
            'stroke="#d8dee4"/>',
        ]
        room = bottom - top - 20
        points = " ".join(
            f"{_LEFT + span * sample.seconds / end:.1f},{bottom - room * value / highest:.1f}"
            for sample, value in zip(samples, values, strict=True)
        )
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="#0969da" stroke-width="1.5"/>'
        )
    x = _LEFT + span * min(after / end, 1)
    lines.append(
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{height - 20}" stroke="#bc4c00" '
        'stroke-dasharray="4 4"/>'
    )
    return "\n".join([*lines, "</svg>", ""])
