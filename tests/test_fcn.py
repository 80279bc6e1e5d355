"""FCN-32s, FCN-16s and FCN-8s against the paper and the released networks (sizes, crops, counts worked out by hand)."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from unpool.errors import UsageError
from unpool.nets.blocks import bilinear_kernel
from unpool.nets.fcn import (
    CITATION,
    DEPARTURES,
    FCN,
    FCN_8S,
    FCN_8S_AT_ONCE,
    FCN_16S,
    FCN_32S,
    FCNStructure,
    bilinear_deconvolution,
)
from unpool.nets.weights import begin_with
from unpool.prediction.halo import Halo, tile_of
from unpool.tiling import regions

NETS = {"32s": FCN_32S, "16s": FCN_16S, "8s": FCN_8S, "8s-at-once": FCN_8S_AT_ONCE}
every_net = pytest.mark.parametrize("structure", NETS.values(), ids=NETS)
every_stride = pytest.mark.parametrize("structure", [FCN_32S, FCN_16S, FCN_8S], ids=["32s", "16s", "8s"])


def changed(structure: FCNStructure, **changes: object) -> FCNStructure:
    return FCNStructure(**{**structure.model_dump(), **changes})


def small(structure: FCNStructure, classes: int = 2, **changes: object) -> FCN:
    """The network with few feature maps, for speed, on pictures of one channel."""
    torch.manual_seed(0)
    return FCN(changed(structure, **{"width": 2, **changes}), 1, classes)


def with_scores(network: FCN) -> FCN:
    """Random scores instead of zeros, as after some training."""
    for name, module in network.named_children():
        if name.startswith("score"):
            nn.init.normal_(module.weight, std=0.1)
            nn.init.normal_(module.bias, std=0.1)
    return network


def learning(network: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}


def test_parameter_counts_are_the_papers() -> None:
    with torch.device("meta"):
        network = FCN(FCN_32S, 3, 21)
    counts = {name: parameter.numel() for name, parameter in network.named_parameters()}
    convolutions = sum(count for name, count in counts.items() if name.startswith("conv"))
    fully_connected = sum(count for name, count in counts.items() if name.startswith("fc"))
    assert convolutions == 14_714_688  # 14.71 M, VGG16's
    assert fully_connected == 119_545_856  # 119.5 M
    assert sum(parameter.numel() for parameter in learning(network).values()) == 134_346_581  # 134.3 M
    assert counts["upscore.weight"] == 21 * 21 * 64 * 64  # fixed, and so not among the 134.3 M


@pytest.mark.parametrize(
    ("structure", "layers"),
    [
        (FCN_32S, {"score_fr": 4096, "upscore": 64}),
        (FCN_16S, {"score_fr": 4096, "upscore2": 4, "score_pool4": 512, "upscore16": 32}),
        (
            FCN_8S,
            {
                "score_fr": 4096,
                "upscore2": 4,
                "score_pool4": 512,
                "upscore_pool4": 4,
                "score_pool3": 256,
                "upscore8": 16,
            },
        ),
    ],
    ids=["32s", "16s", "8s"],
)
def test_layers_are_the_released_networks(structure: FCNStructure, layers: dict[str, int]) -> None:
    """Names and shapes of the released nets: scores by their input channels, deconvolutions by their kernels."""
    trunk = {
        "conv1_1": 64, "conv1_2": 64, "conv2_1": 128, "conv2_2": 128, "conv3_1": 256, "conv3_2": 256, "conv3_3": 256,
        "conv4_1": 512, "conv4_2": 512, "conv4_3": 512, "conv5_1": 512, "conv5_2": 512, "conv5_3": 512,
        "fc6": 4096, "fc7": 4096,
    }  # fmt: skip
    with torch.device("meta"):
        network = FCN(structure, 3, 21)
    made = {name: module for name, module in network.named_children() if hasattr(module, "weight")}
    assert {name: made[name].out_channels for name in trunk} == trunk
    assert set(made) == set(trunk) | set(layers)
    for name, size in layers.items():
        shape = (21, 21, size, size) if name.startswith("up") else (21, size, 1, 1)
        assert made[name].weight.shape == shape
    assert made["conv1_1"].padding == (100, 100)
    assert (made["fc6"].kernel_size, made["fc6"].padding) == ((7, 7), (0, 0))


def test_crops_are_the_released_networks() -> None:
    assert FCN_32S.crops == (19,)
    assert FCN_16S.crops == (5, 27)
    assert FCN_8S.crops == FCN_8S_AT_ONCE.crops == (5, 9, 31)


@every_stride
def test_crops_lay_the_output_on_the_picture(structure: FCNStructure) -> None:
    """58 + 198 pixels are 8 x 32, so nothing is rounded, and with kernels that are their own mirror image the
    mirrored picture must give the mirrored output; one pixel off in any crop and it does not."""
    network = with_scores(small(structure)).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 4:
                parameter.copy_((parameter + parameter.flip(2)) / 2)
                parameter.copy_((parameter + parameter.flip(3)) / 2)
    image = torch.randn(1, 1, 58, 58, dtype=torch.double)
    with torch.inference_mode():
        output = network(image)
        assert torch.allclose(network(image.flip(2, 3)), output.flip(2, 3), atol=1e-12)
    assert output.std() > 1e-3


@every_stride
def test_output_has_the_size_of_the_picture(structure: FCNStructure) -> None:
    network = small(structure).eval()
    with torch.inference_mode():
        for size in (*range(1, 71), 500):
            assert network.structure.output_size(size) == size
            columns = 101 - size if size < 101 else 33
            assert network(torch.zeros(1, 1, size, columns)).shape == (1, 2, size, columns)


@pytest.mark.parametrize(("stride", "least"), [(32, 81), (16, 73), (8, 69)])
def test_less_padding_needs_larger_pictures(stride: int, least: int) -> None:
    with pytest.raises(ValidationError, match=rf"(set|or) padding={least} "):
        FCNStructure(prediction_stride=stride, padding=least - 1)
    network = small(FCNStructure(prediction_stride=stride, padding=least)).eval()
    structure = network.structure
    assert structure.crops[-1] == 0
    smallest = structure.legal_size(0)
    assert smallest == 195 - 2 * least  # i + 2p - 2 > 6 x 32
    assert structure.output_size(smallest - 1) is None
    with pytest.raises(UsageError, match=f"pad the picture to {smallest} x 70"):
        network(torch.zeros(1, 1, smallest - 1, 70))
    with torch.inference_mode():
        for size in range(smallest, smallest + 33):
            assert network(torch.zeros(1, 1, size, smallest)).shape == (1, 2, size, smallest)


def test_score_map_of_the_papers_picture() -> None:
    """500 -> 698 -> 349, 175, 88, 44, 22 (rounded up) -> 16; upscore 544, cut to 500."""
    network = small(FCN_32S).eval()
    seen = []
    for name in ("conv1_2", "conv2_1", "conv3_1", "conv4_1", "conv5_1", "fc6", "score_fr", "upscore"):
        network.get_submodule(name).register_forward_hook(lambda _m, _i, out: seen.append(out.shape[2]))
    with torch.inference_mode():
        network(torch.zeros(1, 1, 500, 33))
    assert seen == [698, 349, 175, 88, 44, 16, 16, 544]


def test_bilinear_kernels_by_hand() -> None:
    four = torch.tensor([0.25, 0.75, 0.75, 0.25])
    three = torch.tensor([0.5, 1.0, 0.5])
    assert torch.equal(bilinear_kernel(4), four[:, None] * four)
    assert torch.equal(bilinear_kernel(3), three[:, None] * three)
    assert bilinear_kernel(64)[31, 31] == (63 / 64) ** 2


@pytest.mark.parametrize("stride", [2, 8, 16, 32])
def test_deconvolution_interpolates_each_class_by_itself(stride: int) -> None:
    layer = bilinear_deconvolution(2, stride)
    assert not layer.weight.requires_grad
    ramp = torch.arange(5.0).expand(5, 5)
    maps = torch.stack([torch.full((5, 5), 3.0), ramp])[None]
    out = layer(maps).detach()
    inside = slice(stride, -stride)
    assert torch.allclose(out[0, 0, inside, inside], torch.tensor(3.0))
    steps = out[0, 1, stride, inside].diff()
    assert torch.allclose(steps, torch.full_like(steps, 1 / stride), atol=1e-5)
    torchs = F.interpolate(maps, scale_factor=stride, mode="bilinear", align_corners=False)
    half = stride // 2
    assert torch.allclose(out[..., inside, inside], torchs[..., half:-half, half:-half], atol=1e-5)


@every_net
def test_at_the_start_only_scores_learn(structure: FCNStructure) -> None:
    network = small(structure)
    output = network(torch.randn(1, 1, 32, 32))
    assert not output.any()
    F.cross_entropy(output, torch.zeros(1, 32, 32, dtype=torch.long)).backward()
    for name, parameter in learning(network).items():
        assert (parameter.grad.abs().sum() > 0) == name.startswith("score"), name


@every_net
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_gradients_reach_every_parameter_once_scores_have_moved(structure: FCNStructure, norm: str) -> None:
    upsampling = "fixed" if structure.prediction_stride == 32 else "learned"
    network = with_scores(small(structure, norm=norm, upsampling=upsampling))
    network(torch.randn(2, 1, 40, 40)).square().mean().backward()
    for name, parameter in learning(network).items():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_the_paper_learns_all_deconvolutions_but_the_last() -> None:
    assert not [name for name in learning(small(FCN_8S)) if name.startswith("up")]
    names = learning(small(FCN_8S, upsampling="learned"))
    assert [name for name in names if name.startswith("up")] == ["upscore2.weight", "upscore_pool4.weight"]


def test_at_once_scales_the_skips() -> None:
    staged, at_once = with_scores(small(FCN_8S)).eval(), small(FCN_8S_AT_ONCE).eval()
    at_once.load_state_dict(staged.state_dict())
    with torch.no_grad():
        at_once.score_pool4.weight *= 100.0
        at_once.score_pool3.weight *= 10_000.0
        image = torch.randn(1, 1, 40, 40)
        assert torch.allclose(at_once(image), staged(image), atol=1e-5)


def test_he_initialisation() -> None:
    network = small(FCN_8S, width=16)
    for name in ("conv3_2", "conv5_1", "fc6", "fc7"):
        layer = network.get_submodule(name)
        fan_in = layer.weight[0].numel()
        assert layer.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)
        assert not layer.bias.any()


@every_net
def test_evaluation_is_deterministic_and_state_round_trips(structure: FCNStructure) -> None:
    one, other = with_scores(small(structure, norm="batch")).eval(), small(structure, norm="batch").eval()
    images = torch.randn(3, 1, 35, 48)
    with torch.inference_mode():
        before = one(images)
        assert torch.equal(before, one(images))
        assert torch.allclose(before[1:2], one(images[1:2]), atol=1e-5)
        assert not torch.equal(before, other(images))
        other.load_state_dict(one.state_dict())
        assert torch.equal(before, other(images))
    assert FCNStructure(**one.structure.model_dump(mode="json")) == one.structure


def test_halo_by_hand() -> None:
    """Scores -1..1 -> pool5 -1..7 -> pool4 -5..18 -> pool3 -13..40 -> pool2 -29..84 -> pool1 -60..171 -> -221..246."""
    assert [structure.halo for structure in (FCN_32S, FCN_16S, FCN_8S)] == [(221, 221)] * 3


@pytest.mark.parametrize("padding", [100, 90])
@every_stride
def test_halo_is_enough_and_not_too_large(structure: FCNStructure, padding: int) -> None:
    """With positive weights a bright pixel wins every pooling, so it shows exactly where its pixel is read."""
    network = with_scores(small(structure, width=1, padding=padding)).double().eval()
    for name, parameter in network.named_parameters():
        if not name.startswith("up"):
            nn.init.constant_(parameter, 1 / parameter[0].numel())
    halo, start = network.structure.halo.before, 256
    image = torch.zeros(1, 1, 560, 15, dtype=torch.double)
    with torch.inference_mode():
        dark = network(image)[:, :, start : start + 32]

        def shows(row: int) -> bool:
            bright = image.clone()
            bright[:, :, row] = 1e9
            return not torch.equal(network(bright)[:, :, start : start + 32], dark)

        assert shows(start - halo) or shows(start + 31 + halo)
        assert not shows(start - halo - 1)
        assert not shows(start + 31 + halo + 1)


@every_stride
def test_tiles_equal_the_whole(structure: FCNStructure) -> None:
    """The 100 zeros around a window that is not at the picture's border lie beyond the halo."""
    network = with_scores(small(structure)).double().eval()
    image = torch.randn(1, 1, 605, 9, dtype=torch.double)
    made = torch.full((1, 2, 605, 9), torch.nan, dtype=torch.double)
    windows = set()
    with torch.inference_mode():
        whole = network(image)
        halo = network.structure.halo.before
        reach = Halo(halo, halo, network.structure.stride, lambda side: side)
        for kept in regions((605, 9), (64, 64), reach.stride):
            tile = tile_of(kept, (605, 9), reach)
            windows.add((tile.window[0].start, tile.window[0].stop))
            part = network(image[:, :, tile.window[0], tile.window[1]])
            made[:, :, tile.kept[0], tile.kept[1]] = part[:, :, tile.inside[0], tile.inside[1]]
    assert {(0, 285), (32, 541), (96, 605)} <= windows  # at the top, inside, at the bottom
    assert torch.allclose(made, whole, atol=1e-12)
    assert whole.std() > 1e-3


@pytest.mark.parametrize(("fine", "coarse"), [(FCN_16S, FCN_32S), (FCN_8S, FCN_16S)], ids=["16s", "8s"])
def test_staged_network_begins_with_the_coarser_ones_answers(fine: FCNStructure, coarse: FCNStructure) -> None:
    """Interpolating twice gives the same where scores are linear; at a bend it cuts the corner by at most an eighth
    of the bend, in rows and in columns."""
    new, old = small(fine).double().eval(), with_scores(small(coarse)).double().eval()
    for parameter in learning(old).values():
        parameter.data *= 1.5  # so that what is not copied shows
    begin_with(new, old.state_dict(), "coarse")
    summed: list[Tensor] = []
    last = {32: "upscore", 16: "upscore16"}[coarse.prediction_stride]
    old.get_submodule(last).register_forward_hook(lambda _m, into, _o: summed.append(into[0]))
    image = torch.randn(1, 1, 90, 122, dtype=torch.double)
    with torch.inference_mode():
        difference = (new(image) - old(image)).abs().max()
    scores = F.pad(summed[0], (2, 2, 2, 2))
    bend = scores.diff(n=2, dim=2).abs().max() + scores.diff(n=2, dim=3).abs().max()
    assert 0 < difference <= bend / 8


def test_staging_takes_every_layer_of_equal_name() -> None:
    coarse = with_scores(small(FCN_16S, upsampling="learned"))
    nn.init.normal_(coarse.upscore2.weight)
    learned, fixed = small(FCN_8S, upsampling="learned"), small(FCN_8S)
    new = {"score_pool3.weight", "score_pool3.bias"}
    assert new <= set(begin_with(learned, coarse.state_dict(), "coarse")) <= new | {"upscore_pool4.weight"}
    same = [name for name in coarse.state_dict() if name in learned.state_dict()]
    assert "upscore2.weight" in same
    assert all(torch.equal(learned.state_dict()[name], coarse.state_dict()[name]) for name in same)
    assert not learned.score_pool3.weight.any()
    assert set(begin_with(fixed, coarse.state_dict(), "coarse")) == new
    assert torch.equal(fixed.upscore2.weight, bilinear_deconvolution(2, 2).weight)


def test_beginning_with_a_network_that_shares_no_layer_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no layer of narrow.safetensors has the name and the shape"):
        begin_with(small(FCN_16S), small(FCN_32S, width=3, norm="batch").state_dict(), "narrow.safetensors")


def test_structures_that_make_no_sense_are_refused() -> None:
    with pytest.raises(
        ValidationError, match="FCN-16s lacks what at_once scales in FCN-8s; set prediction_stride=8, or at_once=False"
    ):
        FCNStructure(prediction_stride=16, at_once=True)
    with pytest.raises(ValidationError, match="or upsampling=fixed"):
        FCNStructure(prediction_stride=32, upsampling="learned")
    with pytest.raises(ValidationError, match="Extra inputs"):
        FCNStructure(widths=(64, 128))  # type: ignore[call-arg]


def test_wrong_channels_are_refused() -> None:
    with pytest.raises(UsageError, match=r"\(N, 1, rows, columns\)"):
        small(FCN_32S)(torch.zeros(1, 3, 32, 32))


@every_stride
def test_one_picture_can_be_overfitted(structure: FCNStructure) -> None:
    """Labels in quarters: finer ones than the prediction stride no bilinear output can follow."""
    network = small(structure, classes=3, width=3, norm="batch", dropout=0.0)
    labels = torch.zeros(1, 64, 64, dtype=torch.long)
    labels[:, 32:], labels[:, 32:, 32:] = 1, 2
    image = torch.randn(1, 1, 64, 64) + labels[:, None]
    optimiser = torch.optim.AdamW(list(learning(network).values()), lr=1e-2)
    for _ in range(40):
        optimiser.zero_grad()
        F.cross_entropy(network(image), labels).backward()
        optimiser.step()
    prediction = network(image).argmax(1)
    assert (prediction == labels).float().mean() > 0.97


def test_sources_are_named() -> None:
    assert "1411.4038" in CITATION
    assert any("ImageNet" in departure for departure in DEPARTURES)
