"""Which picture belongs to which mask, in any folder layout the field uses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from types import MappingProxyType

from unpool.data.samples import Pair
from unpool.dataset.pairing.list_files import Listed, find_lists, find_name_lists, read_lists, read_name_lists
from unpool.dataset.pairing.matching import FoundFile, Match, match_apart, match_together
from unpool.dataset.pairing.names import SPLITS, folder_role
from unpool.errors import DataError
from unpool.io.folders import is_junk, picture_files
from unpool.wording import decodable

_WANTED = "a folder with pictures and masks"
_ADVICE = (
    "put the pictures into images/ and their masks, under the same names, into masks/; "
    "or x.png beside x_mask.png; or train/images, train/masks, val/images, val/masks"
)


@dataclass(frozen=True)
class Folder:
    """What was found in a folder.

    Attributes
    ----------
    layout: one sentence on how the folder was understood.
    pairs: sorted by name.
    orphan_images, orphan_masks: files without a partner.
    """

    root: Path
    layout: str
    pairs: tuple[Pair, ...]
    orphan_images: tuple[Path, ...]
    orphan_masks: tuple[Path, ...]


def find_pairs(root: Path, instances: bool = False) -> Folder:
    """Find the pairs of pictures and masks in a folder.

    Parameters
    ----------
    instances: the masks hold object numbers; a folder ``instances/`` is then preferred to other mask folders.

    Raises
    ------
    DataError: no folder, no pairs, or more than one way to read it; the candidates are named.
    """
    root = Path(root)
    if not root.is_dir():
        found = "this is a file" if root.exists() else "there is no such folder"
        raise DataError(f"{root}: {found}", _WANTED, f"check the path; {_ADVICE}")
    if lists := find_lists(root):
        return _listed(root, lists.values(), read_lists(lists))
    files = [_found(root, path) for path in picture_files(root)]
    masks = [file for file in files if file.kind == "mask"]
    folder = _apart(root, files, masks, instances) if masks else _together(root, files)
    return _split_by_lists(folder)


def _apart(root: Path, files: Sequence[FoundFile], masks: Sequence[FoundFile], instances: bool) -> Folder:
    """Pictures and masks in folders of their own."""
    images = [file for file in files if file.kind == "image"] or [file for file in files if file.kind is None]
    matches = [
        (ours, theirs, match)
        for ours in _by_word(images)
        for theirs in _by_word(masks)
        if (match := match_apart(ours, theirs)).pairs
    ]
    if instances and any(theirs[0].word.startswith("instance") for _, theirs, _ in matches):
        matches = [found for found in matches if found[1][0].word.startswith("instance")]
    if not matches:
        raise _no_pairs(root, images, masks)
    if len(matches) > 1:
        folders = " or ".join(f"{_place(root, ours)} with {_place(root, theirs)}" for ours, theirs, _ in matches)
        raise DataError(
            f"{root}: more than one way to pair: {folders}",
            "one folder of pictures and one of masks",
            "move the folder that is not meant elsewhere, or rename it, as 'unused'",
        )
    ours, theirs, match = matches[0]
    layout = f"pictures in {_place(root, ours)}, masks in {_place(root, theirs)}, paired by {match.rule}"
    others = len(files) - len(ours) - len(theirs)
    if others:
        layout += f"; {others} picture files elsewhere were left alone"
    return _folder(root, layout, match)


def _together(root: Path, files: Sequence[FoundFile]) -> Folder:
    """Pictures and masks in one folder, told apart by their names."""
    match = match_together(files)
    if not match.pairs:
        found = f"{len(files)} picture files, and no masks among them" if files else "no picture files"
        raise DataError(f"{root}: {found} ({_seen(root)})", _WANTED, _ADVICE)
    return _folder(root, f"pictures and masks in one folder, paired by {match.rule}", match)


def _folder(root: Path, layout: str, match: Match) -> Folder:
    pairs = [Pair(_name(image), image.path, mask.path, image.split) for image, mask in match.pairs]
    splits = sorted({pair.split for pair in pairs if pair.split}, key=list(SPLITS).index)
    return Folder(
        root=root,
        layout=layout + (f"; split by the folder into {', '.join(splits)}" if splits else ""),
        pairs=tuple(sorted(pairs, key=lambda pair: pair.name)),
        orphan_images=tuple(sorted(file.path for file in match.images)),
        orphan_masks=tuple(sorted(file.path for file in match.masks)),
    )


def _split_by_lists(folder: Folder) -> Folder:
    """Honour lists of names, where the folders themselves give no split."""
    if any(pair.split for pair in folder.pairs) or not (lists := find_name_lists(folder.root)):
        return folder
    splits = read_name_lists(lists, {pair.name for pair in folder.pairs})
    return replace(
        folder,
        layout=f"{folder.layout}; split by {', '.join(str(path.relative_to(folder.root)) for path in lists.values())}",
        pairs=tuple(replace(pair, split=splits.get(pair.name)) for pair in folder.pairs),
    )


def _listed(root: Path, lists: Iterable[Path], lines: Sequence[Listed]) -> Folder:
    counts = Counter(_listed_name(line) for line in lines)
    pairs = sorted(
        (Pair(_listed_name(line, counts), line.image, line.mask, line.split) for line in lines),
        key=lambda pair: pair.name,
    )
    for _, group in groupby(sorted(pairs, key=lambda pair: pair.image), key=lambda pair: pair.image):
        if len(twice := list(group)) > 1:
            raise DataError(
                f"{root}: the lists name {twice[0].image} more than once",
                "every picture on one line of one list",
                "remove the line that is not meant",
            )
    names = ", ".join(path.name for path in lists)
    return Folder(root, f"pairs and their split listed in {names}", tuple(pairs), (), ())


def _listed_name(line: Listed, counts: Mapping[str, int] = MappingProxyType({})) -> str:
    """A pair's name: its path without the folders that say nothing; all of it where ``counts`` has that name twice."""
    roles = [(part, folder_role(part)) for part in line.words.parts[:-1]]
    places = [part for part, role in roles if part != "/" and not role.kind and role.split != line.split]
    short = "/".join([line.split, *places, line.words.stem])
    return short if counts.get(short, 1) == 1 else "/".join([line.split, *line.words.parts])


def _found(root: Path, path: Path) -> FoundFile:
    parts = path.relative_to(root).parts[:-1]
    roles = [folder_role(part) for part in parts]
    kind_at = next((k for k, role in enumerate(roles) if role.kind), None)
    split_at = next((k for k, role in enumerate(roles) if role.split), None)
    return FoundFile(
        path=path,
        split=None if split_at is None else roles[split_at].split,
        place="/".join(part for k, part in enumerate(parts) if k not in (kind_at, split_at)),
        kind=None if kind_at is None else roles[kind_at].kind,
        word="" if kind_at is None else roles[kind_at].word,
    )


def _by_word(files: Sequence[FoundFile]) -> list[list[FoundFile]]:
    words = sorted({file.word for file in files})
    return [[file for file in files if file.word == word] for word in words]


def _name(image: FoundFile) -> str:
    return "/".join(part for part in (image.split, image.place, image.path.stem) if part)


def _place(root: Path, files: Sequence[FoundFile]) -> str:
    """The folders of some files, relative to the root, as a person would write them."""
    folders = sorted({file.path.parent.relative_to(root).as_posix() for file in files})
    shown = [folder + "/" if folder != "." else "the folder itself" for folder in folders]
    return " + ".join(shown[:3]) + (f" + {len(shown) - 3} more" if len(shown) > 3 else "")


def _no_pairs(root: Path, images: Sequence[FoundFile], masks: Sequence[FoundFile]) -> DataError:
    if not images:
        return DataError(f"{root}: {len(masks)} masks and no pictures ({_seen(root)})", _WANTED, _ADVICE)
    ours, theirs = (", ".join(file.path.name for file in side[:3]) for side in (images, masks))
    return DataError(
        f"{root}: no picture and mask have the same name (pictures: {ours}, …; masks: {theirs}, …)",
        "masks named like their pictures, or with one word more, as x_mask",
        "rename the masks after their pictures",
    )


def _seen(root: Path) -> str:
    seen = [path for path in root.iterdir() if not is_junk(path.name)]
    names = sorted(decodable(path.name) + ("/" if path.is_dir() else "") for path in seen)
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return f"seen: {', '.join(names[:6])}{more}" if names else "it is empty"
