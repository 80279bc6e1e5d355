"""What the site needs beyond the plain Markdown of its pages: a hook of MkDocs, named in mkdocs.yml.

Pages are read in any Markdown viewer, so they have nothing that only MkDocs understands. Here the differences are
mended: the comments of computed parts are left out, Markdown within HTML is marked, links to files outside ``docs``
and to pages that the navigation names but that are not written yet become plain words, a link to a Chinese page names
its English page, from which the site finds the page of the reader's language, and lines of Chinese text are joined,
because a browser shows their ends as spaces.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

_VALUE = re.compile(r"<!--=.*?-->", re.DOTALL)
_HTML = re.compile(r"<(details|div)\b(?![^>]*\bmarkdown\b)")
_FENCE = re.compile(r"^(```.*?^```[^\n]*\n|~~~.*?^~~~[^\n]*\n)", re.DOTALL | re.MULTILINE)
_CHINESE_ENDS = re.compile(r"(?<=[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef])\n(?=[\u4e00-\u9fff\uff00-\uffef])")
_LINK = re.compile(r"(?<!!)\[(?P<words>[^][]+)\]\((?P<path>[^)#\s:]+)(?:#[^)]*)?\)")
_unwritten: set[str] = set()
"""Pages that the navigation names and that do not exist yet."""


def on_config(config: Any) -> Any:
    """Leave pages out of the navigation that do not exist yet; MkDocs refuses pages that the navigation lacks."""
    docs = Path(config["docs_dir"])
    kept: list[Any] = []
    for entry in config["nav"] or ():
        if isinstance(entry, str):
            kept.append(entry)
            continue
        for title, pages in entry.items():
            written = [page for page in pages if (docs / page).is_file()]
            _unwritten.update(set(pages).difference(written))
            kept += [{title: written}] if written else []
    config["nav"] = kept
    return config


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the Markdown of a page as MkDocs needs it."""
    return site_markdown(markdown, page.file.src_uri)


def site_markdown(markdown: str, path: str) -> str:
    """Return the Markdown of a page as MkDocs needs it; blocks of code stay as they are.

    Parameters
    ----------
    path: of the page, in ``docs``.
    """
    markdown = _VALUE.sub("", markdown)
    markdown = re.sub(r"^<!-- (?:run|code|show): .*? -->\n|^<!-- end -->$", "", markdown, flags=re.MULTILINE)
    parts = _FENCE.split(markdown)
    for k in range(0, len(parts), 2):
        parts[k] = _HTML.sub(r'<\1 markdown="1"', parts[k])
        parts[k] = _LINK.sub(lambda found: _inside(found, path), parts[k])
        parts[k] = _CHINESE_ENDS.sub("", parts[k])
    return "".join(parts)


def _inside(found: re.Match[str], path: str) -> str:
    """Return a link as it is, or its words where it leads out of ``docs`` or to a page that is not written yet."""
    place = posixpath.normpath(posixpath.join(posixpath.dirname(path), found["path"]))
    link = found[0].replace(".zh.md", ".md")
    return found["words"] if place.startswith("..") or place.replace(".zh.md", ".md") in _unwritten else link
