"""COCO's run-length coding of masks: runs of zeros and ones in turn, down the columns, as numbers or as a text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unpool.shapes import Size

_BITS, _MORE, _NEGATIVE, _FIRST = 0x1F, 0x20, 0x10, 48


def runs_of_mask(mask: NDArray[np.bool_]) -> list[int]:
    """Return the runs of a mask (rows, columns). The first is of zeros, and may be empty."""
    flat = mask.T.reshape(-1)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    first = [0] if flat.size and flat[0] else []
    lengths: list[int] = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return first + lengths


def mask_of_runs(runs: Sequence[int], size: Size) -> NDArray[np.bool_]:
    """Return the mask (rows, columns) of some runs. Raises ValueError where they do not fit its size."""
    lengths = np.array(runs, np.int64)
    if lengths.size and (lengths.min() < 0 or lengths.max() > size[0] * size[1]):
        raise ValueError("a run that is negative, or longer than the picture")
    if int(lengths.sum()) != size[0] * size[1]:
        raise ValueError(f"runs of {int(lengths.sum()):,} pixels, and the picture has {size[0] * size[1]:,}")
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(size[1], size[0]).T


def coco_text(runs: Sequence[int]) -> str:
    """Return runs as COCO's text: from the fourth on as differences to the run two before, five bits a letter."""
    letters: list[str] = []
    for place, run in enumerate(runs):
        rest = run - runs[place - 2] if place > 2 else run
        while True:
            bits = rest & _BITS
            rest >>= 5
            more = rest != (-1 if bits & _NEGATIVE else 0)
            letters.append(chr(_FIRST + bits + (_MORE if more else 0)))
            if not more:
                break
    return "".join(letters)


def runs_of_coco_text(text: str) -> list[int]:
    """Return the runs of COCO's text. Raises ValueError where a letter is none of it."""
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        code = ord(letter) - _FIRST
        if not 0 <= code < 2 * _MORE or shift > 60:
            raise ValueError(f"{letter!r} in the text of runs")
        value |= (code & _BITS) << shift
        shift += 5
        if code & _MORE:
            continue
        if code & _NEGATIVE:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("the text of runs ends within a number")
    return runs
