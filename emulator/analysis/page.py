"""The frame of a page that people keep or attach: one file of HTML, without a script and without a foreign request."""

from __future__ import annotations

from html import escape
from typing import Final

from emulator.core.tables import replace_unprintable


def format_document(title: str, heading: str, body: str) -> str:
    """Return a whole page; `heading` and `body` are HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape_text(title)}</title>\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<header>{heading}</header>\n<main>\n{body}\n</main>\n"
        "</body>\n</html>\n"
    )


def escape_text(text: str) -> str:
    """Return a text as HTML shows it, on one line."""
    return escape(replace_unprintable(text))


def format_bar(share: float) -> str:
    """Return a bar of which `share` per cent are filled; its colour says how much that is."""
    if share >= _GOOD:
        level = "good"
    elif share >= _FAIR:
        level = "fair"
    else:
        level = "poor"
    return f'<span class="bar {level}" role="img" aria-label="{share} %"><i style="width:{share}%"></i></span>'


def format_figure(value: str, label: str) -> str:
    """Return a figure of a summary, with what it counts below it."""
    return f'<div class="figure"><b>{escape_text(value)}</b><span>{escape_text(label)}</span></div>'


_GOOD: Final = 80  # per cent
_FAIR: Final = 40
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_STYLE: Final = """
:root{--paper:#fbfaf8;--card:#fff;--ink:#1d2127;--soft:#646c77;--line:#e4e1db;--chip:#f2f0ec;--good:#2c8a57;
--fair:#b98014;--poor:#c1483c;--code:#f4f2ee;--accent:#2f6f8f}
@media (prefers-color-scheme:dark){:root{--paper:#14171b;--card:#1b1f25;--ink:#e6e8eb;--soft:#98a1ad;--line:#2c323a;
--chip:#252b33;--good:#52bd86;--fair:#dca94a;--poor:#e27d72;--code:#232830;--accent:#7cb8d6}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
header,main{max-width:1080px;margin:0 auto;padding:0 20px}
header{padding-top:32px}
h1{font-size:24px;line-height:1.25;margin:0 0 4px}
h2{font-size:18px;margin:0}
h3{font-size:14px;margin:20px 0 8px;color:var(--soft);font-weight:600}
p{margin:4px 0}
.soft{color:var(--soft)}
.lead{font-size:16px}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:18px 20px;margin:18px 0;
overflow-x:auto}
.top{display:flex;flex-wrap:wrap;gap:8px 16px;align-items:baseline;justify-content:space-between}
.figures{display:flex;flex-wrap:wrap;gap:12px;margin:16px 0 4px}
.figure{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 16px;min-width:104px}
.figure b{display:block;font-size:21px;line-height:1.2;font-variant-numeric:tabular-nums}
.figure span{color:var(--soft);font-size:13px}
table{border-collapse:collapse;width:100%}
th{text-align:left;font-weight:600;color:var(--soft);font-size:13px;padding:4px 12px 4px 0;
border-bottom:1px solid var(--line)}
td{padding:5px 12px 5px 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.bar{display:inline-block;width:140px;height:8px;border-radius:4px;background:var(--chip);overflow:hidden;vertical-align:middle}
.bar i{display:block;height:100%;border-radius:4px}
.good i{background:var(--good)}.fair i{background:var(--fair)}.poor i{background:var(--poor)}
code{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;background:var(--code);border-radius:4px;
padding:1px 5px;overflow-wrap:anywhere}
td:first-child code{white-space:nowrap}
summary{cursor:pointer;padding:6px 0}
summary:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.chips{display:flex;flex-wrap:wrap;gap:6px;margin:4px 0 12px}
.chip{border-radius:12px;padding:1px 10px;font-size:13px;background:var(--chip);border:1px solid transparent}
.chip small{color:var(--soft);margin-left:5px;font-variant-numeric:tabular-nums}
.chip.unmet{background:none;border:1px dashed var(--poor);color:var(--poor)}
.bad{color:var(--poor)}.ok{color:var(--good)}
.thumb{width:64px;height:64px;object-fit:cover;border-radius:6px;display:block;background:var(--chip)}
.thumbs{display:flex;flex-wrap:wrap;gap:6px;justify-content:flex-end}
@media (max-width:640px){.bar{width:72px}header,main{padding:0 12px}.card{padding:14px}}
"""
