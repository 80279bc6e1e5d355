"""The address of a database, which is never shown with its password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import parse_qsl, unquote

from unpool.wording import on_one_line

_PARTS = re.compile(
    r"(?P<kind>[\w+]+)://(?:(?P<user>[\w.%+-]*)(?::(?P<password>[^@]*))?@)?"
    r"(?P<place>(?:[\w.-]*|\[[\da-fA-F:.]+\])(?::\d*)?(?:/[\w.%/ -]*)?)(?:\?(?P<query>[^@]*))?"
)
"""An address whose password is surely where it is looked for. Of any other, nothing but the kind is shown."""

DRIVERS = ("psycopg", "psycopg2")
"""Packages that talk to PostgreSQL; SQLAlchemy 2.0 and 2.1 take different ones where an address names none."""


@dataclass(frozen=True)
class Address:
    """The address of a database as SQLAlchemy takes it: ``postgresql://USER:PASSWORD@HOST/DATABASE``."""

    text: str

    @property
    def shown(self) -> str:
        """The address without its password and options."""
        if found := _PARTS.fullmatch(self.text):
            user = f"{found['user']}@" if found["user"] else ""
            return on_one_line(f"{found['kind']}://{user}{found['place']}")
        kind = re.match(r"[\w+]+(?=://)", self.text)
        return f"{kind[0]}://…" if kind else "--storage"

    @property
    def with_driver(self) -> str:
        """The address with an installed driver, where it is of PostgreSQL and names none."""
        kind, mark, rest = self.text.partition("://")
        installed = [name for name in DRIVERS if kind == "postgresql" and find_spec(name)]
        return f"{kind}+{installed[0]}{mark}{rest}" if installed else self.text

    @property
    def options(self) -> dict[str, str]:
        """The options after the question mark; none where it is not sure which these are."""
        found = _PARTS.fullmatch(self.text)
        return dict(parse_qsl(found["query"] or "")) if found else {}

    def without_secrets(self, message: str) -> str:
        """Return the first line of a library's message without the password; no line where a part may remain."""
        found = _PARTS.fullmatch(self.text)
        if not found:
            return "the library's message is left out, because it may have a part of the password"
        password = found["password"] or ""
        secrets = {password, unquote(password), *(v for k, v in self.options.items() if "pass" in k)} - {""}
        for secret in sorted(secrets, key=len, reverse=True):
            message = message.replace(secret, "***")
        return on_one_line((message.strip().splitlines() or [""])[0])
