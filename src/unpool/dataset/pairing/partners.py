"""Why no picture of a folder has a mask: the cause, where names and folders show one, and its repair."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from unpool.dataset.pairing.belonging import Belonging, belonging, belonging_by
from unpool.dataset.pairing.few_values import share_with_few_values
from unpool.dataset.pairing.folder import FolderContents, PlacedFile, composed, no_layout
from unpool.dataset.pairing.matching import require_one_of_each_name
from unpool.dataset.pairing.split_lists import names_picture
from unpool.dataset.pairing.unread_files import DRAWING_FORMATS, UnreadFiles, unread_files, unread_repair, unread_text
from unpool.dataset.pairing.words import UNUSED
from unpool.errors import DataError
from unpool.wording import count_text, decodable, first_of

ONE_MASK = "one mask for each picture"
_LATIN = str.maketrans("аеорсхуіјѕАВЕКМНОРСТХУІЈЅαορνΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aeopcxyijsABEKMHOPCTXYIJSaopvABEZHIKMNOPTYX")
"""Letters of other alphabets that look as Latin ones."""
_COUNTED = re.compile(r"[_\-. ]\(?\d+\)?$")
"""The end of a name that is a counter."""
JOIN = (
    "if each shows one class or one object, join the masks of a picture into one file, named after the picture, with "
    f"a value for each class or object; else move those that you do not mean into a folder {UNUSED}/"
)
"""The repair of several masks for one picture beside masks that are used."""
_NAME_PARTS = (
    "if each shows one class or one object, give it the values 0 and 255, and name it after its picture with a word or "
    "a number more, such as x_cell or x_1 for x, in a folder masks/; then they are joined; else move those that you do "
    f"not mean into a folder {UNUSED}/"
)
"""The repair of several masks for each picture."""
SEVERAL_DRAWINGS = (
    "they show nearly the same regions, as drawings by several people do: keep one mask for each picture, and move the "
    f"others into a folder {UNUSED}/, which is left out"
)
"""The repair of several masks for one picture that show the same thing."""


def no_layout_error(contents: FolderContents) -> DataError:
    """Return the error of a folder that no layout fits, with the cause where names and folders show one.

    Raises
    ------
    DataError: two pictures of a folder have the same name.
    """
    masks = [file for file in contents.files if file.kind == "mask"]
    if not masks:
        require_one_of_each_name(contents.files)
        return _no_masks(contents)
    images = [file for file in contents.files if file.kind == "image"]
    images = images or [file for file in contents.files if file.kind is None]
    return _no_pairs(contents, images, masks) if images else _no_pictures(contents, masks)


def _no_pairs(contents: FolderContents, images: Sequence[PlacedFile], masks: Sequence[PlacedFile]) -> DataError:
    """Return the error of pictures and masks of which none belong together, with the cause."""
    if found := belonging(images, masks):
        if not found.several and share_with_few_values([owned[0].path for _, owned in found.masks]) == 0:
            return _many_values(contents, found)
        return several_masks_error(contents, found) if found.several else _named_otherwise(contents, found)
    if error := _several_pictures(contents, images, masks):
        return error
    if len(masks) > len(images) and len(masks) % len(images) == 0:
        return _more_masks(contents, images, masks)
    if alike := _alike(images, masks):
        same = composed(alike[0].path.stem) == composed(alike[1].path.stem)
        return _apart(contents, *alike) if same else _looking_alike(contents, *alike)
    unread = [each for each in unread_files(contents) if each.kind]
    image_names, mask_names = (first_of([file.path.name for file in side], 3) for side in (images, masks))
    return DataError(
        f"{contents.root}: no picture and mask have the same name (pictures: {image_names}; masks: {mask_names})"
        + (f"; {unread_text(unread)}" if unread else ""),
        "masks with the names of their pictures, or with one word more, such as x_mask for x",
        (f"{unread_repair(unread)}; or " if unread else "") + "rename the masks after their pictures",
    )


def _several_pictures(
    contents: FolderContents, images: Sequence[PlacedFile], masks: Sequence[PlacedFile]
) -> DataError | None:
    """Return the error of pictures of which several begin with the name of one mask, as channels do; else None."""
    begun: dict[str, list[PlacedFile]] = {composed(mask.path.stem): [] for mask in masks}
    for image in images:
        stem = composed(image.path.stem)
        gaps = [stem[: gap.start()] for gap in re.finditer(r"[_\-. ]", stem)]
        if owner := next((part for part in reversed(gaps) if part in begun), None):
            begun[owner].append(image)
    counts = {len(own) for own in begun.values()}
    if len(counts) != 1 or (count := counts.pop()) < 2:
        return None
    mask, names = masks[0], first_of([_place(contents.root, each) for each in begun[composed(masks[0].path.stem)]], 3)
    stem, suffix = mask.path.stem, images[0].path.suffix
    return DataError(
        f"{contents.root}: {count} pictures for each mask: {_place(contents.root, mask)} may be that of {names}",
        "one picture for each mask",
        f"if they are channels of one picture, name them {stem}_0000{suffix}, {stem}_0001{suffix} and so on, in a "
        "folder images/, beside the masks in masks/; then they are stacked; else move those that you do not mean into "
        f"a folder {UNUSED}/, and name the masks after the others",
    )


def _alike(images: Sequence[PlacedFile], masks: Sequence[PlacedFile]) -> tuple[PlacedFile, PlacedFile] | None:
    """Return a picture and a mask whose names look alike: equal ones, or such as differ in letters beyond ASCII."""
    by_sight = {_by_sight(image.path.stem): image for image in images}
    for mask in masks:
        if image := by_sight.get(_by_sight(mask.path.stem)):
            return image, mask
    return None


def _by_sight(name: str) -> str:
    """Return a name as an eye may read it: wide and bound letters as usual ones, Cyrillic and Greek ones as Latin."""
    shown = unicodedata.normalize("NFKC", name)
    return "".join(letter for letter in shown.translate(_LATIN) if unicodedata.category(letter) != "Cf")


def _apart(contents: FolderContents, image: PlacedFile, mask: PlacedFile) -> DataError:
    return DataError(
        f"{contents.root}: {_place(contents.root, image)} and {_place(contents.root, mask)} have the same name, but "
        "their folders do not belong together",
        "pictures and masks in folders of one kind, such as images and masks, or train and trainannot",
        "move the pictures into such a folder, or give the folder of the masks its name",
    )


def _looking_alike(contents: FolderContents, image: PlacedFile, mask: PlacedFile) -> DataError:
    names = [composed(file.path.stem) for file in (image, mask)]
    place = next(k for k, pair in enumerate(zip_longest(*names)) if pair[0] != pair[1])
    one, other = (
        unicodedata.name(name[place], f"U+{ord(name[place]):04X}") if place < len(name) else "its end" for name in names
    )
    return DataError(
        f"{contents.root}: the names of pictures and masks look alike, but differ: {_place(contents.root, image)} and "
        f"{_place(contents.root, mask)} have {one} and {other} at letter {place + 1}",
        "masks with the names of their pictures, letter by letter",
        "rename the masks after their pictures",
    )


def _no_masks(contents: FolderContents) -> DataError:
    """Return the error of a folder in which no file is known as a mask, with the cause."""
    files, unread = contents.files, [*unread_files(contents), *_drawings(contents)]
    if not files:
        return _unreadable(contents, "no picture files", unread)
    found = belonging_by("word", files, files)
    # the pictures of a film end with counters
    counted = all(_COUNTED.search(mask.path.stem) for _, masks in found.masks for mask in masks)
    if found.several and not counted and found.count + len(found.masks) >= len(files):
        return several_masks_error(contents, found)
    return _unreadable(contents, f"{count_text(len(files), 'picture file')}, and no masks among them", unread)


def _no_pictures(contents: FolderContents, masks: Sequence[PlacedFile]) -> DataError:
    """Return the error of a folder in which all picture files are masks, with the cause."""
    return _unreadable(contents, f"{count_text(len(masks), 'mask')} and no pictures", unread_files(contents))


def _unreadable(contents: FolderContents, found: str, unread: Sequence[UnreadFiles]) -> DataError:
    """Return the error of a folder without a layout, which files that are not read may explain."""
    error = no_layout(contents.root, found)
    if not unread:
        return error
    return DataError(
        f"{contents.root}: {found}, but {unread_text(unread)}",
        "pictures and masks as PNG, TIFF, JPEG, BMP, GIF, WebP, PNM or NPY files",
        unread_repair(unread),
    )


def _drawings(contents: FolderContents) -> list[UnreadFiles]:
    """Return files that have or hold names of pictures, and may hold outlines, as labelme's JSON files do."""
    places = {file.path.with_suffix("") for file in contents.files}
    stems = {composed(file.path.stem) for file in contents.files}
    files = [
        file.path for file in contents.others if file.kind != "mask" and file.path.suffix.lower() in DRAWING_FORMATS
    ]
    own = [path for path in files if path.with_suffix("") in places]
    own += [path for path in files[:50] if path not in own and names_picture(path, stems)]
    counts = Counter((path.parent, path.suffix.lower()) for path in own)
    return [
        UnreadFiles(contents.root, decodable(folder.relative_to(contents.root).as_posix()), suffix, count, "mask")
        for (folder, suffix), count in counts.most_common()
    ]


def several_masks_error(contents: FolderContents, found: Belonging, repair: str = _NAME_PARTS) -> DataError:
    """Return the error of pictures with several masks each."""
    numbers = {len(masks) for _, masks in found.masks}
    each = str(numbers.pop()) if len(numbers) == 1 else f"{min(numbers)} to {max(numbers)}"
    image, masks = found.masks[0]
    names = first_of([_place(contents.root, mask) for mask in masks], 2)
    count = f"{count_text(found.count, 'mask')} for {count_text(len(found.masks), 'picture')}"
    return DataError(
        f"{contents.root}: {count}, {each} for each picture: {_place(contents.root, image)} has {names}",
        ONE_MASK,
        repair,
    )


def _more_masks(contents: FolderContents, images: Sequence[PlacedFile], masks: Sequence[PlacedFile]) -> DataError:
    """Return the error of masks that are a multiple of the pictures, and have no name of a picture."""
    names = first_of([_place(contents.root, mask) for mask in masks], 2)
    return DataError(
        f"{contents.root}: {count_text(len(masks), 'mask')} for {count_text(len(images), 'picture')}, and no name "
        f"shows which belong together: {names}",
        ONE_MASK,
        _NAME_PARTS,
    )


def _many_values(contents: FolderContents, found: Belonging) -> DataError:
    """Return the error of files that are named and placed as masks, and have the values of pictures."""
    image, (mask, *_) = found.masks[0]
    return DataError(
        f"{contents.root}: {_place(contents.root, mask)} may be the mask of {_place(contents.root, image)}, but has "
        "many values, as pictures, heat maps and overlays have",
        "masks with one value for each class",
        f"save the masks as PNG files with one value for each class; or move these files into a folder {UNUSED}/",
    )


def _named_otherwise(contents: FolderContents, found: Belonging) -> DataError:
    """Return the error of masks that have other names or places than their pictures, one for each."""
    image, (mask, *_) = found.masks[0]
    fact, repair = {
        "word": ("has no word that means a mask", "name it {stem}_mask{suffix}, and the others alike"),
        "place": ("lies in another sub-folder", "give the masks the same sub-folders that their pictures have"),
        "folder": (
            "lies in a folder of its own",
            "name it {stem}_mask{suffix}, in the picture's folder, and the others alike",
        ),
        "zeros": ("has its number with other zeros", "name it {stem}{suffix}, and the others alike"),
    }[found.way]
    return DataError(
        f"{contents.root}: {_place(contents.root, mask)} may be the mask of {_place(contents.root, image)}, but {fact}",
        "masks with the names and sub-folders of their pictures, or with one word more, such as x_mask for x",
        repair.format(stem=image.path.stem, suffix=mask.path.suffix),
    )


def _place(root: Path, file: PlacedFile) -> str:
    return file.path.relative_to(root).as_posix()
