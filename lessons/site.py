"""What the site needs beyond the plain Markdown of its pages: a hook of MkDocs, named in mkdocs.yml.

Pages are read in any Markdown viewer, so they have nothing that only MkDocs understands. Here the differences are
mended: the comments of computed parts are left out, Markdown within HTML is marked, links to files outside ``docs``
and to pages that the navigation names but that are not written yet become plain words, a link to a Chinese page names
its English page, from which the site finds the page of the reader's language, and lines of Chinese text are joined,
because a browser shows their ends as spaces.

The site also has ``llms.txt`` (llmstxt.org): all pages with a sentence each, as links to their plain Markdown, which is
copied beside them.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_VALUE = re.compile(r"<!--=.*?-->", re.DOTALL)
_HTML = re.compile(r"<(details|div)\b(?![^>]*\bmarkdown\b)")
_FENCE = re.compile(r"^(```.*?^```[^\n]*\n|~~~.*?^~~~[^\n]*\n)", re.DOTALL | re.MULTILINE)
_CHINESE_ENDS = re.compile(r"(?<=[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef])\n(?=[\u4e00-\u9fff\uff00-\uffef])")
_LINK = re.compile(r"(?<!!)\[(?P<words>[^][]+)\]\((?P<path>[^)#\s:]+)(?:#[^)]*)?\)")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_SENTENCE = re.compile(r".+?[.!?](?= [A-Z`]|$)")
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


def on_post_build(config: Any, **_: Any) -> None:
    """Write ``llms.txt`` into the site, and the plain Markdown of each page; once, with the English build."""
    if config["theme"]["language"] != "en":
        return
    docs, site = Path(config["docs_dir"]), Path(config["site_dir"])
    for page in docs.rglob("*.md"):
        shutil.copy(page, site / page.relative_to(docs))
    text = "\n".join(contents_for_programs(config["site_name"], config["site_description"], config["nav"], docs))
    (site / "llms.txt").write_text(text + "\n", encoding="utf-8")


def contents_for_programs(name: str, description: str, nav: list[Any], docs: Path) -> Iterator[str]:
    """Yield the lines of ``llms.txt``: the title, the summary, and for each section its pages with a sentence each."""
    yield from (f"# {name}", "", f"> {description}.", "")
    yield "Lessons, symptoms and most pages of the manual also have a page in Chinese, with the suffix `.zh.md`."
    for title, pages in (each for entry in nav if isinstance(entry, dict) for each in entry.items()):
        yield from ("", f"## {title}", "")
        for page in pages:
            heading, _, text = (docs / page).read_text(encoding="utf-8").partition("\n")
            yield f"- [{heading.removeprefix('# ')}]({page}): {first_sentence(text)}"


def first_sentence(markdown: str) -> str:
    """Return the first sentence of the first paragraph, without links and bold; an empty text where there is none."""
    plain = _COMMENT.sub("", _FENCE.sub("", markdown))
    for paragraph in re.split(r"\n\s*\n", plain.strip("\n")):
        if re.match(r"[\w*`\[]", paragraph):
            line = _LINK.sub(r"\g<words>", " ".join(paragraph.split())).replace("**", "")
            found = _SENTENCE.match(line)
            return found[0] if found else line
    return ""


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
