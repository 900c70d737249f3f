"""A comparison as an SVG: one bar for each side, its median, with a line from the least run to the most."""

from __future__ import annotations

from html import escape

from benchmarks.figures import Comparison
from benchmarks.results import number

WIDTH = 720
LABEL_WIDTH = 110
VALUE_WIDTH = 90
BAR_HEIGHT = 22
ROW_HEIGHT = 34
TOP = 44
COLOURS = {"kvcast": "#0b7a75"}
OTHER_COLOUR = "#9aa5b1"


def svg(comparison: Comparison) -> str:
    """Reads on a light and on a dark page: the text takes the colour of what is around it."""
    spreads = {side: comparison.spread(side, comparison.plot) for side in comparison.sides}
    shown = {side: spread for side, spread in spreads.items() if spread is not None}
    longest = max((spread.most for spread in shown.values()), default=0) or 1.0
    scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / longest
    height = TOP + ROW_HEIGHT * len(shown)
    title = f"{comparison.work}: {comparison.plot.replace('_', ' ')}"
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="14" fill="currentColor">'
        ),
        "<style>svg{color:#1f2933}@media(prefers-color-scheme:dark){svg{color:#e4e7eb}}</style>",
        f'<text x="0" y="20" font-weight="600">{escape(title)}</text>',
    ]
    for row, (side, spread) in enumerate(shown.items()):
        top = TOP + row * ROW_HEIGHT
        middle = top + BAR_HEIGHT / 2
        least, median, most = (LABEL_WIDTH + scale * value for value in (spread.least, spread.median, spread.most))
        parts += [
            f'<text x="0" y="{middle + 5:g}">{escape(side)}</text>',
            (
                f'<rect x="{LABEL_WIDTH}" y="{top}" width="{median - LABEL_WIDTH:.1f}" height="{BAR_HEIGHT}" rx="3" '
                f'fill="{COLOURS.get(side, OTHER_COLOUR)}"/>'
            ),
            f'<path d="M{least:.1f} {middle:g}H{most:.1f}" stroke="currentColor" stroke-width="2"/>',
            f'<text x="{max(most, median) + 8:.1f}" y="{middle + 5:g}">{number(spread.median)}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"
