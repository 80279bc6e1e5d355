"""Tests of the things to move on the lessons' pages: their numbers against the package's, in Node and in a browser.

Both are skipped where they are absent. The browser is the system's Chromium, moved by playwright.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from unpool.geometry import (
    BLOCKS,
    Border,
    Layer,
    Window,
    grid,
    padding_border,
    reads,
    receptive_field,
    same_padding,
)
from unpool.nets.named import SEGNET_BASIC, UNET_2015
from unpool.report.padding import PaddedWindow

SCRIPTS = Path(__file__).parents[1] / "docs" / "lessons" / "scripts"
WIDGETS = ("convolution", "receptive_field", "unpooling")
NODE = shutil.which("node")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

NUMBERS = [
    [[1, 3, 2, 0], [5, 2, 1, 4], [0, 6, 7, 3], [2, 1, 2, 8]],
    [[-1, -3, 0, 0], [0, -2, 0, 0], [5, 5, -9, -9], [5, 5, -9, -8]],
    *np.random.default_rng(0).integers(-99, 100, (20, 4, 4)).tolist(),
]


def in_node(expression: str, cases: Any) -> Any:
    """Return the value of a JavaScript expression of ``cases``, after the scripts, in Node."""
    if NODE is None:
        pytest.skip("node is not installed")
    names = ("widget", *WIDGETS)
    program = ";".join((SCRIPTS / f"{name}.js").read_text(encoding="utf-8") for name in names)
    program += f"\nconst cases = {json.dumps(cases)}; const {{ arithmetic }} = unpoolLessons;"
    program += f"\nconsole.log(JSON.stringify({expression}));"
    done = subprocess.run([NODE, "-"], input=program, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def padded(name: str, layer: dict[str, int]) -> PaddedWindow:
    """The convolution of the package with the padding that a widget calls ``name``."""
    size, kernel, stride, dilation = (layer[key] for key in ("size", "kernel", "stride", "dilation"))
    if name == "tensorflow":
        border = same_padding(size, kernel, stride, dilation)
    elif name == "own":
        border = Border(layer["padding"], layer["padding"])
    else:
        border = padding_border(name, kernel, dilation)  # type: ignore[arg-type]
    return PaddedWindow(name, size, Window(kernel, stride, border.before, border.after, dilation))


def pixels_read(case: PaddedWindow) -> list[list[int]]:
    """The pixels that PyTorch's convolution reads for each output, from 1, zeros as 0: those with a gradient."""
    w = case.window
    if not case.output:
        return []
    lines = torch.eye(case.padded)[:, None]
    taps = F.conv1d(lines, torch.ones(1, 1, w.kernel), stride=w.stride, dilation=w.dilation)[:, 0].T
    numbers = [0] * w.before + list(range(1, case.size + 1)) + [0] * w.after
    return [[numbers[place] for place in row.nonzero()[:, 0].tolist()] for row in taps]


def test_the_convolution_in_node() -> None:
    layers = [
        dict(zip(("size", "kernel", "stride", "dilation", "padding"), values, strict=True))
        for values in itertools.product((1, 2, 5, 6, 7, 16), (1, 2, 3, 4, 7), (1, 2, 3, 4), (1, 2, 3), (0, 1, 8))
    ]
    cases = [
        [name, layer]
        for layer in layers
        for name in ("valid", "same", "full", "tensorflow", "own")
        if name == "own" or layer["padding"] == 0
    ]
    made = in_node("cases.map(([name, layer]) => arithmetic.convolution(name, layer))", cases)
    for (name, layer), found in zip(cases, made, strict=True):
        case = padded(name, layer)
        w = case.window
        assert (found["before"], found["after"], found["span"]) == (w.before, w.after, w.span)
        assert found["outputs"] == case.output, (name, layer)
        assert found["sum"] == case.sum.split(":")[0]
        assert found["reads"] == pixels_read(case)
        read = {place for number in range(case.output) for place in case.taps(number)}
        assert found["unread"] == [place for place in range(case.padded) if place not in read]


def layers_of(letters: list[str], padding: str) -> list[Layer]:
    """The layers of the package that a stack of the widget names."""
    windows = {"c3": (3, 1), "c5": (5, 1), "c7": (7, 1), "d2": (3, 2), "d4": (3, 4)}
    made: list[Layer] = []
    for each in letters:
        if each == "p":
            made.append(Window(2, 2))
        elif each == "up":
            made.append(BLOCKS)
        else:
            kernel, dilation = windows[each]
            made.append(Window(kernel, 1, *padding_border(padding, kernel, dilation), dilation))  # type: ignore[arg-type]
    return made


def size_after(layers: list[Layer], size: int) -> int:
    """The size after a sequence of layers."""
    for layer in layers:
        size = layer.size(size)
    return size


def random_stacks() -> list[list[str]]:
    """Stacks of layers in any order, and those of U-Net and SegNet-Basic."""
    random = np.random.default_rng(1)
    letters = ["c3", "c5", "c7", "d2", "d4", "p", "up"]
    stacks = [random.choice(letters, length).tolist() for length in (1, 2, 3, 4, 5, 6, 7) for _ in range(8)]
    unet = [*["c3", "c3", "p"] * 4, "c3", "c3", *["up", "c3", "c3"] * 4]
    return [*stacks, unet, ["c7", "p"] * 4]


def test_the_receptive_field_in_node() -> None:
    stacks = random_stacks()
    found = in_node(
        """cases.map((stack) => ({
            field: arithmetic.receptiveField.field(stack),
            step: arithmetic.receptiveField.step(stack),
            valid: arithmetic.receptiveField.sizes(stack, 572, "valid"),
            reads: ["valid", "same"].map((padding) =>
                Array.from({ length: 20 }, (_, k) => arithmetic.receptiveField.reads(stack, padding, [k, k]))),
        }))""",
        stacks,
    )
    for stack, made in zip(stacks, found, strict=True):
        valid, same = layers_of(stack, "valid"), layers_of(stack, "same")
        assert made["field"] == receptive_field(valid)
        assert made["step"] == float(grid(valid).step)
        assert made["valid"] == [size_after(valid[:count], 572) for count in range(len(valid) + 1)]
        for layers, rows in zip((valid, same), made["reads"], strict=True):
            assert rows == [list(reads(layers, (k, k))) for k in range(20)]


def test_the_papers_sizes_in_node() -> None:
    stacks = in_node("arithmetic.receptiveField.STACKS", None)
    unet, segnet = stacks["unet"]["layers"], stacks["segnet"]["layers"]
    assert size_after(layers_of(unet, "valid"), 572) == 388
    assert unet == [*["c3", "c3", "p"] * UNET_2015.depth, "c3", "c3", *["up", "c3", "c3"] * UNET_2015.depth]
    assert segnet == [f"c{SEGNET_BASIC.kernel}", "p"] * SEGNET_BASIC.depth
    assert receptive_field(layers_of(segnet, "same")) == 106  # as SegNet's paper has it


def enlarged(numbers: list[list[int]], kernels: dict[str, list[list[float]]]) -> dict[str, list[list[float]]]:
    """The ways back from the maxima of 4 x 4 numbers, by torch."""
    picture = torch.tensor(numbers, dtype=torch.float64)[None, None]
    maxima, indices = F.max_pool2d(picture, 2, return_indices=True)
    two, three = (
        torch.tensor(kernels[name], dtype=torch.float64)[None, None] for name in ("transposed", "overlapping")
    )
    ways = {
        "unpooling": F.max_unpool2d(maxima, indices, 2),
        "nearest": F.interpolate(maxima, scale_factor=2, mode="nearest"),
        "bilinear": F.interpolate(maxima, scale_factor=2, mode="bilinear", align_corners=False),
        "transposed": F.conv_transpose2d(maxima, two, stride=2),
        "overlapping": F.conv_transpose2d(maxima, three, stride=2, padding=1, output_padding=1),
    }
    return {name: made[0, 0].tolist() for name, made in ways.items()}


def places(numbers: list[list[int]]) -> list[list[int]]:
    """The place of the maximum in each window, 0 to 3 by rows, by torch."""
    _, indices = F.max_pool2d(torch.tensor(numbers, dtype=torch.float64)[None, None], 2, return_indices=True)
    return (2 * (indices // 4 % 2) + indices % 2)[0, 0].tolist()  # type: ignore[no-any-return]


def test_unpooling_in_node() -> None:
    kernels = in_node("arithmetic.unpooling.KERNELS", None)
    ways = list(enlarged(NUMBERS[0], kernels))
    found = in_node(
        f"""cases.map((numbers) => ({{
            pooled: arithmetic.unpooling.pooled(numbers),
            ways: {json.dumps(ways)}.map((way) => arithmetic.unpooling.enlarged(way, numbers)),
        }}))""",
        NUMBERS,
    )
    for numbers, made in zip(NUMBERS, found, strict=True):
        assert made["pooled"]["maxima"] == F.max_pool2d(torch.tensor(numbers)[None, None].double(), 2)[0, 0].tolist()
        assert made["pooled"]["places"] == places(numbers)
        for values, expected in zip(made["ways"], enlarged(numbers, kernels).values(), strict=True):
            np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; skipped where it or playwright is absent."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: extra 'browser'")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(params=["en", "zh"])
def page(request: pytest.FixtureRequest, browser: Any, tmp_path: Path) -> Iterator[Any]:
    """A page with the widgets, each in the place of a picture, and no way to other machines."""
    style = (SCRIPTS / "widgets.css").as_uri()
    scripts = "".join(f'<script src="{(SCRIPTS / name).as_uri()}.js"></script>' for name in ("widget", *WIDGETS))
    places = "".join(
        f'<div class="lesson-widget" data-widget="{name.replace("_", "-")}"><img alt="picture"></div>'
        for name in WIDGETS
    )
    path = tmp_path / "page.html"
    path.write_text(
        f'<!doctype html><html lang="{request.param}"><meta charset="utf-8"><link rel="stylesheet" href="{style}">'
        f"{places}{scripts}</html>",
        encoding="utf-8",
    )
    opened = browser.new_page(viewport={"width": 1280, "height": 1600})
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", lambda sent: wrong.append(sent.url) if not sent.url.startswith("file:") else None)
    opened.goto(path.as_uri())
    assert not opened.locator("img").count()  # each widget took the place of its picture
    yield opened
    assert not wrong
    opened.close()


class Moved:
    """A widget on a page, whose controls are moved as a person moves them."""

    def __init__(self, page: Any, name: str) -> None:
        self.place = page.locator(f'[data-widget="{name}"]')
        self.sliders = self.place.locator("input[type=range]")

    def set(self, number: int, value: int) -> None:
        """Move slider ``number`` to a value."""
        self.sliders.nth(number).evaluate(
            "(input, value) => { input.value = value; input.dispatchEvent(new Event('input', {bubbles: true})); }",
            value,
        )

    def press(self, number: int, key: str) -> int:
        """Press a key on slider ``number``; return its value."""
        self.sliders.nth(number).press(key)
        return int(self.sliders.nth(number).input_value())

    def text(self, kind: str) -> str:
        """The text of the element of a class."""
        return str(self.place.locator(f".{kind}").inner_text())

    def cells(self, kind: str) -> list[str]:
        """The texts of the drawn boxes of a class."""
        return list(self.place.locator(f".cell.{kind} text").all_text_contents())


def test_each_slider_of_the_convolution_in_a_browser(page: Any) -> None:
    widget = Moved(page, "convolution")
    layer = {"size": 7, "kernel": 3, "stride": 1, "dilation": 1, "padding": 1}
    name = "same"

    def compare() -> None:
        case = padded(name, layer)
        assert widget.text("sum") == f"o = {case.sum.split(':')[0]}"
        assert widget.cells("output") == [str(number + 1) for number in range(case.output)]
        read = {place for number in range(case.output) for place in case.taps(number)}
        assert len(widget.cells("unread")) == case.padded - len(read)
        assert len(widget.cells("pixel")) + len(widget.cells("zero")) == len(read)
        if not case.output:
            return
        for pointed in {1, case.output}:
            widget.set(5, pointed)
            expected = pixels_read(case)[pointed - 1]
            marked = widget.place.locator(".cell.pixel.marked text, .cell.zero.marked text").all_text_contents()
            assert [int(each) for each in marked] == expected
            numbers = [int(each) for each in re.findall(r"\d+", re.split("[:：]", widget.text("reads"))[1])]
            assert numbers == [each for each in expected if each]

    compare()
    for number, key in enumerate(("size", "kernel", "stride", "dilation", "padding")):
        if key == "padding":
            name = "own"
        for _ in range(2):
            layer[key] = widget.press(number, "ArrowRight")
            compare()
        layer[key] = widget.press(number, "ArrowLeft")
        compare()
    for name in ("valid", "same", "full", "tensorflow"):
        widget.place.locator("select").select_option(name)
        for values in ((5, 2, 2, 1), (6, 4, 1, 3), (8, 3, 3, 2), (16, 7, 4, 3), (1, 2, 2, 2)):
            for number, (key, value) in enumerate(zip(("size", "kernel", "stride", "dilation"), values, strict=True)):
                layer[key] = value
                widget.set(number, value)
            compare()


def test_the_receptive_field_under_the_mouse_in_a_browser(page: Any) -> None:
    widget = Moved(page, "receptive-field")
    selects = widget.place.locator("select")

    def compare(letters: list[str], padding: str, size: int, at: tuple[int, int]) -> None:
        layers = layers_of(letters, padding)
        expected = []
        for pixel in at:
            first, last = reads(layers, (pixel, pixel))
            expected += [max(first, 0) + 1, min(last, size - 1) + 1]
        numbers = [int(each) for each in re.findall(r"\d+", widget.text("sees"))]
        assert numbers == [at[0] + 1, at[1] + 1, *expected]
        assert re.findall(r"\d+", widget.text("field-size")) == [str(receptive_field(layers))] * 2
        rows = widget.place.locator("tbody tr").all_inner_texts()
        assert [[each.split("\t")[0], *each.split("\t")[2:]] for each in rows] == [
            [
                str(count),
                str(size_after(layers[:count], size)),
                str(receptive_field(layers[:count])),
                f"{float(grid(layers[:count]).step):g}",
            ]
            for count in range(1, len(layers) + 1)
        ]

    stacks = {
        "two": (["c3", "c3"], 16), "pooled": (["c3", "c3", "p", "c3", "c3"], 32), "dilated": (["c3", "d2", "d4"], 32),
        "unet": ([*["c3", "c3", "p"] * 4, "c3", "c3", *["up", "c3", "c3"] * 4], 572), "segnet": (["c7", "p"] * 4, 360),
    }  # fmt: skip
    for name, (letters, size) in stacks.items():
        selects.nth(0).select_option(name)
        for padding in ("same", "valid"):
            selects.nth(1).select_option(padding)
            last = size_after(layers_of(letters, padding), size)
            widget.place.locator(".drawing").scroll_into_view_if_needed()
            box = widget.place.locator(".surface").bounding_box()
            for row, column in ((0, 0), (last - 1, last // 2), (last // 3, last - 1)):
                page.mouse.move(
                    box["x"] + (column + 0.5) * box["width"] / last, box["y"] + (row + 0.5) * box["height"] / last
                )
                compare(letters, padding, size, (row, column))
    selects.nth(0).select_option("two")
    assert widget.press(0, "ArrowRight") == 17
    widget.set(1, 3)
    widget.set(2, 5)
    compare(["c3", "c3"], "valid", 17, (2, 4))
    drawing = widget.place.locator(".drawing")
    drawing.press("ArrowDown")
    drawing.press("ArrowLeft")
    compare(["c3", "c3"], "valid", 17, (3, 3))
    widget.place.locator("button").nth(5).click()  # a pooling
    widget.set(1, 2)
    widget.set(2, 2)
    compare(["c3", "c3", "p"], "valid", 17, (1, 1))
    widget.place.locator("button").last.click()
    compare(["c3", "c3"], "valid", 17, (1, 1))
    for _ in range(3):
        widget.place.locator("button").nth(4).click()  # three times dilation 4: 17 - 4 - 24 < 1
    assert re.findall(r"\d+", widget.text("sees")) == ["4"]


def test_unpooling_step_by_step_in_a_browser(page: Any) -> None:
    widget = Moved(page, "unpooling")
    kernels = page.evaluate("unpoolLessons.arithmetic.unpooling.KERNELS")
    boxes = widget.place.locator("input[type=number]")
    for numbers in NUMBERS[:3]:
        for box, value in zip(boxes.all(), itertools.chain(*numbers), strict=True):
            box.fill(str(value))
        widget.set(0, 1)
        maxima = F.max_pool2d(torch.tensor(numbers)[None, None].double(), 2)[0, 0]
        assert widget.cells("output") == [written(value) for value in maxima.flatten().tolist()]
        bits = [f"{place:02b}" for place in itertools.chain(*places(numbers))]
        assert widget.cells("zero") == bits
        for row, column in ((1, 1), (4, 2)):
            widget.set(1, row)
            widget.set(2, column)
            assert bits[2 * ((row - 1) // 2) + (column - 1) // 2] in widget.text("sum")
        for number, values in enumerate(enlarged(numbers, kernels).values(), 2):
            if number == 2:
                widget.set(0, 1)
                assert widget.press(0, "ArrowRight") == 2
            else:
                widget.set(0, number)
            output = widget.cells("output")[4:]  # after the four maxima
            assert output == [written(value) for value in itertools.chain(*values)]
            for row, column in ((1, 1), (2, 3), (4, 4)):
                widget.set(1, row)
                widget.set(2, column)
                text = re.split("[:：]", widget.text("sum"))[1]
                if "=" in text:
                    terms, result = text.replace("−", "-").split("=")
                    products = [term.split("·") for term in terms.split(" + ")]
                    assert sum(float(a) * float(b) for a, b in products) == pytest.approx(values[row - 1][column - 1])
                    assert float(result) == pytest.approx(values[row - 1][column - 1])
                else:
                    assert values[row - 1][column - 1] == 0
    first = widget.cells("output")[:4]
    widget.place.locator("button").click()
    assert widget.cells("output")[:4] != first


def written(value: float) -> str:
    """A number as a page has it."""
    return f"{value:g}".replace("-", "−")


def test_without_javascript_the_pictures_stay() -> None:
    lessons = SCRIPTS.parent
    names = {name.replace("_", "-") for name in WIDGETS}
    for path in lessons.glob("*.md"):
        for found in re.finditer(r'<div class="lesson-widget" data-widget="([\w-]+)".*?</div>', path.read_text(), re.S):
            assert found[1] in names
            assert re.search(r"!\[[^]]+\]\(pictures/", found[0]), f"{path.name}: a picture in the widget's place"


def test_the_scripts_fetch_nothing() -> None:
    for path in SCRIPTS.iterdir():
        text = path.read_text(encoding="utf-8")
        addresses = set(re.findall(r"https?://[^\"'\s)]+", text)) - {"http://www.w3.org/2000/svg"}
        assert not addresses, path.name
        assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|importScripts|eval)\b\(|\bimport\b", text), path.name
        assert not re.search(r"[一-龥][,:;?!]", text), f"{path.name}: full-width punctuation"
