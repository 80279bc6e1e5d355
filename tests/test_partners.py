"""Lists, names that look alike, and what is said where pictures and masks have no partner."""

import unicodedata
from pathlib import Path

import pytest

from made_pairs import box, picture, saved
from test_data_folder import paired, touch
from unpool.commands.predict.targets import find_targets
from unpool.dataset.findings import Finding
from unpool.dataset.pairing.layouts import find_pairs
from unpool.dataset.pairing.words import list_split
from unpool.dataset.survey import survey
from unpool.errors import DataError

ABC = [f"{folder}/{name}.png" for name in "abc" for folder in ("images", "masks")]


def said(root: Path) -> dict[str, Finding]:
    return {finding.code: finding for finding in find_pairs(root).findings}


def splits(root: Path) -> dict[str, str | None]:
    return {pair.name: pair.split for pair in find_pairs(root).pairs}


@pytest.mark.parametrize("line", [r"pics\{0}.png ids\{0}.png", r"C:\My Data\pics\{0}.png,C:\My Data\ids\{0}.png"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["{}.txt", "{}_list.txt", "list-{}.lst", "{}set.txt", "lists/{}.txt", "{}.csv"])
def test_lists_from_windows(tmp_path: Path, line: str, encoding: str, name: str) -> None:
    touch(tmp_path, "pics/a.png", "ids/a.png", "pics/b.png", "ids/b.png")
    for split, pair in (("train", "a"), ("val", "b")):
        path = tmp_path / name.format(split)
        path.parent.mkdir(exist_ok=True)
        heading = "image,mask\r\n" if path.suffix == ".csv" else ""
        path.write_bytes((heading + line.format(pair) + "\r\n").encode(encoding))
    assert {(image, mask, split) for image, mask, split in paired(tmp_path).values()} == {
        ("pics/a.png", "ids/a.png", "train"),
        ("pics/b.png", "ids/b.png", "val"),
    }


@pytest.mark.parametrize("place", ["VOC2012/ImageSets/Segmentation", "lists", ""])
@pytest.mark.parametrize("line", ["{}", "images\\{}.png", "masks/{}.png", "/home/me/VOC2012/images/{}.png"])
def test_lists_of_names_may_lie_below(tmp_path: Path, place: str, line: str) -> None:
    touch(tmp_path, *(f"VOC2012/{name}" for name in ABC))
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    for split, names in (("train", "ac"), ("val", "b")):
        (tmp_path / place / f"{split}.txt").write_text("\n".join(map(line.format, names)))
    assert splits(tmp_path) == {"VOC2012/a": "train", "VOC2012/b": "val", "VOC2012/c": "train"}


def test_two_years_have_lists_of_their_own(tmp_path: Path) -> None:
    for year, split in (("2007", "train"), ("2012", "val")):
        touch(tmp_path, *(f"VOC{year}/{name}" for name in ABC[:2]))
        lists = tmp_path / f"VOC{year}" / "ImageSets" / "Segmentation"
        lists.mkdir(parents=True)
        (lists / f"{split}.txt").write_text("a\n")
    assert splits(tmp_path) == {"VOC2007/a": "train", "VOC2012/a": "val"}


def test_lists_that_are_not_used_are_named(tmp_path: Path) -> None:
    touch(tmp_path, *ABC)
    for fold in ("fold1", "fold2"):
        (tmp_path / fold).mkdir()
        (tmp_path / fold / "train.txt").write_text("a\nb\n")
    (tmp_path / "testing.json").write_text('["nothing", "else"]')
    warning = said(tmp_path)["lists-unused"]
    assert (warning.severity, warning.files) == ("warning", ("fold1/train.txt", "fold2/train.txt"))
    (tmp_path / "train.txt").write_text("a\nb\n")
    assert said(tmp_path)["lists-unused"].severity == "note"


def test_pictures_of_lists_must_exist(tmp_path: Path) -> None:
    touch(tmp_path, *ABC, "images/z.png")
    (tmp_path / "val.txt").write_text("b\nz\n")
    assert "1 picture of the lists without a mask: z" in said(tmp_path)["listed-without-mask"].found
    (tmp_path / "train.txt").write_text("a\nC\n")
    with pytest.raises(
        DataError, match=r"train\.txt: line 2, 'C', names no picture of the folder; there is images/c\.png"
    ):
        find_pairs(tmp_path)
    (tmp_path / "train.txt").write_text("images/a.png masks/a.png\nimages/c.jpg masks/c.png")
    with pytest.raises(DataError, match=r"names images/c\.jpg, which does not exist; there is images/c\.png"):
        find_pairs(tmp_path)


def test_two_lists_for_one_split_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, *ABC)
    (tmp_path / "val.txt").write_text("a\n")
    (tmp_path / "valid.txt").write_text("b\n")
    with pytest.raises(DataError, match="two lists for the split val"):
        find_pairs(tmp_path)


@pytest.mark.parametrize(
    ("stem", "split"),
    [
        ("train", "train"),
        ("trainlist", "train"),
        ("image-list_VAL", None),
        ("val_ids", "val"),
        ("list_testing", "test"),
        ("trainval", None),
        ("notes", None),
        ("tr", None),
        ("lists", None),
        ("aeroplane_train", None),
    ],
)
def test_names_of_lists(stem: str, split: str | None) -> None:
    assert list_split(stem) == split


def test_names_that_look_alike_are_equal(tmp_path: Path) -> None:
    composed, parted = (unicodedata.normalize(form, "Übung é") for form in ("NFC", "NFD"))
    touch(tmp_path, f"{composed}/images/{composed}.png", f"{parted}/masks/{parted}.png")
    (tmp_path / "train.txt").write_text(f"{parted}\n")
    assert splits(tmp_path) == {f"{composed}/{composed}": "train"}
    (tmp_path / "train.txt").write_text(f"{parted}/images/{parted}.png {composed}/masks/{composed}.png\n")
    assert len(find_pairs(tmp_path).pairs) == 1
    (tmp_path / "train.txt").unlink()
    touch(tmp_path, f"{composed}/images/{parted}.png")
    with pytest.raises(DataError, match="letters are composed differently"):
        find_pairs(tmp_path)


@pytest.mark.parametrize(
    ("mask", "difference"),
    [
        ("a\u00a0c", "SPACE and NO-BREAK SPACE at letter 2"),
        ("a\u200b c", "SPACE and ZERO WIDTH SPACE at letter 2"),
        ("a \u0441", "LATIN SMALL LETTER C and CYRILLIC SMALL LETTER ES at letter 3"),
        ("a c\u00ad", "its end and SOFT HYPHEN at letter 4"),
    ],
)
def test_names_that_look_alike_and_differ_are_told_apart(tmp_path: Path, mask: str, difference: str) -> None:
    touch(tmp_path, "images/a c.png", f"masks/{mask}.png")
    with pytest.raises(DataError, match=f"look alike, but differ: .* have {difference}"):
        find_pairs(tmp_path)


def test_capital_letters_alone_do_not_part_a_pair(tmp_path: Path) -> None:
    touch(tmp_path, "images/IM1.PNG", "masks/im1.png", "images/a.png", "masks/a.png", "images/A.png")
    folder = find_pairs(tmp_path)
    assert {(pair.image.name, pair.mask.name) for pair in folder.pairs} == {("IM1.PNG", "im1.png"), ("a.png", "a.png")}
    assert "1 pairs without regard to capital letters" in folder.layout.replace("1 pair ", "1 pairs ")
    touch(tmp_path, "images/Im1.png")
    with pytest.raises(DataError, match="two pictures have the same name apart from capital letters"):
        find_pairs(tmp_path)


def test_ids_to_train_on_are_taken_and_other_masks_are_named(tmp_path: Path) -> None:
    words = ["labelIds", "labelTrainIds", "color", "instanceIds"]
    touch(tmp_path, *(f"leftImg8bit/train/{n}_leftImg8bit.png" for n in "ab"))
    touch(tmp_path, *(f"gtFine/train/{n}_gtFine_{word}.png" for n in "ab" for word in words))
    folder = find_pairs(tmp_path)
    assert [pair.mask.name for pair in folder.pairs] == ["a_gtFine_labelTrainIds.png", "b_gtFine_labelTrainIds.png"]
    assert folder.unpaired_masks == ()
    (note,) = folder.findings
    assert (note.code, note.severity, len(note.files)) == ("other-masks", "note", 6)
    (tmp_path / "gtFine" / "train" / "b_gtFine_labelTrainIds.png").unlink()
    warning = said(tmp_path)["other-masks"]
    assert warning.severity == "warning"
    assert "1 of 'labelTrainIds'" in warning.found


def test_several_masks_that_cannot_be_joined_are_said(tmp_path: Path) -> None:
    names = ["images/{}.png", "masks/q-{0}1.png", "masks/q-{0}2.png"]
    touch(tmp_path, *(name.format(f"im{k}") for name in names for k in range(3)))
    with pytest.raises(
        DataError, match=r"6 masks for 3 pictures, and no name shows which belong together: .*\n.*one mask for each"
    ) as error:
        find_pairs(tmp_path)
    assert "give it the values 0 and 255, and name it after its picture" in error.value.repair


@pytest.mark.parametrize(
    ("image", "mask", "message", "repair"),
    [
        ("images/{}.png", "masks/{}/drawn.png", "lies in a folder of its own", "name it im0_mask.png"),
        ("images/{}.png", "masks/im0{}.png", "no picture and mask have the same name", "rename"),
    ],
)
def test_masks_under_other_names(tmp_path: Path, image: str, mask: str, message: str, repair: str) -> None:
    touch(tmp_path, *(name.format(f"im{k}") for name in (image, mask) for k in range(3)))
    with pytest.raises(DataError, match=message) as error:
        find_pairs(tmp_path)
    assert repair in error.value.repair


def test_numbers_with_other_zeros(tmp_path: Path) -> None:
    touch(tmp_path, "images/1.png", "images/2.png", "masks/001.png", "masks/002.png")
    with pytest.raises(DataError, match=r"masks/001\.png may be the mask of images/1\.png"):
        find_pairs(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["images/{}.tga", "masks/{}.png"],
            r"3 masks and no pictures, but images/ holds 3 .tga files \(pictures\), which are not read",
        ),
        (["images/{}.png", "masks/{}.mha"], "no masks among them, but masks/ holds 3 .mha files"),
        (["images/{}.nii.gz", "labels/{}.nii.gz"], r"images/ holds 3 .nii.gz files.*; labels/ holds 3 .nii.gz"),
        (["images/{}.png", "labels/{}.txt"], "labels/ holds 3 .txt files"),
        (["{}.png", "{}.json"], "the folder itself holds 3 .json files"),
        (["images/{}.zarr/0/0.0", "masks/{}.png"], "images/ holds 3 .zarr files"),
        (["images/{}", "masks/{}.png"], "images/ holds 3 files without suffix, which are not read"),
        (["images/{}.dcm", "images/x{}.png", "masks/{}.png"], "images/ holds 3 .dcm files"),
    ],
)
def test_formats_that_are_not_read_are_named(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_pairs(touch(tmp_path, *(name.format(k) for name in names for k in range(3))))


def test_the_cause_of_a_missing_partner(tmp_path: Path) -> None:
    touch(tmp_path, *ABC, "images/d.tga", "masks/d.png", "images/sub/e.png", "masks/e.png")
    assert "images/d.tga is there, but .tga files (pictures) are not read" in said(tmp_path)["orphan-masks"].found
    assert "masks/e.png is there, in another sub-folder" in said(tmp_path)["orphan-images"].found
    touch(tmp_path, "masks/a_border.png", "masks/b_border.png")
    assert "2 of 'border'" in said(tmp_path)["other-masks"].found


def test_predict_names_files_that_are_not_read(tmp_path: Path) -> None:
    touch(tmp_path, "scans/a.czi", "scans/b.czi")
    with pytest.raises(DataError, match=r"no picture found, but scans/ holds 2 \.czi files.*") as error:
        find_targets([str(tmp_path)], tmp_path / "out")
    assert error.value.repair.startswith("pip install czifile, then python -c ")


def test_several_pictures_of_one_mask_are_channels_or_too_many(tmp_path: Path) -> None:
    for k in range(3):
        saved(tmp_path / "labels" / f"z_a{k}.png", box(2, 3 + k))
        for channel in (1, 2):
            picture(tmp_path / "images_z_16" / f"z_a{k}_w{channel}1b2c{k}-9.tif", "L")
    with pytest.raises(
        DataError, match=r"2 pictures for each mask: labels/z_a0\.png may be that of images_z_16/"
    ) as stop:
        find_pairs(tmp_path)
    assert "z_a0_0000.tif, z_a0_0001.tif and so on" in stop.value.repair
    for path in (tmp_path / "images_z_16").iterdir():
        (tmp_path / "images").mkdir(exist_ok=True)
        path.rename(tmp_path / "images" / f"{path.stem[:4]}_000{int(path.stem[6]) - 1}.tif")
    (tmp_path / "labels").rename(tmp_path / "masks")
    found = survey(tmp_path)
    assert (len(found.pictures), found.channels) == (3, 2)


def test_a_numbered_folder_of_masks_belongs_to_no_picture_of_that_number(tmp_path: Path) -> None:
    for k in range(3):
        picture(tmp_path / "img" / f"{k}.png")
        for place, word in enumerate(("hair", "skin")):
            saved(tmp_path / "mask-anno" / "0" / f"{k:05}_{word}.png", box(2 + 8 * place, 3))
    with pytest.raises(DataError) as stop:
        find_pairs(tmp_path)
    assert "6 masks for 3 pictures" in stop.value.found
    assert "several people" not in stop.value.repair
    assert "x_cell" in stop.value.repair


def test_equal_names_in_folders_that_do_not_belong_together(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "trainannot/a.png")
    with pytest.raises(DataError, match=r"a\.png and trainannot/a\.png have the same name, but their folders do not"):
        find_pairs(tmp_path)
