"""Line charts as inline SVG."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 400.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 48.0, 20.0, 28.0, 34.0

Points = Sequence[tuple[float, float]]


def line_chart(title: str, lines: Mapping[str, Points], *, across: str) -> str:
    """A chart of two lines at most, in the page's two colours.

    Args:
        title: what runs upwards.
        lines: points (x, y) in order of x, by name.
        across: what runs from left to right.
    """
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points]
    across_ticks, up_ticks = ticks(min(xs), max(xs)), ticks(min(ys), max(ys))
    x_of = _scale(across_ticks, LEFT, WIDTH - RIGHT)
    y_of = _scale(up_ticks, HEIGHT - BOTTOM, TOP)
    parts = [_text(LEFT, 14.0, title), _text(WIDTH - RIGHT, HEIGHT - 4, across, "end")]
    parts += [_rule(y_of(tick), _shown(tick, up_ticks)) for tick in up_ticks]
    parts += [
        _text(x_of(tick), HEIGHT - BOTTOM + 15, _shown(tick, across_ticks), "middle")
        for tick in across_ticks
    ]
    for kind, points in zip(("one", "two"), lines.values(), strict=False):
        parts.append(_line([(x_of(x), y_of(y)) for x, y in points], kind))
    parts += _legend(list(lines))
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
        f'aria-label="{escape(title)} over {escape(across)}">{"".join(parts)}</svg>'
    )


def ticks(low: float, high: float, *, most: int = 5) -> list[float]:
    """Round numbers at equal distances that enclose `low` and `high`."""
    if high - low < 1e-9 * max(abs(low), abs(high), 1e-3):
        low, high = low - 0.5 * abs(low or 1), high + 0.5 * abs(high or 1)
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def _scale(marks: list[float], start: float, end: float) -> Callable[[float], float]:
    low, high = marks[0], marks[-1]
    return lambda value: start + (end - start) * (value - low) / (high - low)


def _shown(value: float, marks: list[float]) -> str:
    digits = max(0, -math.floor(math.log10(marks[1] - marks[0]) + 1e-9))
    return f"{value:,.{digits}f}"


def _line(points: list[tuple[float, float]], kind: str) -> str:
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(
        f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points
    )
    return f'<polyline class="{kind}" points="{joined}"/>{dots}'


def _rule(y: float, label: str) -> str:
    ends = f'x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"'
    return f'<line class="grid" {ends}/>{_text(LEFT - 6, y + 4, label, "end")}'


def _legend(names: list[str]) -> list[str]:
    rightmost = WIDTH - RIGHT
    placed = []
    for kind, name in reversed(list(zip(("one", "two"), names, strict=False))):
        placed.append(_text(rightmost, 14.0, name, "end", kind))
        rightmost -= 7 * len(name) + 12
    return placed


def _text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">'
        f"{escape(words)}</text>"
    )
