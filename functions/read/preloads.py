"""What a page's module imports, and these in turn, as links that let a browser fetch all of them at once."""

from __future__ import annotations

import re
from pathlib import Path

_ENTRY = re.compile(r'^ *<script type="module" src="(/[\w./-]+)"></script>\n', re.MULTILINE)
_IMPORT = re.compile(r'^(?:import|export)\b[^;"]*"\.?(/[\w./-]+)";$', re.MULTILINE)


def with_preloads(page: str, folder: Path) -> str:
    """`page` with a link for every module below its own: else each level of imports costs a journey to the server."""
    entry = _ENTRY.search(page)
    if entry is None:
        return page
    links = "".join(f'  <link rel="modulepreload" href="{address}">\n' for address in _below(entry[1], folder))
    return page[: entry.start()] + links + page[entry.start() :]


def _below(entry: str, folder: Path) -> list[str]:
    """The addresses of all that `entry` imports, the nearest first."""
    found = [entry]
    for address in found:  # which grows
        source = (folder / address[1:]).read_text(encoding="utf-8")
        found += [other for other in dict.fromkeys(_IMPORT.findall(source)) if other not in found]
    return found[1:]
