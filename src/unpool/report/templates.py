"""The templates of HTML pages: one layout with its style sheet, and parts that several pages have.

Every value that a template writes is escaped, and a name that does not exist is an error.
"""

from __future__ import annotations

from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from unpool.report.text import ratio_text


def environment() -> Environment:
    """Return what all templates of this package share; a page adds its own filters to it."""
    shared = Environment(autoescape=True, undefined=StrictUndefined, loader=FunctionLoader(_source))
    shared.filters["ratio"] = ratio_text
    shared.filters["count"] = "{:,}".format
    return shared


def page_text(template: Template, **values: object) -> str:
    """Return a page; bytes of file names that are no letters become question marks."""
    return template.render(values).encode("utf-8", "replace").decode("utf-8")


def drawn(svg: str) -> Markup:
    """Return a drawing that a page takes as it is: the texts in it are escaped already."""
    return Markup(svg)  # noqa: S704


def _source(name: str) -> str:
    return resources.files("unpool.report").joinpath(name).read_text(encoding="utf-8")
