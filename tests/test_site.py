"""Tests of the site: its pages, its navigation, its links, and that it needs no other machine."""

from __future__ import annotations

import posixpath
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from lessons.contents import LESSONS, table
from lessons.pages import computed, parts
from lessons.site import contents_for_programs, first_sentence, on_config, on_post_build, site_markdown

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SETTINGS: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def english(path: Path) -> bool:
    """Whether a page is not a translation."""
    return not path.name.endswith(".zh.md")


def entries(nav: Any) -> list[str]:
    """The pages that a navigation names."""
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [page for part in parts for page in entries(part)]


def test_the_navigation_names_each_page_once() -> None:
    named = entries(SETTINGS["nav"])
    assert len(set(named)) == len(named)
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if english(path)}
    assert pages <= set(named), "add them to nav in mkdocs.yml"
    kept = entries(on_config({"docs_dir": str(DOCS), "nav": SETTINGS["nav"]})["nav"])
    assert set(kept) == pages


def test_a_link_to_a_page_to_come_is_left_out() -> None:
    on_config({"docs_dir": str(DOCS), "nav": [{"Lessons": ["lessons/README.md", "lessons/to-come.md"]}]})
    assert site_markdown("[a](to-come.md) [b](README.md)", "lessons/x.md") == "a [b](README.md)"
    assert site_markdown("[a](lessons/to-come.zh.md#b)", "x.zh.md") == "a"


def test_the_lessons_are_in_their_order() -> None:
    lessons = next(part["Lessons"] for part in SETTINGS["nav"] if "Lessons" in part)
    assert lessons == ["lessons/README.md", *[f"lessons/{lesson.name}.md" for lesson in LESSONS]]


def test_the_contents_have_links_to_pages_that_exist() -> None:
    for lesson in LESSONS:
        exists = (DOCS / "lessons" / f"{lesson.name}.md").is_file()
        assert (f"({lesson.name}.md)" in table()) == exists
        assert lesson.goal[0] in table()
    chinese = computed("# 课程\n\n<!-- show: contents.table() -->\n<!-- end -->\n")
    assert LESSONS[0].goal[1] in chinese
    assert LESSONS[0].goal[1] not in computed("# Lessons\n\n<!-- show: contents.table() -->\n<!-- end -->\n")


def headings(path: Path) -> set[str]:
    """The anchors of a page's headings, as Markdown viewers make them; of English pages only."""
    lines = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE), re.M)
    return {re.sub(r"[^\w\- ]", "", line.lower()).strip().replace(" ", "-") for line in lines}


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.md")), ids=lambda path: path.relative_to(DOCS).as_posix())
def test_links_lead_to_files_and_headings(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name) if name else path
        unwritten = posixpath.normpath(posixpath.join(path.parent.relative_to(DOCS).as_posix(), name))
        if unwritten.replace(".zh.md", ".md") in entries(SETTINGS["nav"]) and not target.exists():
            continue  # a page to come, whose link the site leaves out
        assert target.exists(), link
        if anchor and target.suffix == ".md" and english(target):
            assert anchor in headings(target), link


def test_markdown_as_the_site_needs_it() -> None:
    page = (
        "Lost: <!--= 572 - 388 -->184<!--=-->.\n\n"
        "<!-- run: unpool explain -->\n```text\n<details> [a](../x.md) <!-- end -->\n```\n<!-- end -->\n\n"
        "<details><summary>Question</summary>\n\n**Answer**, [more](../ARCHITECTURE.md), "
        "[next](lessons/padding.zh.md#a), [arXiv](https://arxiv.org/abs/1505.04597), ![p](../x.png)\n\n</details>\n"
    )
    assert site_markdown(page, "README.zh.md") == (
        "Lost: 184.\n\n"
        "```text\n<details> [a](../x.md) <!-- end -->\n```\n\n\n"
        '<details markdown="1"><summary>Question</summary>\n\n**Answer**, more, [next](lessons/padding.md#a), '
        "[arXiv](https://arxiv.org/abs/1505.04597), ![p](../x.png)\n\n</details>\n"
    )
    assert (
        site_markdown("第一行，\n第二行 a\n第三行。\n\n- 一\n- 二\n", "x.zh.md")
        == "第一行，第二行 a\n第三行。\n\n- 一\n- 二\n"
    )
    inner = '<div class="lesson-widget" data-widget="unpooling">\n\n[up](../README.md)\n\n</div>\n'
    assert site_markdown(inner, "lessons/padding.md") == inner.replace("<div ", '<div markdown="1" ')


def test_the_first_sentence_of_a_page() -> None:
    page = "<!-- by hand -->\n\n    code\n\n| a |\n|---|\n\nBy Long\net al. 2015, **as** [printed](a.md#b). More.\n"
    assert first_sentence(page) == "By Long et al. 2015, as printed."
    assert first_sentence("```text\nNot this.\n```\nIs it `so`? Yes.") == "Is it `so`?"
    assert not first_sentence("\n## Only a heading\n")


def test_programs_find_every_page_with_a_sentence(tmp_path: Path) -> None:
    config = on_config({"docs_dir": str(DOCS), "site_dir": str(tmp_path), "nav": SETTINGS["nav"]})
    config |= {name: SETTINGS[name] for name in ("site_name", "site_description", "theme")}
    for page in DOCS.rglob("*.md"):
        (tmp_path / page.relative_to(DOCS)).parent.mkdir(parents=True, exist_ok=True)
    on_post_build(config)
    lines = (tmp_path / "llms.txt").read_text(encoding="utf-8").splitlines()
    assert lines == list(contents_for_programs(config["site_name"], config["site_description"], config["nav"], DOCS))
    assert lines[0] == "# Unpool"
    assert lines[2].startswith("> ")
    assert [line[3:] for line in lines if line.startswith("## ")] == [next(iter(part)) for part in config["nav"][1:]]
    found = [re.fullmatch(r"- \[.+\]\((\S+)\): \S.+[.?!]", line) for line in lines if line.startswith("- ")]
    named = [each[1] for each in found if each]
    assert len(named) == len(found), "a page has no heading, or no sentence"
    assert named == [page for page in entries(config["nav"]) if page != "README.md"]
    for name in named:
        assert (tmp_path / name).read_bytes() == (DOCS / name).read_bytes()


def test_the_settings_name_all_scripts_and_no_other_machine() -> None:
    scripts = {path.relative_to(DOCS).as_posix() for path in (DOCS / "lessons" / "scripts").iterdir()}
    named = SETTINGS["extra_javascript"] + SETTINGS["extra_css"]
    assert set(named) == scripts
    assert named[0] == "lessons/scripts/widget.js"  # the parts come before what is made of them
    assert SETTINGS["theme"]["font"] is False
    assert "http" not in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


@pytest.mark.skipif(find_spec("mkdocs") is None or find_spec("mkdocs_static_i18n") is None, reason="extra 'docs'")
def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    site = tmp_path / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", site],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False, env={"NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "WARNING -" not in done.stderr
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)="(https?:[^"]*)"', text)
        assert not loaded, f"{page.name} loads {loaded}"
        assert "<!-- run:" not in text
        assert "<!--=" not in text
    contents = (site / "llms.txt").read_text(encoding="utf-8")
    assert contents.startswith(f"# Unpool\n\n> {SETTINGS['site_description']}.\n")
    assert (site / "manual" / "export.md").is_file()
    chinese = (site / "zh" / "lessons" / "index.html").read_text(encoding="utf-8")
    assert 'lang="zh"' in chinese
    assert LESSONS[0].goal[1] in chinese


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.zh.md")), ids=lambda path: path.relative_to(DOCS).as_posix())
def test_chinese_pages_link_chinese_pages(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s#:]+\.md)\b", path.read_text(encoding="utf-8")):
        target = path.parent / link
        assert not english(target) or not target.with_suffix(".zh.md").exists(), link


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.zh.md")), ids=lambda path: path.relative_to(DOCS).as_posix())
def test_a_chinese_page_begins_with_a_sentence(path: Path) -> None:
    heading, _, text = path.read_text(encoding="utf-8").partition("\n")
    assert re.match(r"# .*[\u4e00-\u9fff]", heading) or not parts(text), "its computed parts would be in English"
    first = next(part for part in re.split(r"\n\s*\n", text.strip("\n")) if not part.startswith("<!--"))
    assert "。" in first


def paragraphs(path: Path) -> list[str]:
    """The paragraphs of a page, list items and rows of tables alone, without code."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.split(r"\n\s*\n|\n(?=[-|\d])", re.sub(r"`[^`]*`", "c", text))


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.zh.md")), ids=lambda path: path.relative_to(DOCS).as_posix())
def test_bold_chinese_words_are_bold_in_every_viewer(path: Path) -> None:
    """CommonMark needs a space or punctuation outside of ** where there is punctuation inside."""
    for paragraph in paragraphs(path):
        parts = paragraph.split("**")
        for before, bold, after in zip(parts[::2], parts[1::2], parts[2::2], strict=False):
            assert not (re.search(r"[^\w\s]$", bold) and re.match(r"\w", after)), f"{bold}**{after[:9]}"
            assert not (re.match(r"[^\w\s]", bold) and re.search(r"\w$", before)), f"{before[-9:]}**{bold}"


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.zh.md")), ids=lambda path: path.relative_to(DOCS).as_posix())
def test_chinese_text_has_full_width_punctuation(path: Path) -> None:
    for paragraph in paragraphs(path):
        text = re.sub(r"\]\([^)]*\)|<!--.*?-->", "", paragraph, flags=re.DOTALL)
        found = re.search(r".?[\u4e00-\u9fff][:;?!]", text)
        assert found is None, found
