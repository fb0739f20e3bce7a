"""The figures as a picture: one panel per figure, one bar per peer. An SVG without fonts, scripts or other files.

It brings its own background, and a second set of colours for readers with a dark screen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from .peers import PRODUCT, REFERENCE
from .summary import FIGURES, SHORT, Figure, Summary, peers_of
from .tables import number

_COLUMNS, _PANEL, _GAP, _MARGIN = 2, 430, 28, 24
_TITLE, _ROW, _BAR, _NAMES, _VALUES = 30, 22, 14, 134, 62
_HEAD, _FOOT = 70, 30
_LONGEST = 6.0
"""A bar longer than this many times the next one is cut, so that the others can be told apart; never the product's."""
_PANEL_TITLES = {"small": "small filter: added to a request", "json": "JSON filter: added to a request"}
_NOTES = (
    "Small filter: two callbacks, one log call, one header. JSON filter: 10 headers read, 3 written, 2 kB of JSON "
    "parsed.",
    "The floor is hand-written WebAssembly and parses no JSON. ext_proc is Envoy and a Python process: its memory is "
    "that of both.",
)
_STYLE = """\
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #24292f }
  .back { fill: #ffffff; stroke: #d0d7de }
  .title { font-size: 17px; font-weight: 600 }
  .panel { font-weight: 600 }
  .note { font-size: 12px; fill: #57606a }
  .value { font-variant-numeric: tabular-nums }
  .bar { fill: #afb8c1 }
  .go { fill: #57a5b5 }
  .pwasm { fill: #c2571a }
  .strong { font-weight: 600 }
  .cut { stroke: #ffffff; stroke-width: 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .back { fill: #0d1117; stroke: #30363d }
    .note { fill: #9198a1 }
    .bar { fill: #59636e }
    .go { fill: #3d8594 }
    .pwasm { fill: #e8833a }
    .cut { stroke: #0d1117 }
  }
"""


def chart(summary: Summary, subtitle: str) -> str:
    """The picture as SVG."""
    figures = [figure for figure in FIGURES if figure.key in SHORT and summary.rounds[figure.key]]
    heights = [_TITLE + _ROW * len(_bars(summary, figure)) for figure in figures]
    rows = [max(heights[at : at + _COLUMNS]) for at in range(0, len(heights), _COLUMNS)]
    width = 2 * _MARGIN + _COLUMNS * _PANEL + (_COLUMNS - 1) * _GAP
    height = _HEAD + sum(rows) + _GAP * len(rows) + _FOOT + _ROW * (len(_NOTES) - 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img">',
        f"<title>{escape(_description(summary, figures))}</title>",
        f"<style>\n{_STYLE}</style>",
        f'<rect class="back" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>',
        _text(_MARGIN, 32, "The same filter in each: lower is better", "title"),
        _text(_MARGIN, 52, subtitle, "note"),
    ]
    for at, figure in enumerate(figures):
        row, column = divmod(at, _COLUMNS)
        x = _MARGIN + column * (_PANEL + _GAP)
        y = _HEAD + sum(rows[:row]) + _GAP * row
        parts += _panel(summary, figure, x, y)
    foot = height - _FOOT - _ROW * (len(_NOTES) - 1)
    parts += [_text(_MARGIN, foot + 8 + at * _ROW, note, "note") for at, note in enumerate(_NOTES)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(summary: Summary, figure: Figure, x: int, y: int) -> list[str]:
    bars = _bars(summary, figure)
    scale = _scale(dict(bars))
    space = _PANEL - _NAMES - _VALUES
    title = _PANEL_TITLES.get(figure.key, figure.title)
    parts = [_text(x, y + 18, f"{title}, {figure.unit}", "panel")]
    for at, (peer, value) in enumerate(bars):
        top = y + _TITLE + at * _ROW
        cut = value > scale
        length = max(1.0, space * min(max(value, 0) / scale, 1))
        kind = {PRODUCT: "pwasm", REFERENCE: "go"}.get(peer, "bar")
        strong = " strong" if peer == PRODUCT else ""
        left = x + _NAMES
        parts.append(_text(x, top + 12, peer, f"name{strong}"))
        parts.append(f'<rect class="{kind}" x="{left}" y="{top}" width="{length:.1f}" height="{_BAR}" rx="2"/>')
        if cut:
            at_x = left + space * 0.9
            parts.append(f'<line class="cut" x1="{at_x}" y1="{top + _BAR + 2}" x2="{at_x + 8}" y2="{top - 2}"/>')
        parts.append(_text(left + length + 6, top + 12, number(value, figure.form), f"value{strong}"))
    return parts


def _bars(summary: Summary, figure: Figure) -> list[tuple[str, float]]:
    found = ((peer, summary.median(figure.key, peer)) for peer in peers_of(summary))
    return [(peer, value) for peer, value in found if value is not None]


def _scale(values: Mapping[str, float]) -> float:
    """The value represented by the full length."""
    *others, longest = sorted(values, key=lambda peer: values[peer])
    second = values[others[-1]] if others else 0
    if longest != PRODUCT and 0 < _LONGEST * second < values[longest]:
        return 1.25 * second
    return max(values[longest], 1e-9)


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(text)}</text>'


def _description(summary: Summary, figures: Sequence[Figure]) -> str:
    """A text alternative for the picture."""
    sentences = []
    for figure in figures:
        values = ", ".join(f"{peer} {number(value, figure.form)}" for peer, value in _bars(summary, figure))
        sentences.append(f"{figure.title} ({figure.unit}): {values}")
    return ". ".join(sentences)
