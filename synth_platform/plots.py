"""Small pictures for metadata and cards: Markdown images with the PNG inside, legible on light and dark pages."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOR = "#3b82f6"
_GREY = "#71717a"
_MOST_BARS = 16


def histogram(values: Sequence[float], *, title: str, x: str, y: str = "rows") -> str:
    """How values are spread; the median is marked."""
    if not values:
        return f"*{title}: nothing to show*"
    figure, axes = _figure(2.6)
    axes.hist(values, bins=min(40, max(5, len(set(values)))), color=_COLOR)
    middle = sorted(values)[len(values) // 2]
    axes.axvline(middle, color=_GREY, linestyle="--", linewidth=1)
    axes.set(title=f"{title} (median {middle:,.4g})", xlabel=x, ylabel=y)
    return _markdown(figure, title)


def bars(values: Mapping[str, float], *, title: str, x: str) -> str:
    """One horizontal bar per name, each with its number."""
    if not values:
        return f"*{title}: nothing to show*"
    shown = dict(list(values.items())[:_MOST_BARS])
    figure, axes = _figure(0.9 + 0.28 * len(shown))
    drawn = axes.barh(list(shown), list(shown.values()), color=_COLOR)
    axes.bar_label(drawn, labels=[f"{value:,.4g}" for value in shown.values()], padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    more = f", first {_MOST_BARS} of {len(values)}" if len(values) > len(shown) else ""
    axes.set(title=title + more, xlabel=x)
    return _markdown(figure, title)


def heat_map(values: Sequence[Sequence[float]], rows: Sequence[str], columns: Sequence[str], *, title: str) -> str:
    """A number in a shaded cell for each row and column."""
    if not values or not columns:
        return f"*{title}: nothing to show*"
    figure, axes = _figure(1.0 + 0.32 * len(rows))
    axes.imshow(values, cmap="Blues", aspect="auto", vmin=0, vmax=max(1.0, *(max(row) for row in values)))
    axes.set_xticks(range(len(columns)), list(columns), rotation=20, ha="right", fontsize=8)
    axes.set_yticks(range(len(rows)), list(rows), fontsize=8)
    highest = max(1.0, *(max(row) for row in values))
    for row, numbers in enumerate(values):
        for column, number in enumerate(numbers):
            color = "white" if number > highest / 2 else "black"
            axes.text(column, row, f"{number:,.0f}", ha="center", va="center", fontsize=8, color=color)
    axes.set(title=title)
    return _markdown(figure, title)


def lines(curves: Mapping[str, Sequence[tuple[float, float]]], *, title: str, x: str, y: str) -> str:
    """A curve per name, through its points."""
    if not any(curves.values()):
        return f"*{title}: nothing to show*"
    figure, axes = _figure(2.6)
    for (name, points), color in zip(curves.items(), (_COLOR, _GREY, "#10b981", "#f59e0b"), strict=False):
        axes.plot([at for at, _ in points], [value for _, value in points], color=color, linewidth=1.5, label=name)
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, frameon=False)
    return _markdown(figure, title)


def line_png(points: Sequence[tuple[float, float]], *, title: str, x: str, y: str) -> bytes:
    """A curve through points, as a PNG file."""
    figure, axes = _figure(2.6)
    axes.plot([point[0] for point in points], [point[1] for point in points], color=_COLOR, linewidth=1.5)
    axes.set(title=title, xlabel=x, ylabel=y)
    return _png(figure)


def _figure(height: float) -> "tuple[Figure, Axes]":
    # Imported late: half a second that only stages which draw should pay. No pyplot: its state is global.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, height), dpi=88, layout="constrained", facecolor="white")
    axes: Any = figure.subplots()
    axes.title.set_fontsize(10)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _markdown(figure: "Figure", title: str) -> str:
    return f"![{title}](data:image/png;base64,{base64.b64encode(_png(figure)).decode()})"


def _png(figure: "Figure") -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)  # draws once; `savefig` would lay out and draw twice
    return buffer.getvalue()
