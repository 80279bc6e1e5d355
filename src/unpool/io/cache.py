"""The cache folder: files that Unpool can make again, outside the folders of a person; it may be deleted."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path


def cache_folder() -> Path | None:
    """Return the folder for files that can be made again, by the system's convention; None where there is no home."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if given.is_absolute():  # the convention passes over other paths
        return given / "unpool"
    if platform.system() == "Windows":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) / "unpool" / "cache" if local else None
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "unpool"
