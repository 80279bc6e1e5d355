"""Figures: valid XML with every number in it, escaped, the same each time."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest
import torch

from test_nets import stemmed
from unpool.commands.explain import explained
from unpool.nets.explain.explanation import explain
from unpool.nets.explain.records import Explanation
from unpool.nets.families import network_of
from unpool.nets.named import NAMED_NETS, named_net
from unpool.report.figure import figure_svg
from unpool.report.prose import is_u_shaped

SVG = "{http://www.w3.org/2000/svg}"


def facts_of(name: str) -> Explanation:
    return explained(name).facts


def words(text: str) -> list[str]:
    return [str(each.text) for each in ElementTree.fromstring(text).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", list(NAMED_NETS))
def test_a_drawing_has_every_number_of_maps_and_stays_on_its_sheet(name: str) -> None:
    facts = facts_of(name)
    text = figure_svg(facts)
    assert text == figure_svg(facts)
    drawn = words(text)
    shown = ("convolution", "up-convolution", "concatenate")
    assert {str(e.channels) for e in facts.layers if e.kind in shown and not e.across} <= set(drawn)
    root = ElementTree.fromstring(text)
    width, height = (float(side) for side in root.attrib["viewBox"].split()[2:])
    shift = [float(part) for part in root.findall(f"{SVG}g")[0].attrib["transform"][10:-1].split()]
    for box in root.findall(f"{SVG}g/{SVG}rect"):
        x, y = float(box.attrib["x"]) + shift[0], float(box.attrib["y"]) + shift[1]
        assert x >= 0
        assert y >= 0
        assert x + float(box.attrib["width"]) <= width
        assert y + float(box.attrib["height"]) <= height


def test_unet_is_a_u_with_crops_and_segnet_a_row_with_indices() -> None:
    unet, segnet = facts_of("unet-2015"), facts_of("segnet")
    assert is_u_shaped(unet)
    assert is_u_shaped(facts_of("fusionnet"))
    assert not is_u_shaped(segnet)
    assert [f"crop {c}" for c in (88, 40, 16, 4)] == sorted(
        (w for w in words(figure_svg(unet)) if w.startswith("crop ")), key=lambda w: -int(w[5:])
    )
    indices = [w for w in words(figure_svg(segnet)) if w.startswith("pooling indices")]
    assert len(indices) == 5
    assert "pooling indices 64 x 180 x 240" in indices


def test_fcn_is_drawn_with_its_fused_scores() -> None:
    drawn = words(figure_svg(facts_of("fcn-8s")))
    assert "conv 1x1 to 21 maps, crop 5" in drawn
    assert "conv 1x1 to 21 maps, crop 9" in drawn


@pytest.mark.parametrize(("name", "shape"), [("unet", "U"), ("segnet", "row"), ("fcn-basic", "row")])
def test_a_stem_is_drawn_smaller_than_the_picture_and_the_head_as_large(name: str, shape: str) -> None:
    with torch.device("meta"):
        network = network_of(stemmed(named_net(name).structure), 3, 11)
    facts = explain(network, (384, 384), name)
    assert is_u_shaped(facts) == (shape == "U")
    text = figure_svg(facts)
    drawn = words(text)
    assert "conv 2x2, stride 2 + BN + ReLU" in drawn
    assert "up-conv 2x2" in drawn
    root = ElementTree.fromstring(text)
    boxes = sorted(
        (float(box.attrib["x"]), float(box.attrib["height"])) for box in root.findall(f"{SVG}g/{SVG}rect")
        if float(box.attrib["height"]) > 11  # those of the legend are smaller
    )  # fmt: skip
    heights = [height for _, height in boxes]
    picture, ends = heights[0], heights[-1 if shape == "U" else -2 :]
    assert ends == [picture] * len(ends)
    assert heights.count(picture) == len(ends) + 1 + (name == "fcn-basic")  # which normalises the picture
    assert any(0.5 < height / picture < 0.8 for height in heights)


def test_dropout_is_marked() -> None:
    assert "dashed edge: dropout follows" in words(figure_svg(facts_of("bayesian-segnet")))
    assert "dasharray" not in figure_svg(facts_of("segnet"))


def test_names_are_escaped() -> None:
    text = figure_svg(replace(facts_of("segnet-basic"), name='<b>"x" & y'))
    assert any('<b>"x" & y: 360 x 480' in word for word in words(text))
    assert "<b>" not in text
