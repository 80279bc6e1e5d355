"""The API reference: what it makes of signatures and docstrings, and that it names what a program needs."""

from __future__ import annotations

from pathlib import Path

import pytest
from lessons import reference

import unpool
from unpool.errors import UnpoolError

PAGE = Path(__file__).parents[1] / "docs" / "manual" / "reference.md"


def test_a_docstring_becomes_lists() -> None:
    text = """Do it, as ``unpool do`` does.

    More words: with a colon.

    Parameters
    ----------
    one, two: the first line
        and the second.

    Raises
    ------
    DataError: it is wrong.
    """
    assert reference.as_markdown(text) == (
        "Do it, as `unpool do` does.\n\nMore words: with a colon.\n\n"
        "**Parameters**\n\n- `one, two`: the first line\n  and the second.\n\n**Raises**\n\n- `DataError`: it is wrong."
    )


def given(path: str, size: int = 3, *, tta: str = "none", **more: float) -> list[int]:
    """Give it."""
    raise AssertionError(path, size, tta, more)


def test_a_signature_is_that_of_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "resolve_name", lambda _: given)
    line = 'given(path: str, size: int = 3, *, tta: str = "none", **more: float) -> list[int]'
    entry = reference.Entry("x.given")
    monkeypatch.setattr(reference, "NAMES", {"All": (entry,)})
    assert reference.page() == f"## All\n\n### x.given\n\n```python\n{line}\n```\n\nGive it."
    monkeypatch.setattr(reference, "WIDTH", 20)
    assert '\n    *,\n    tta: str = "none",\n' in reference.page()


def test_the_page_has_all_that_unpool_offers() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in unpool.__all__:
        thing = getattr(unpool, name)
        if name == "nets":
            assert "### unpool.nets.build" in text
        elif isinstance(thing, type) and issubclass(thing, UnpoolError):
            assert f" {name} " in text
        else:
            assert f"### unpool.{name}\n" in text
    for member in vars(unpool.Model):
        if not member.startswith("_"):
            assert f"Model.{member}" in text


@pytest.mark.parametrize("entry", [entry for part in reference.NAMES.values() for entry in part], ids=lambda e: e.name)
def test_members_that_are_named_exist(entry: reference.Entry) -> None:
    owner = reference.resolve_name(entry.name)
    for member in entry.members or ():
        assert getattr(owner, member).__doc__
