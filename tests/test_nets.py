"""What must be true of every network, over the whole table and over random points of the space."""

import random
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from unpool.errors import UsageError
from unpool.geometry import Border, receptive_field
from unpool.losses.loss import Loss
from unpool.nets.blocks import ScoreConvolution, UpConvolution, crop_to
from unpool.nets.encoder_decoder import EncoderDecoder, SkipConnection
from unpool.nets.families import network_of
from unpool.nets.fcn import FCN, FCNStructure
from unpool.nets.named import NAMED_NETS, build, named_net
from unpool.nets.network import NetworkStructure
from unpool.nets.structure import Structure

POINTS = 200
"""Random points of the space that must pass."""

every_net = pytest.mark.parametrize("name", list(NAMED_NETS))

STEMMED = ("unet", "unet-2015", "segnet", "segnet-basic", "fcn-basic", "fusionnet")
"""Networks that have a strided stem added in some tests: of all ways up, with all kinds of skip connections."""


def slim(structure: NetworkStructure) -> NetworkStructure:
    """The same structure with few feature maps."""
    changes: dict[str, Any] = {"width": 1} if isinstance(structure, FCNStructure) else {"width": 4}
    return type(structure)(**{**structure.model_dump(), **changes})


def stemmed(structure: NetworkStructure) -> Structure:
    """The same structure with a strided stem."""
    return Structure(**{**structure.model_dump(), "stem": "strided", "head_kernel": 1})


def small(name: str, in_channels: int = 1, classes: int = 3) -> nn.Module:
    return awake(network_of(slim(named_net(name).structure), in_channels, classes))


def awake(network: nn.Module) -> nn.Module:
    """FCN's scores begin at 0 and with them everything; give them values so that the network can be looked at."""
    if isinstance(network, FCN):
        for name, module in network.named_modules():
            if name.startswith("score"):
                nn.init.normal_(module.weight, std=0.5)
    return network


@cache
def points() -> tuple[Structure, ...]:
    """Random points of the space that make sense."""
    dice = random.Random(0)
    choices: dict[str, list[Any]] = {
        "width": [8], "growth": [1, 2], "widest": [2, 64], "depth": [1, 2, 3], "bottom": [True, False],
        "encoder_convolutions": [1, 2, 3], "decoder_convolutions": [0, 1, 2, 3], "kernel": [1, 3, 5],
        "padding": ["valid", "same", "same", "full"], "decoder_padding": [None, None, "valid", "full"],
        "block": ["plain", "residual"], "norm": ["none", "batch", "group", "instance"],
        "encoder_relu": [True, False], "decoder_relu": [True, False], "up_relu": [True, False], "bias": [True, False],
        "input_norm": ["none", "lrn"], "pooling_rounding": ["floor", "ceil"],
        "skip": ["none", "index", "add", "concat"], "skip_from": ["convolved", "convolved", "pooled"],
        "join": ["before", "before", "after"], "concat_order": ["skip", "up"], "squeeze": [False, False, True],
        "up": ["unpool", "transposed", "bilinear", "nearest"], "up_kernel": [2, 3, 4, 8],
        "up_start": ["he", "bilinear"], "up_halves_last": [True, False],
        "decoder_depthwise": [False, False, False, True],
        "dropout_after": [(), ("encoder1",), ("pool1", "decoder1"), ("bottom",)], "head_kernel": [1, 3],
        "stem": ["none", "strided"],
    }  # fmt: skip
    found: dict[str, Structure] = {}
    refused = 0
    while len(found) < POINTS:
        try:
            structure = Structure(**{key: dice.choice(values) for key, values in choices.items()})
        except ValidationError as error:
            assert "; set " in str(error), error
            refused += 1
            continue
        found[structure.model_dump_json()] = structure
    assert refused > POINTS  # the rules do refuse
    return tuple(found.values())


every_point = pytest.mark.parametrize("point", range(POINTS))


# --- over the table -------------------------------------------------------------------------------------------------


@every_net
def test_output_size_follows_its_rule_for_every_size(name: str) -> None:
    network = small(name).eval()
    structure = network.structure
    other = structure.legal_size(32)
    for size in range(1, 71):
        expected = structure.output_size(size)
        if expected is None:
            nearest = structure.legal_size(size)
            with pytest.raises(UsageError, match=f"pad the picture to {nearest} x "):
                network(torch.zeros(1, 1, size, other))
        else:
            with torch.inference_mode():
                assert network(torch.zeros(1, 1, size, other)).shape == (1, 3, expected, structure.output_size(other))


@every_net
def test_gradients_reach_every_parameter_that_learns(name: str) -> None:
    torch.manual_seed(0)
    network = small(name)
    side = network.structure.legal_size(64)
    network(torch.randn(2, 1, side, side)).square().mean().backward()
    for parameter_name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            assert "upscore" in parameter_name  # FCN's fixed bilinear deconvolutions
            continue
        assert parameter.grad is not None, parameter_name
        if "bias" not in parameter_name:  # a bias before batch normalisation has a gradient of exactly 0
            assert parameter.grad.abs().sum() > 0, parameter_name


@every_net
def test_logits_can_be_negative(name: str) -> None:
    torch.manual_seed(0)
    network = small(name).train()
    side = network.structure.legal_size(64)
    logits = network(torch.randn(2, 1, side, side))
    assert (logits < 0).any()
    assert (logits > 0).any()


@every_net
def test_evaluation_is_deterministic_and_does_not_depend_on_the_batch(name: str) -> None:
    torch.manual_seed(0)
    network = small(name).eval()
    images = torch.randn(3, 1, *(network.structure.legal_size(side) for side in (48, 64)))
    with torch.inference_mode():
        together = network(images)
        assert torch.equal(together, network(images))
        alone = network(images[1:2])
        assert (together[1:2] - alone).abs().max() < 1e-4 * together.abs().max()


@every_net
def test_state_round_trips(name: str) -> None:
    torch.manual_seed(0)
    one, other = small(name).eval(), small(name).eval()
    side = one.structure.legal_size(32)
    image = torch.randn(1, 1, side, side)
    with torch.inference_mode():
        assert not torch.equal(one(image), other(image))
        other.load_state_dict(one.state_dict())
        assert torch.equal(one(image), other(image))


@every_net
def test_one_picture_can_be_overfitted(name: str) -> None:
    """Labels that follow the picture, coarse enough for networks that answer every 8 to 32 pixels."""
    torch.manual_seed(0)
    network = small(name)
    side = network.structure.input_for(64).size
    image = torch.nn.functional.interpolate(torch.randn(1, 1, 2, 2), size=(side, side), mode="nearest")
    labels = (image[:, 0] > image.median()).long()
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=3e-3)
    loss = Loss()
    right = 0.0
    for _ in range(120):
        logits = network(image)
        truth = crop_to(labels[:, None], logits.shape[2:])[:, 0]
        logits = crop_to(logits, truth.shape[1:])
        right = (logits.argmax(1) == truth).float().mean().item()
        if right > 0.93:
            return
        optimiser.zero_grad()
        loss(logits, truth).total.backward()
        optimiser.step()
    pytest.fail(f"{name}: only {right:.2f} of the pixels are right")


@every_net
def test_he_initialisation(name: str) -> None:
    torch.manual_seed(0)
    structure = named_net(name).structure
    if isinstance(structure, FCNStructure):
        structure = FCNStructure(**{**structure.model_dump(), "width": 8})
    for path, module in network_of(structure, 3, 11).named_modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 5000 and "score" not in path:
            fan_in = module.weight[0].numel()
            assert module.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.08)
            assert module.bias is None or not module.bias.any()


@every_net
def test_the_halo_is_enough_for_exact_tiles(name: str) -> None:
    """A window that starts on the stride grid and carries the halo computes what the whole picture computes."""
    torch.manual_seed(0)
    network = small(name).eval().double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
    structure = network.structure
    seen = structure.halo
    assert seen is not None
    stride = structure.stride
    before = -(-seen.before // stride) * stride
    start = before + stride
    window = structure.legal_size(before + stride + seen.after)
    whole = structure.legal_size(start + window + stride)
    other = structure.legal_size(32)
    image = torch.randn(1, 1, whole, other, dtype=torch.double)
    with torch.inference_mode():
        expected = network(image)[:, :, start : start + stride]
        part = network(image[:, :, start - before : start - before + window])[:, :, before : before + stride]
    assert expected.shape == part.shape
    assert torch.allclose(part, expected, atol=1e-9, rtol=1e-9)


# --- over random points ---------------------------------------------------------------------------------------------


@every_point
def test_a_point_keeps_its_size_rule_and_learns(point: int) -> None:
    structure = points()[point]
    torch.manual_seed(point)
    network = EncoderDecoder(structure, 2, 3)
    for wanted in (9, 24):
        side = structure.legal_size(wanted)
        expected = structure.output_size(side)
        with torch.inference_mode():
            assert network.eval()(torch.randn(1, 2, side, side)).shape == (1, 3, expected, expected)
    side = structure.legal_size(32)
    network.train()(torch.randn(2, 2, side, side)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, (name, structure)
        assert torch.isfinite(parameter.grad).all(), (name, structure)


@every_point
def test_a_point_is_deterministic_and_tiles_exactly(point: int) -> None:
    structure = points()[point]
    torch.manual_seed(point)
    network = EncoderDecoder(structure, 1, 2).eval().double()
    side = structure.legal_size(40)
    image = torch.randn(1, 1, side, side, dtype=torch.double)
    with torch.inference_mode():
        assert torch.equal(network(image), network(image))
    seen = structure.halo
    if seen is None or structure.norm in ("group", "instance"):
        return
    stride = structure.stride
    before = -(-seen.before // stride) * stride
    window = structure.legal_size(before + stride + seen.after)
    whole = structure.legal_size(before + stride + window)
    image = torch.randn(1, 1, whole, side, dtype=torch.double)
    with torch.inference_mode():
        expected = network(image)[:, :, before + stride : before + 2 * stride]
        part = network(image[:, :, stride : stride + window])[:, :, before : before + stride]
    assert torch.allclose(part, expected, atol=1e-9, rtol=1e-9), structure


@cache
def shallow_points() -> tuple[Structure, ...]:
    """Points whose logits depend on few pixels, which can be found by lighting one row after the other."""
    changes = {"norm": "none", "depth": 1, "kernel": 3}
    chosen = (point for point in points() if point.halo is not None and not point.unpools)
    return tuple(Structure(**{**point.model_dump(), **changes, "dropout_after": ()}) for point in chosen)


@pytest.mark.parametrize("number", range(0, len(shallow_points()), 2))
def test_a_point_reads_the_pixels_of_its_receptive_field_and_halo(number: int) -> None:
    """Weights are positive, so whatever depends on the row that is lit becomes positive."""
    structure = shallow_points()[number]
    network = EncoderDecoder(structure, 1, 2).eval().double()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.fill_(0 if "bias" in name else 1)
    field, halo = receptive_field(structure.deepest_path()), structure.halo
    assert halo is not None
    side, narrow = structure.legal_size(2 * field + 3 * structure.stride), structure.legal_size(1)
    rows = torch.eye(side, dtype=torch.double)[:, None, :, None].expand(-1, -1, -1, narrow)
    with torch.inference_mode():
        logits = torch.cat([network(part) for part in rows.split(32)])
    reads = logits[:, 0].amax(2) > 0  # (rows of the picture, rows of the logits)
    first = structure.stride * -(-(side - reads.shape[1] + field) // (2 * structure.stride))
    block = [reads[:, row].nonzero().flatten() for row in range(first, first + structure.stride)]
    assert max(int(lit[-1] - lit[0]) + 1 for lit in block) == field
    assert min(int(lit[0]) for lit in block) == first - halo.before
    assert max(int(lit[-1]) for lit in block) == first + structure.stride - 1 + halo.after


# --- a strided stem -------------------------------------------------------------------------------------------------


def test_the_sizes_of_a_stem_by_hand() -> None:
    """568 becomes 284 in the stem and then follows figure 1 of the U-Net: 284 to 100 pixels, which the head doubles."""
    structure = stemmed(named_net("unet-2015").structure)
    assert [size for size in range(300, 480) if structure.output_size(size)] == [376, 408, 440, 472]
    assert structure.output_size(376) == 2 * 4
    assert structure.output_size(568) == 200
    assert structure.output_size(572) is None  # 286 becomes 282 before the first pooling, 141 after it, then 137
    assert structure.stride == 32
    assert structure.detail == 2


def test_the_pixels_around_a_stem_by_hand() -> None:
    """Pixels 0 to 3 are 0 and 1 after the stem, whose convolutions read -1 to 2: -2 to 5 of the picture."""
    structure = Structure(
        stem="strided", depth=1, bottom=False, encoder_convolutions=1, decoder_convolutions=0, skip="none"
    )
    assert structure.stride == structure.detail == 4
    assert structure.halo == Border(2, 2)
    assert receptive_field(structure.deepest_path()) == 8
    assert [size for size in range(1, 14) if structure.output_size(size)] == [4, 8, 12]


@pytest.mark.parametrize("rounding", ["floor", "ceil"])
def test_an_odd_size_is_not_legal_with_a_stem(rounding: str) -> None:
    structure = Structure.model_validate({"stem": "strided", "depth": 2, "pooling_rounding": rounding})
    legal = [size for size in range(1, 26) if structure.output_size(size)]
    assert legal == ([8, 16, 24] if rounding == "floor" else list(range(2, 25, 2)))


@pytest.mark.parametrize("norm", ["group", "instance"])
def test_a_stem_does_not_normalise_a_single_pixel(norm: str) -> None:
    given = {"stem": "strided", "width": 8, "depth": 1, "norm": norm, "padding": "full", "pooling_rounding": "ceil"}
    structure = Structure.model_validate(given)
    side = structure.legal_size(1)
    assert side == 4
    assert EncoderDecoder(structure, 1, 2).train()(torch.randn(1, 1, side, side)).isfinite().all()


@pytest.mark.parametrize("name", STEMMED)
def test_a_stem_halves_and_a_head_doubles_the_size(name: str) -> None:
    structure = slim(stemmed(named_net(name).structure))
    network = EncoderDecoder(structure, 2, 3).eval()
    side = structure.legal_size(64)
    sizes: dict[str, tuple[int, ...]] = {}
    for path in ("stem", "head"):
        network.get_submodule(path).register_forward_hook(
            lambda _m, taken, made, path=path: sizes.update({path: (*taken[0].shape[2:], *made.shape[1:])})
        )
    with torch.inference_mode():
        network(torch.zeros(1, 2, side, side))
    out = structure.output_size(side)
    assert sizes["stem"] == (side, side, 4, side // 2, side // 2)
    assert sizes["head"] == (out // 2, out // 2, 3, out, out)


def test_a_stem_adds_its_names_and_no_others() -> None:
    plain, other = Structure(width=4, depth=1), Structure(width=4, depth=1, stem="strided")
    names, found = (set(EncoderDecoder(each, 1, 2).state_dict()) for each in (plain, other))
    assert not any("stem" in name for name in names)
    assert found - names == {
        f"stem.{name}" for name in (
            "0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked",
        )
    }  # fmt: skip
    assert names <= found


def test_the_pixels_of_a_stem_begin_alike() -> None:
    """Different weights for the 2 x 2 pixels draw a checkerboard into the predictions of a short training."""
    torch.manual_seed(0)
    network = network_of(Structure(width=8, depth=2, stem="strided"), 3, 4).eval()
    logits = network(torch.randn(1, 3, 16, 24)).detach()
    blocks = logits.unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2)  # (1, classes, 8, 12, 4)
    assert torch.allclose(blocks, blocks[..., :1].expand_as(blocks), rtol=0, atol=1e-5)
    assert float(logits.std()) > 0.01


@pytest.mark.parametrize("name", ["unet", "fcn-basic"])
def test_the_first_logits_of_a_stem_are_no_larger_than_those_of_others(name: str) -> None:
    def spread(structure: NetworkStructure) -> float:
        torch.manual_seed(0)
        network = network_of(structure, 1, 2).train()
        with torch.no_grad():
            return float(network(torch.randn(2, 1, 128, 128)).std())

    structure = named_net(name).structure
    assert spread(stemmed(structure)) < 2 * spread(structure)


# --- what is peculiar -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "channels", "classes", "count"),
    [
        ("unet-2015", 1, 2, 31_030_658),
        ("unet-2015", 3, 11, 31_032_395),
        ("unet-2015", 1, 1, 31_030_593),
        ("unet-2015-released", 1, 2, 31_100_354),
        ("segnet", 3, 11, 29_449_355),
        ("bayesian-segnet", 3, 11, 29_449_355),
        ("segnet-basic", 3, 11, 1_416_587),
        ("bayesian-segnet-basic", 3, 11, 1_416_587),
    ],
)
def test_parameter_counts(name: str, channels: int, classes: int, count: int) -> None:
    with torch.device("meta"):
        network = build(name, channels, classes)
    assert sum(p.numel() for p in network.parameters()) == count


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("segnet-basic-bilinear", 0.625), ("segnet-basic", 1.425), ("segnet-basic-encoder-addition", 1.425),
        ("segnet-basic-single-channel", 0.625), ("fcn-basic", 0.65), ("fcn-basic-no-addition", 0.65),
        ("fcn-basic-no-reduction", 1.625), ("fcn-basic-no-addition-no-reduction", 1.625),
    ],
)  # fmt: skip
def test_table_1_parameters(name: str, millions: float) -> None:
    """SegNet, Table 1; its column is rounded from file sizes, so ours may differ by a few per cent."""
    with torch.device("meta"):
        network = build(name, 3, 11)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, rel=0.025)


def test_unet_2015_is_the_papers() -> None:
    structure = named_net("unet-2015").structure
    assert structure.output_size(572) == 388
    assert [size for size in range(150, 240) if structure.output_size(size)] == [188, 204, 220, 236]
    assert structure.output_size(188) == 4
    with torch.device("meta"):
        network = build("unet-2015", 1, 2)
        kinds = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        assert len(kinds) == 23  # "In total the network has 23 convolutional layers"
        assert network(torch.empty(1, 1, 572, 572)).shape == (1, 2, 388, 388)


def test_released_unet_drops_the_skip_of_512_maps() -> None:
    structure = Structure(**{**named_net("unet-2015-released").structure.model_dump(), "width": 4})
    network = EncoderDecoder(structure, 1, 2).train()
    skips: list[SkipConnection] = []
    network.encoder[3].register_forward_hook(lambda _m, _i, out: skips.append(out[1]))
    network(torch.randn(1, 1, 188, 188))
    maps = skips[0].maps
    assert maps is not None
    assert (maps == 0).float().mean() > 0.6  # half by ReLU, half of the rest by dropout


def test_segnet_sizes_are_caffes() -> None:
    network = small("segnet").eval()
    seen: list[tuple[int, int]] = []
    for stage in network.encoder:
        stage.register_forward_hook(lambda _m, _i, out: seen.append(tuple(out[0].shape[2:])))
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, 360, 480)).shape[2:] == (360, 480)
    assert seen == [(180, 240), (90, 120), (45, 60), (23, 30), (12, 15)]


def test_unpooling_puts_values_only_where_the_maxima_were() -> None:
    network = small("segnet-basic").eval()
    maps = torch.randn(1, 4, 7, 9)
    pooled, indices = network.encoder[0].pool(maps)
    grown = network.decoder[0].up(pooled, indices)
    assert grown.shape == maps.shape
    filled = grown != 0
    assert filled.sum() == pooled.numel()
    assert torch.equal(grown[filled], maps[filled])


@pytest.mark.parametrize("name", ["bayesian-segnet", "bayesian-segnet-basic"])
def test_bayesian_dropout_stands_where_it_was_released(name: str) -> None:
    places = [path for path, module in small(name).named_modules() if isinstance(module, nn.Dropout)]
    depth = named_net(name).structure.depth
    encoder = [f"encoder.{stage - 1}.pool_dropout" for stage in (3, 4, 5) if stage <= depth]
    decoder = [f"decoder.{depth - stage}.dropout" for stage in (5, 4, 3) if stage <= depth]
    assert places == encoder + decoder


def test_fusionnets_block_is_conv_residual_conv() -> None:
    network = small("fusionnet").eval()
    block = network.encoder[0].convolutions
    assert [len(list(part.children())) for part in (block.first, block.inner)] == [3, 3]
    image = torch.randn(1, 1, 16, 16)
    with torch.inference_mode():
        first = block.first(image)
        assert torch.allclose(block(image), block.last(first + block.inner(first)))


def test_full_decoder_restores_what_a_valid_encoder_lost() -> None:
    structure = Structure(
        width=4, depth=2, padding="valid", decoder_padding="full", norm="none", skip="none", bottom=False
    )
    for size in (20, 28, 36):
        assert structure.output_size(size) == size


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ({"skip": "index"}, "set skip=none, or skip=add, or skip=concat, or up=unpool"),
        ({"up": "unpool", "skip": "none"}, "set skip=index"),
        ({"up": "unpool", "skip": "index", "padding": "valid", "bottom": False}, "set padding=same"),
        ({"up": "unpool", "skip": "add", "skip_from": "pooled", "bottom": False}, "or skip_from=convolved"),
        ({"kernel": 4}, "set kernel=5"),
        ({"stem": "strided", "head_kernel": 3}, "set head_kernel=1, or stem=none"),
        ({"block": "residual"}, "set encoder_convolutions=3 and decoder_convolutions=3"),
        ({"dropout_after": ("decoder9",)}, "set dropout_after"),
        ({"encoder_convolutions": (1, 2)}, r"set encoder_convolutions=\(1, 2, 2, 2\), or depth=2"),
        ({"norm": "group", "width": 12}, "multiples of 8"),
    ],
)
def test_choices_that_make_no_sense_are_refused_with_the_reason(choices: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Structure(**choices)


def test_unknown_net_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean --net segnet-basic"):
        named_net("segnet_basic")


@pytest.mark.parametrize("name", ["unet", "fcn-8s"])
def test_wrong_channels_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"\(N, 1, rows, columns\)"):
        small(name)(torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kernel", [2, 3])
def test_an_up_convolution_is_torchs_transposed_convolution(kernel: int, bias: bool) -> None:
    given = (5, 4, kernel, 2, (kernel - 1) // 2, kernel % 2)
    ours, theirs = UpConvolution(*given, bias=bias), torch.nn.ConvTranspose2d(*given, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    maps = torch.randn(2, 5, 6, 7)
    torch.testing.assert_close(ours(maps), theirs(maps))
    (one, other) = (
        torch.autograd.grad(layer(maps).square().sum(), list(layer.parameters())) for layer in (ours, theirs)
    )
    for mine, their in zip(one, other, strict=True):
        torch.testing.assert_close(mine, their, rtol=1e-4, atol=1e-3)


def test_a_score_convolution_is_torchs_convolution() -> None:
    ours, theirs = ScoreConvolution(6, 3, 3, padding=1), torch.nn.Conv2d(6, 3, 3, padding=1)
    theirs.load_state_dict(ours.state_dict())
    maps = torch.randn(2, 6, 5, 7)
    torch.testing.assert_close(ours(maps), theirs(maps))
    gradients = (torch.autograd.grad(each(maps).square().sum(), list(each.parameters())) for each in (ours, theirs))
    for mine, their in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, their, rtol=1e-4, atol=1e-3)


HEAP = """
import torch
from unpool.nets.blocks import ScoreConvolution, UpConvolution
layers = [ScoreConvolution(4096, classes, 1) for classes in (2, 11)]
for layer in (*layers, UpConvolution(4096, 2, 2, 2)):
    for _ in range(20):
        maps = torch.randn(1, 4096, 8, 8).to(memory_format=torch.channels_last).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scores = layer(maps)
        scores.float().square().sum().backward()
        scraps = [torch.randn(size) for size in (1, 2, 3, 8, 16, 30, 300, 3000)]
        del scraps
"""


def test_scores_of_many_maps_in_bfloat16_do_not_damage_the_heap() -> None:
    """In a process of its own, which damage would end. It ends a plain Conv2d on CPUs with bfloat16 matrix units."""
    ended = subprocess.run([sys.executable, "-c", HEAP], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
