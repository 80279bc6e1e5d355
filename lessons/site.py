"""What the site needs beyond the plain Markdown of its pages: a hook of MkDocs, named in mkdocs.yml.

Pages are read in any Markdown viewer, so they have nothing that only MkDocs understands. Here the differences are
mended: the comments of computed parts are left out, Markdown within HTML is marked, links to files outside ``docs``
become plain words, a link to a Chinese page names its English page, from which the site finds the page of the reader's
language, and lines of Chinese text are joined, because a browser shows their ends as spaces.
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


def on_config(config: Any) -> Any:
    """Leave pages out of the navigation that do not exist yet; MkDocs refuses pages that the navigation lacks."""
    docs = Path(config["docs_dir"])
    kept: list[Any] = []
    for entry in config["nav"] or ():
        if isinstance(entry, str):
            kept.append(entry)
            continue
        sections = {title: [page for page in pages if (docs / page).is_file()] for title, pages in entry.items()}
        kept += [{title: pages} for title, pages in sections.items() if pages]
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
    """Return a link as it is, or its words where it leads out of ``docs``."""
    place = posixpath.normpath(posixpath.join(posixpath.dirname(path), found["path"]))
    return found["words"] if place.startswith("..") else found[0].replace(".zh.md", ".md")
