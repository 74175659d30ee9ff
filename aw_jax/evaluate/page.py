"""Pieces of an HTML page that needs nothing but itself: no script, no font, no link."""

from collections.abc import Iterable
from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: #1d2126; --soft: #667080; --line: #d9dee5;
  --paper: #ffffff; --panel: #f5f7f9; --one: #5b7690; --two: #d9701a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #98a2b0;
  --line: #353c46; --paper: #14171b; --panel: #1d2228; --one: #8fb0cf;
  --two: #ff9a4d; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1240px; padding: 2.5rem 1.5rem 4rem;
  color: var(--ink); background: var(--paper); font: 16px/1.5 system-ui, -apple-system,
  "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .7rem; }
p { margin: .4rem 0; max-width: 52rem; }
.soft { color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem 1.1rem .4rem 0; border-bottom: 1px solid var(--line);
  text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { color: var(--soft); font-weight: 500; }
tr.mark td { font-weight: 650; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.4rem;
  margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
summary { cursor: pointer; }
.strip { display: grid; gap: .5rem; margin-bottom: .9rem; }
figure { margin: 0; min-width: 0; }
figure img { display: block; width: 100%; height: auto; background: var(--panel); }
figcaption { color: var(--soft); font-size: .8rem; display: flex; gap: .6rem;
  justify-content: space-between; padding-top: .15rem; }
.name { color: var(--soft); font-size: .8rem; margin: 0 0 .2rem;
  overflow-wrap: anywhere; }
.charts { display: flex; flex-wrap: wrap; gap: 1.2rem; }
svg { width: 24rem; max-width: 100%; height: auto; }
svg text { fill: var(--soft); font-size: 11px; }
svg .grid { stroke: var(--line); }
svg .one { stroke: var(--one); fill: var(--one); }
svg .two { stroke: var(--two); fill: var(--two); }
svg polyline { fill: none !important; stroke-width: 2; stroke-linejoin: round; }
svg text.one, svg text.two { stroke: none; font-weight: 600; }
.missing { background: var(--panel); color: var(--soft); font-size: .8rem;
  display: grid; place-items: center; aspect-ratio: 4 / 3; }
"""


def page(title: str, body: Iterable[str]) -> str:
    """A whole document."""
    parts = "\n".join(body)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{parts}\n</body>\n</html>\n"
    )


def text(words: str, *, tag: str = "p", kind: str = "") -> str:
    """One element that holds text only."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<{tag}{attribute}>{escape(words)}</{tag}>"


def table(header: list[str], rows: list[list[str]], *, mark: int | None = None) -> str:
    """A table whose row number `mark` is set in bold."""
    head = "".join(text(cell, tag="th") for cell in header)
    body = "".join(
        ('<tr class="mark">' if i == mark else "<tr>")
        + "".join(text(cell, tag="td") for cell in row)
        + "</tr>"
        for i, row in enumerate(rows)
    )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def facts(items: Iterable[tuple[str, str]]) -> str:
    """Names and what they are; an answer that starts with < is taken as HTML."""
    rows = (
        text(name, tag="dt")
        + (f"<dd>{value}</dd>" if value.startswith("<") else text(value, tag="dd"))
        for name, value in items
    )
    return f"<dl>{''.join(rows)}</dl>"


def folded(summary: str, names: list[str]) -> str:
    """A list that unfolds on a click."""
    return (
        f"<details>{text(summary, tag='summary')}{text(', '.join(names), tag='span')}"
        "</details>"
    )
