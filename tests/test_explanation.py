"""What is read off the networks, held against the figures of the papers."""

import pytest
import torch
from torch import nn

from test_nets import STEMMED, stemmed
from unpool.errors import UsageError
from unpool.geometry import Transposed, Window, receptive_field
from unpool.nets.explain.explanation import explain
from unpool.nets.explain.records import Explanation, LayerFacts
from unpool.nets.families import network_of
from unpool.nets.named import NAMED_NETS, named_net
from unpool.nets.structure import Structure
from unpool.shapes import Size

SEGNET_SIZES = [(360, 480), (180, 240), (90, 120), (45, 60), (23, 30), (12, 15)]


def explained(name: str, size: Size, channels: int, classes: int, **changes: object) -> Explanation:
    structure = named_net(name).structure
    structure = type(structure)(**{**structure.model_dump(), **changes})
    with torch.device("meta"):
        network = network_of(structure, channels, classes)
    return explain(network, size, name)


@pytest.fixture(scope="module")
def unet() -> Explanation:
    return explained("unet-2015", (572, 572), 1, 2)


@pytest.fixture(scope="module")
def segnet() -> Explanation:
    return explained("segnet", (360, 480), 3, 11)


@pytest.fixture(scope="module")
def basic() -> Explanation:
    return explained("segnet-basic", (360, 480), 3, 11)


@pytest.fixture(scope="module")
def fcn() -> Explanation:
    return explained("fcn-8s", (500, 500), 3, 21)


def layer(facts: Explanation, paper: str) -> LayerFacts:
    (found,) = [each for each in facts.layers if each.paper_name == paper]
    return found


def test_unet_has_the_sizes_of_figure_1(unet: Explanation) -> None:
    rows = [
        572, 570, 568, 284, 282, 280, 140, 138, 136, 68, 66, 64, 32, 30, 28,
        56, 54, 52, 104, 102, 100, 200, 198, 196, 392, 390, 388,
    ]  # fmt: skip
    assert [size[0] for size in unet.sizes] == rows
    assert unet.output == (388, 388)


def test_unet_has_23_convolutions_and_its_parameters(unet: Explanation) -> None:
    kinds = [each.kind for each in unet.layers]
    assert (kinds.count("convolution"), kinds.count("up-convolution")) == (18 + 1, 4)
    assert unet.parameters == unet.trainable == sum(each.parameters for each in unet.layers) == 31_030_658


def test_the_released_unet_has_128_maps_in_its_last_up_convolution() -> None:
    facts = explained("unet-2015-released", (572, 572), 1, 2)
    assert facts.parameters == 31_100_354
    assert layer(facts, "upconv_u1d_u0a").channels == 128
    assert layer(facts, "concat_d0cc_u0a-b").channels == 192


def test_unet_crops_4_16_40_and_88(unet: Explanation) -> None:
    assert [skip.crop for skip in unet.skips] == [((c, c), (c, c)) for c in (88, 40, 16, 4)]
    assert [skip.rows for skip in unet.skips] == [568, 280, 136, 64]
    assert unet.skips[3].stored_bytes == 512 * 64 * 64 * 4


def test_unet_names_its_layers_as_the_release(unet: Explanation) -> None:
    names = [each.paper_name for each in unet.layers]
    for name in ("conv_d0a-b", "conv_d0b-c", "pool_d0c-1a", "conv_d4b-c", "upconv_d4c_u3a", "concat_d3cc_u3a-b",
                 "conv_u3b-c", "conv_u3c-d", "conv_u0d-score"):  # fmt: skip
        assert names.count(name) == 1, name


def test_unet_drops_values_after_d3c_and_d4c(unet: Explanation) -> None:
    assert [e.paper_name for e in unet.layers if "dropout" in e.after] == ["conv_d3b-c", "conv_d4b-c"]


def test_segnet_rounds_up_and_mirrors_its_sizes(segnet: Explanation) -> None:
    assert list(segnet.sizes) == [*SEGNET_SIZES, *SEGNET_SIZES[-2::-1]]
    assert segnet.parameters == 29_449_355
    assert sum(e.parameters for e in segnet.layers if e.side == "encoder") == 14_714_688 + 2 * sum(
        (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    )


def test_segnet_names_its_layers_as_the_release(segnet: Explanation) -> None:
    convolutions = [e.paper_name for e in segnet.layers if e.kind == "convolution"]
    encoder = ["1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "4_1", "4_2", "4_3", "5_1", "5_2", "5_3"]
    assert convolutions == [f"conv{n}" for n in encoder] + [f"conv{n}_D" for n in reversed(encoder)]
    assert layer(segnet, "conv1_1_D").after == ()
    assert layer(segnet, "conv1_2_D").after == ("batch norm", "ReLU")


def test_segnet_basic_sees_98_pixels_at_conv4_and_106_after_pool4(basic: Explanation) -> None:
    assert layer(basic, "conv4").receptive_field == 98
    assert layer(basic, "pool4").receptive_field == 106


def test_segnet_basic_has_no_relu_in_its_decoder_and_its_parameters(basic: Explanation) -> None:
    assert basic.parameters == 1_416_587
    assert {e.after for e in basic.layers if e.side == "decoder" and e.kernel == 7} == {("batch norm",)}
    assert basic.layers[0].kind == "normalisation"
    assert basic.layers[-1].paper_name == "conv_classifier"


def test_the_first_indices_of_segnet_basic_take_691200_bytes(basic: Explanation) -> None:
    first = basic.skips[0]
    assert (first.what, first.origin, first.channels, first.rows, first.columns) == (
        "positions", "pool1", 64, 180, 240,
    )  # fmt: skip
    assert first.stored_bytes == 64 * 180 * 240 * 2 // 8 == 691_200


@pytest.mark.parametrize(
    ("name", "kernels"),
    [  # encoder 611,520 and classifier 704, then the decoder
        ("segnet-basic-bilinear", 611_520 + 704),
        ("segnet-basic", 1_415_040),
        ("segnet-basic-encoder-addition", 1_415_040),
        ("segnet-basic-single-channel", 611_520 + 704 + 4 * 64 * 49),
        ("fcn-basic", 611_520 + 4 * 704 + 4 * 8 * 8 * 11 * 11),
        ("fcn-basic-no-addition", 611_520 + 704 + 4 * 8 * 8 * 11 * 11),
        ("fcn-basic-no-reduction", 611_520 + 704 + 4 * 8 * 8 * 64 * 64),
        ("fcn-basic-no-addition-no-reduction", 611_520 + 704 + 4 * 8 * 8 * 64 * 64),
    ],
)
def test_the_decoders_of_table_1_have_the_kernels_of_the_text(name: str, kernels: int) -> None:
    facts = explained(name, (360, 480), 3, 11)
    assert facts.kernels == kernels
    assert facts.output == (360, 480)


def test_fcn_basic_stores_11_maps_of_180x240() -> None:
    (first, *_) = explained("fcn-basic", (360, 480), 3, 11).skips
    assert (first.origin, first.stored_bytes) == ("pool1", 11 * 180 * 240 * 4)


@pytest.mark.parametrize(
    ("name", "trainable", "fixed"),
    [
        ("fcn-32s", 134_346_581, 64 * 64 * 21 * 21),
        ("fcn-16s", 134_346_581 + 513 * 21, (4 * 4 + 32 * 32) * 21 * 21),
        ("fcn-8s", 134_346_581 + 513 * 21 + 257 * 21, (2 * 4 * 4 + 16 * 16) * 21 * 21),
    ],
)
def test_fcn_trains_134_million_and_keeps_its_deconvolutions(name: str, trainable: int, fixed: int) -> None:
    facts = explained(name, (500, 500), 3, 21)
    assert (facts.trainable, facts.fixed) == (trainable, fixed)
    assert f"{facts.trainable / 1e6:.1f}" in ("134.3", "134.4")
    assert facts.output == (500, 500)


def test_fcn_has_the_sizes_and_crops_of_the_release(fcn: Explanation) -> None:
    assert [size[0] for size in fcn.sizes] == [500, 698, 349, 175, 88, 44, 22, 16, 34, 70, 568, 500]
    assert [(skip.origin, skip.crop[0][0]) for skip in fcn.skips] == [("pool3", 9), ("pool4", 5)]
    assert layer(fcn, "fc6").parameters + layer(fcn, "fc7").parameters == 119_545_856
    assert layer(fcn, "fc6").receptive_field == 404
    assert not layer(fcn, "upscore8").trained


def test_fcn_follows_its_functions_in_order() -> None:
    facts = explained("fcn-8s", (224, 224), 3, 21, norm="batch", width=8)
    names = [each.name for each in facts.layers]
    assert names[:4] == ["conv1_1", "conv1_2", "pool1", "conv2_1"]
    assert names[-7:] == [
        "upscore2", "score_pool4", "fuse_pool4", "upscore_pool4", "score_pool3", "fuse_pool3", "upscore8",
    ]  # fmt: skip
    assert layer(facts, "conv1_2").after == ("batch norm", "ReLU")
    assert layer(facts, "fc7").after == ("batch norm", "ReLU", "dropout")
    assert facts.parameters == sum(each.parameters for each in facts.layers)


def test_fusionnet_sums_and_has_its_parameters() -> None:
    facts = explained("fusionnet", (640, 640), 1, 1, norm="none")
    assert f"{facts.parameters / 1e6:.2f}" == "78.50"
    assert [skip.joined for skip in facts.skips] == ["add"] * 4
    assert [e.paper_name for e in facts.layers[:6]] == [
        "down1_conv1", "down1_res1", "down1_res2", "down1_res3", "down1_sum", "down1_conv2",
    ]  # fmt: skip
    assert facts.sizes == ((640, 640), (320, 320), (160, 160), (80, 80), (40, 40), (80, 80), (160, 160), (320, 320),
                           (640, 640))  # fmt: skip


@pytest.mark.parametrize("name", list(NAMED_NETS))
def test_every_parameter_belongs_to_a_layer_and_every_name_to_one(name: str) -> None:
    facts = explained(name, (188, 204) if name.startswith("unet-2015") else (192, 224), 2, 3)
    assert sum(each.parameters for each in facts.layers) == facts.parameters
    names = [each.paper_name for each in facts.layers]
    assert len(set(names)) == len(names)
    assert all(skip.stored_bytes > 0 for skip in facts.skips)


@pytest.mark.parametrize("name", STEMMED)
def test_layers_of_a_network_with_a_stem_have_names_of_their_own(name: str) -> None:
    with torch.device("meta"):
        network = network_of(stemmed(named_net(name).structure), 2, 3)
    facts = explain(network, (376, 376) if name == "unet-2015" else (384, 448), name)
    assert sum(each.parameters for each in facts.layers) == facts.parameters
    names = [each.paper_name for each in facts.layers]
    assert len(set(names)) == len(names)
    stem = next(each for each in facts.layers if each.kernel)
    assert (stem.name, stem.side, stem.size) == ("stem.0", "encoder", (facts.size[0] // 2, facts.size[1] // 2))
    assert (facts.layers[-1].name, facts.layers[-1].side, facts.layers[-1].size) == ("head", "head", facts.output)
    assert facts.receptive_field == receptive_field(network.structure.deepest_path())


@pytest.mark.parametrize(
    ("name", "stem", "head"),
    [("unet", "stem_d0a", "upconv_u0d-score"), ("segnet", "stem", "deconv_classifier"), ("fusionnet", "stem", "out")],
)
def test_the_names_of_a_stem_and_its_head(name: str, stem: str, head: str) -> None:
    with torch.device("meta"):
        network = network_of(stemmed(named_net(name).structure), 1, 2)
    names = [each.paper_name for each in explain(network, (384, 384), name).layers]
    assert [each for each in names if "stem" in each] == [stem]
    assert names[-1] == head


def test_the_cost_of_a_stem_by_hand() -> None:
    structure = Structure(width=2, depth=1, bottom=False, encoder_convolutions=1, decoder_convolutions=0, norm="none",
                          skip="none", up="nearest", stem="strided")  # fmt: skip
    with torch.device("meta"):
        network = network_of(structure, 3, 5)
    facts = explain(network, (8, 12), "small")
    stem, convolution, pooling, _, head = facts.layers
    assert (stem.parameters, head.parameters) == (3 * 2 * 4 + 2, 2 * 5 * 4 + 5)
    assert (stem.multiply_adds, head.multiply_adds) == (24 * 4 * 3 * 2, 24 * 4 * 2 * 5)
    assert (stem.kind, head.kind, stem.stride, convolution.stride, head.stride) == (
        "convolution", "up-convolution", 2, 1, 2,
    )  # fmt: skip
    assert facts.sizes == ((8, 12), (4, 6), (2, 3), (4, 6), (8, 12))
    assert [each.receptive_field for each in facts.layers] == [2, 6, 8, 8, 8]
    assert (stem.bytes_held, head.bytes_held) == ((3 * 96 + 2 * 24) * 4, (2 * 24 + 5 * 96) * 4)
    # kept: the picture and the ReLU's result; the next ReLU's; 6 windows of 2 maps at 2 bits; what the head reads
    assert [each.bytes_kept for each in facts.layers] == [(3 * 96 + 2 * 24) * 4, 2 * 24 * 4, 3, 0, 2 * 24 * 4]
    assert pooling.size == (2, 3)


def test_the_maps_of_a_stem_wait_for_the_end_in_place_of_the_picture() -> None:
    structure = Structure(width=4, depth=1, norm="none", skip_from="pooled", stem="strided")
    with torch.device("meta"):
        network = network_of(structure, 3, 2)
    facts = explain(network, (8, 12), "small")
    (first, _) = [each for each in facts.layers if each.side == "bottom"]
    assert first.bytes_held == (4 * 6 + 8 * 6 + 4 * 24) * 4


def test_the_cost_of_a_small_network_by_hand() -> None:
    structure = Structure(width=2, depth=1, bottom=False, encoder_convolutions=1, decoder_convolutions=0, norm="none",
                          skip="none", up="nearest")  # fmt: skip
    with torch.device("meta"):
        network = network_of(structure, 3, 5)
    facts = explain(network, (4, 6), "small")
    convolution, pooling, growing, head = facts.layers
    assert convolution.multiply_adds == 4 * 6 * 9 * 3 * 2
    assert (convolution.parameters, head.parameters) == (3 * 2 * 9 + 2, 2 * 5 + 5)
    assert convolution.bytes_held == (3 + 2) * 24 * 4
    assert (pooling.size, growing.size, growing.kind) == ((2, 3), (4, 6), "interpolation")
    # kept: the picture and the ReLU's result; 6 windows of 2 maps at 2 bits; what the last convolution reads
    assert [each.bytes_kept for each in facts.layers] == [(3 + 2) * 24 * 4, 3, 0, 2 * 24 * 4]
    assert facts.training_bytes == sum(each.bytes_kept for each in facts.layers)
    assert facts.receptive_field == 4
    assert facts.to_json()["training_bytes"] == facts.training_bytes


def test_a_frozen_layer_counts_as_fixed_and_the_network_is_not_touched() -> None:
    network = network_of(Structure(width=8, depth=1), 1, 2).eval()
    head = network.get_submodule("head")
    head.requires_grad_(requires_grad=False)
    facts = explain(network, (8, 8), "frozen")
    assert facts.fixed == 8 * 2 + 2
    assert not facts.layers[-1].trained
    assert not network.training
    assert not any(module._forward_hooks for module in network.modules())
    assert isinstance(head, nn.Conv2d)


def test_names_of_a_structure_of_no_paper() -> None:
    network = network_of(Structure(skip="add", up="bilinear", depth=2), 1, 2)
    assert network.paper_name("decoder.0.join_before", "join") == "sum_d1cc_u1a-b"
    assert network.paper_name("decoder.1.up", "up") == "up_u1d_u0a"


@pytest.mark.parametrize(("size", "near"), [(572, (572,)), (570, (556, 572)), (1, (188,)), (187, (188,))])
def test_nearest_legal_sizes_of_unet(size: int, near: tuple[int, ...]) -> None:
    assert named_net("unet-2015").structure.nearest_legal_sizes(size) == near


def test_an_illegal_size_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError) as refused:
        explained("unet-2015", (570, 572), 1, 2)
    assert str(refused.value) == (
        "a picture of 570 x 572 pixels for unet-2015\n"
        "  expected: sizes it can run on; the nearest are 556 or 572 rows and 572 columns\n"
        "  to do:    give --size 556x572 or --size 572x572"
    )


def test_the_receptive_field_follows_the_geometry(segnet: Explanation) -> None:
    path = [Window(3, 1, 1, 1), Window(3, 1, 1, 1), Window(2, 2)]
    assert layer(segnet, "pool1").receptive_field == receptive_field(path) == 6
    assert layer(segnet, "upsample5").receptive_field == layer(segnet, "pool5").receptive_field == 212
    assert receptive_field([Window(2, 2), Transposed(Window(2, 2))]) == 2
