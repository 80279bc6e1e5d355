"""Run-length codes of masks in a CSV file, as Kaggle's contests have them, and the line that draws them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from unpool.dataset.outlines.outline import UndrawnFormat
from unpool.dataset.pairing.folder import PlacedFile
from unpool.wording import python_line

ROOT = "{root}"
"""The place in a repair for the folder that is checked."""

_CODES = re.compile(r"encoded_?pixels|rle|rle_?mask|mask_?rle|segmentation|annotation", re.IGNORECASE)
_CLASSES = re.compile(r"class_?id|class|label", re.IGNORECASE)
_RUNS = re.compile(r"(?:-1|\d+ \d+(?: \d+ \d+)*)?")


def run_table(file: PlacedFile, heading: Sequence[str], first: Sequence[str]) -> UndrawnFormat | None:
    """Return the format of a table whose heading and first row are those of run-length codes; None for others."""
    code = next((name for name in heading if _CODES.fullmatch(name)), None)
    if code is None or len(first) != len(heading) or not _RUNS.fullmatch(first[heading.index(code)].strip()):
        return None
    number = next((name for name in heading if _CLASSES.fullmatch(name)), None)
    number = number if number and first[heading.index(number)].isdecimal() else None
    value = "255" if number is None else f"int(r['{number}'] or 0)"
    line = (
        "import csv, glob, os, sys, numpy, PIL.Image; os.makedirs(sys.argv[2] + '/masks', exist_ok=True); "
        f"s = lambda p: os.path.splitext(os.path.basename(p))[0]; d = [(s(r['{heading[0]}']), (r['{code}'] or '')"
        f".split(), {value}) for r in csv.DictReader(open(sys.argv[1]))]; k = set(i for i, e, c in d); "
        "[PIL.Image.fromarray(m.reshape(z).T).save(sys.argv[2] + '/masks/' + s(f) + '.png') for f in "
        "glob.glob(glob.escape(sys.argv[2]) + '/**/*.*', recursive=True) if s(f) in k for z in [PIL.Image.open(f)"
        ".size] for m in [numpy.zeros(z[0] * z[1], 'uint8')] for _ in [[m.__setitem__(slice(int(a) - 1, "
        "int(a) - 1 + int(b)), c) for i, e, c in d if i == s(f) for a, b in zip(e[::2], e[1::2])]]]"
    )
    return UndrawnFormat(
        "CSV files with run-length codes hold masks as numbers of pixels, counted down the columns or along the rows",
        f"save a mask for each picture, where codes count down the columns, as most of Kaggle's do: "
        f"{python_line(line, file.path)} {ROOT}; where they count along the rows, write m.reshape(z[::-1]) in place of "
        "m.reshape(z).T",
    )
