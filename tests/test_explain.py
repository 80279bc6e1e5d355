"""``unpool explain``: its page, two networks side by side, its files, what it refuses; the pages in docs/nets."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from conftest import Program
from test_cli import refused
from unpool.commands.explain import explain, explained, pages, parsed_size
from unpool.errors import UsageError
from unpool.nets.named import NAMED_NETS
from unpool.report.sections import Section, Table, as_markdown, as_text
from unpool.report.table_1 import PRINTED, first_stage_bytes

DOCS = Path(__file__).parent.parent / "docs" / "nets"


def test_unet_2015_at_572(program: Program) -> None:
    said = program("explain", "unet-2015", "--size", 572)
    assert (said.code, said.err) == (0, "")
    sizes = ("572 570 568 284 282 280 140 138 136 68 66 64 32 30 28 "
             "56 54 52 104 102 100 200 198 196 392 390 388")  # fmt: skip
    assert sizes in said.out.splitlines()
    assert "31,030,658" in said.out
    page = " ".join(said.out.split())
    for words in ("U-Net", "upconv_d4c_u3a", "4, 16, 40, 88", "concatenated", "DEPARTURES", "valid"):
        assert words in page, words


def test_segnet_says_what_figure_2_shows(program: Program) -> None:
    said = " ".join(program("explain", "segnet").out.split())
    for words in (
        "batch normalisation and ReLU", "2x2 max-pooling", "no layer is fully connected",
        "The encoder sends its pooling indices", "make the sparse maps dense", "softmax", "Figure 2", "691,200",
        "0.17 MB",
    ):  # fmt: skip
        assert words in said, words


@pytest.mark.parametrize("name", [*NAMED_NETS, "segnet-table-1", None])
def test_pages_fit_100_columns(name: str | None) -> None:
    text = explain(name).text
    assert max(map(len, text.splitlines())) <= 100
    assert not any(line != line.rstrip() for line in text.splitlines())


def test_two_networks_side_by_side(program: Program) -> None:
    said = program("explain", "unet-2015", "segnet")
    assert said.code == 0
    assert max(map(len, said.out.splitlines())) <= 100
    for words in (
        "WHAT DIFFERS",
        "pooling indices, 2 bits each",
        "feature maps, cropped",
        "31,030,658",
        "572 x 572",
    ):
        assert words in said.out, words
    assert "WHAT IS THE SAME" in program("explain", "segnet", "bayesian-segnet").out


def test_the_second_network_takes_the_nearest_legal_picture() -> None:
    text = explain("segnet", "unet-2015").text
    assert "unet-2015: on a picture of 364 x 492 with 3 channels, 11 classes" in text


def test_json_is_the_explanation(program: Program) -> None:
    found = json.loads(program("explain", "segnet-basic", "--json").out)
    assert (found["parameters"], found["trainable"]) == (1_416_587, 1_416_587)
    assert found["skips"][0]["stored_bytes"] == 691_200
    assert len(json.loads(program("explain", "unet", "fusionnet", "--json").out)) == 2


def test_settings_change_the_network(program: Program) -> None:
    said = program("explain", "unet", "--set", "skip=add", "--set", "up=bilinear", "--channels", 3, "--classes", 4)
    assert "unet, changed by --set: skip=add, up=bilinear" in said.out
    assert "3 channels" in said.out
    assert "bilinear interpolation" in said.out
    assert "added" in said.out


def test_a_stem_in_words(program: Program) -> None:
    said = program("explain", "unet", "--set", "stem=strided", "--size", 64)
    assert max(map(len, said.out.splitlines())) <= 100
    page = " ".join(said.out.split())
    for words in (
        "64 32 16 8 4 2 4 8 16 32 64",
        "A stem, a 2x2 convolution of stride 2 to 32 maps, followed by batch normalisation and ReLU, halves",
        "A last 2x2 up-convolution of stride 2 without normalisation or ReLU gives one map per class",
        "stem_d0a makes map a of stage 0 from the picture",
        "The stem halves the size of the picture, which must be even",
    ):
        assert words in page, words
    both = program("explain", "unet", "fcn-basic", "--set", "stem=strided")
    assert "a strided stem, then 4 stages" in " ".join(both.out.split())
    assert "A last 2x2 up-convolution of stride 2 doubles their size" in " ".join(both.out.split())
    assert "a 2x2 convolution of stride 2, which halves" in program("explain", "--settings", "stem").out
    refused(program("explain", "unet", "--set", "stem=strided", "--size", 65), 2, "--size 64x64")


def test_what_cannot_be_is_refused(program: Program, tmp_path: Path) -> None:
    refused(program("explain", "unet-2015", "--size", "570"), 2, "570 x 570", "556 or 572", "--size 572x572")
    refused(program("explain", "unte"), 2, "unte", "did you mean")
    refused(program("explain", "unet", "--size", "big"), 2, "--size big")
    refused(program("explain", "unet", "--set", "skip=index"), 2, "skip", "up=unpool")
    refused(program("explain", "unet", "segnet", "--figure", tmp_path / "x.svg"), 2, "--figure")
    refused(program("explain", "unet", "segnet", "--page", tmp_path / "x.md"), 2, "--page")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("text", "size"), [("572", (572, 572)), ("360x480", (360, 480)), (" 8X9 ", (8, 9))])
def test_sizes_are_rows_by_columns(text: str, size: tuple[int, int]) -> None:
    assert parsed_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "0x5", "5x0", "-3", "1x2x3", "1.5", "123456"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="rows x columns"):
        parsed_size(text)


def test_files_are_written_and_a_persons_own_is_kept(program: Program, tmp_path: Path) -> None:
    figure, page = tmp_path / "a" / "net.svg", tmp_path / "page.md"
    for _ in range(2):  # what it wrote itself it may replace
        said = program("explain", "segnet-basic", "--figure", figure, "--page", page)
        assert said.code == 0
    assert ElementTree.fromstring(figure.read_text()).tag.endswith("svg")
    assert page.with_suffix(".svg").read_text() == figure.read_text()
    assert "(page.svg)" in page.read_text()
    own = tmp_path / "own.md"
    own.write_text("mine")
    refused(program("explain", "segnet-basic", "--page", own), 2, "own.md")
    assert own.read_text() == "mine"


def test_the_list_and_all_pages(program: Program, tmp_path: Path) -> None:
    said = program("explain", "--page", tmp_path / "README.md")
    assert said.code == 0
    assert all(name in said.out for name in NAMED_NETS)
    assert {path.name for path in tmp_path.iterdir()} == set(pages())


def test_the_pages_in_docs_are_those_generated() -> None:
    generated = pages()
    assert {path.name for path in DOCS.iterdir()} == set(generated)
    for name, text in generated.items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, (
            f"{name}: run unpool explain --page docs/nets/README.md"
        )


def test_table_1_stores_as_the_paper_or_says_why() -> None:
    stored = {name: first_stage_bytes(explained(name).facts) for name in PRINTED}
    one_map = 180 * 240 * 4
    assert stored["fcn-basic"] == 11 * one_map
    assert stored["fcn-basic-no-reduction"] == 64 * one_map
    assert stored["segnet-basic"] == stored["segnet-basic-single-channel"] == 4 * one_map
    assert stored["segnet-basic-encoder-addition"] == 4 * 64 * one_map + 4 * one_map
    assert stored["segnet-basic-bilinear"] == stored["fcn-basic-no-addition"] == 0


@pytest.mark.parametrize("name", [name for name in PRINTED if "no-reduction" not in name])
def test_the_printed_parameters_are_a_file_in_megabytes_over_4(name: str) -> None:
    megabytes = round(4 * explained(name).facts.parameters / 1e6, 1)
    assert megabytes / 4 == pytest.approx(float(PRINTED[name].millions))


def test_sections_as_text_and_markdown() -> None:
    table = Table(("a", "b"), (("head",), ("x|y", "12")))
    sections = [Section("", ("first",)), Section("second", (table, ("one", "two")))]
    assert as_text(sections) == "first\n\nSECOND\na     b\nhead\nx|y  12\n- one\n- two"
    assert as_markdown(sections) == (
        "first\n\n## Second\n\n| a | b |\n| --- | --: |\n| **head** |  |\n| x\\|y | 12 |\n\n- one\n- two\n"
    )
