"""What must be true of every network, run over the whole table; then what is peculiar to each."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from unpool.errors import UsageError
from unpool.losses import CrossEntropyDice
from unpool.nets import NAMED_NETS, EncoderDecoder, Structure, build, halo, legal_size, named_net, output_size

every_net = pytest.mark.parametrize("name", list(NAMED_NETS))


def small(name: str, in_channels: int = 1, classes: int = 3) -> EncoderDecoder:
    """The named net with few feature maps, for speed."""
    structure = named_net(name).structure
    changes = {"widths": tuple(w // 8 for w in structure.widths), "bottom": structure.bottom // 8}
    return EncoderDecoder(Structure(**{**structure.model_dump(), **changes}), in_channels, classes)


@every_net
def test_output_size_follows_its_rule_for_every_size(name: str) -> None:
    network = small(name).eval()
    for size in range(1, 71):
        expected = output_size(network.structure, size)
        if expected is None:
            nearest = legal_size(network.structure, size)
            with pytest.raises(UsageError, match=f"pad the picture to {nearest} x "):
                network(torch.zeros(1, 1, size, 32))
        else:
            with torch.inference_mode():
                assert network(torch.zeros(1, 1, size, 32)).shape == (1, 3, expected, 32)


@every_net
def test_same_padding_keeps_every_legal_size(name: str) -> None:
    structure = named_net(name).structure
    for size in range(1, 200):
        assert output_size(structure, legal_size(structure, size)) == legal_size(structure, size)


@every_net
def test_gradients_reach_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    network = small(name)
    network(torch.randn(2, 1, 32, 32)).square().mean().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        if "bias" not in parameter_name:  # a bias before batch normalisation has a gradient of exactly 0
            assert parameter.grad.abs().sum() > 0, parameter_name


@every_net
def test_logits_can_be_negative(name: str) -> None:
    torch.manual_seed(0)
    logits = small(name)(torch.randn(2, 1, 32, 32))
    assert (logits < 0).any()
    assert (logits > 0).any()


@every_net
def test_evaluation_is_deterministic_and_does_not_depend_on_the_batch(name: str) -> None:
    torch.manual_seed(0)
    network = small(name).eval()
    images = torch.randn(3, 1, 32, 48)
    with torch.inference_mode():
        together = network(images)
        assert torch.equal(together, network(images))
        assert torch.allclose(together[1:2], network(images[1:2]), atol=1e-5)


@every_net
def test_state_round_trips(name: str) -> None:
    torch.manual_seed(0)
    one, other = small(name).eval(), small(name).eval()
    image = torch.randn(1, 1, 32, 32)
    with torch.inference_mode():
        assert not torch.equal(one(image), other(image))
        other.load_state_dict(one.state_dict())
        assert torch.equal(one(image), other(image))


@every_net
def test_one_picture_can_be_overfitted(name: str) -> None:
    torch.manual_seed(0)
    network = small(name)
    image = torch.randn(1, 1, 32, 32)
    labels = (image[:, 0] > 0).long() + (image[:, 0] > 1).long()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    loss = CrossEntropyDice()
    for _ in range(150):
        optimiser.zero_grad()
        loss(network(image), labels).total.backward()
        optimiser.step()
    assert (network(image).argmax(1) == labels).float().mean() > 0.97


@every_net
def test_halo_is_enough_and_not_too_large(name: str) -> None:
    """A change further away than the halo changes nothing; one just inside it can."""
    torch.manual_seed(0)
    network = small(name).eval().double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
    stride, reach = network.structure.stride, halo(network.structure)
    size = 2 * legal_size(network.structure, reach + stride) + stride
    start = (size // 2) // stride * stride
    image = torch.randn(1, 1, size, stride, dtype=torch.double)
    with torch.inference_mode():
        before = network(image)[:, :, start : start + stride]
        far = image.clone()
        far[:, :, : start - reach] += 5.0
        far[:, :, start + stride + reach :] -= 5.0
        assert torch.equal(network(far)[:, :, start : start + stride], before)
        near = image.clone()
        near[:, :, : start - reach + stride] += 5.0
        assert not torch.equal(network(near)[:, :, start : start + stride], before)


@every_net
def test_he_initialisation(name: str) -> None:
    torch.manual_seed(0)
    for module in build(name, 3, 11).modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 5000:
            fan_in = module.weight[0].numel()
            assert module.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.08)
            assert module.bias is None or not module.bias.any()


def test_parameter_counts() -> None:
    assert sum(p.numel() for p in build("segnet-basic", 3, 11).parameters()) == 1_416_587  # released, 11 classes
    unet = Structure(**{**named_net("unet").structure.model_dump(),
                        "widths": (64, 128, 256, 512), "bottom": 1024, "norm": "none", "bias": True})  # fmt: skip
    assert sum(p.numel() for p in EncoderDecoder(unet, 1, 2).parameters()) == 31_030_658  # Fig. 1


def test_valid_padding_has_the_papers_sizes() -> None:
    unet = Structure(**{**named_net("unet").structure.model_dump(), "padding": "valid"})
    assert output_size(unet, 572) == 388
    assert [size for size in range(150, 240) if output_size(unet, size)] == [188, 204, 220, 236]
    assert output_size(unet, 188) == 4


def test_segnet_sizes_are_caffes() -> None:
    network = small("segnet-basic").eval()
    seen: list[tuple[int, int]] = []
    for stage in network.encoder:
        stage.register_forward_hook(lambda _m, _i, out: seen.append((out.shape[2], out.shape[3])))
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, 360, 480)).shape[2:] == (360, 480)
    assert seen == [(360, 480), (180, 240), (90, 120), (45, 60)]


def test_unpooling_puts_values_only_where_the_maxima_were() -> None:
    network = small("segnet-basic").eval()
    maps = torch.randn(1, 4, 7, 9)
    pooled, positions = network._pool(maps)
    stage = network.decoder[0]
    from unpool.nets.encoder_decoder import Crossing

    grown = stage._grow(pooled, Crossing(maps, positions))
    assert grown.shape == maps.shape
    filled = grown != 0
    assert filled.sum() == pooled.numel()
    assert torch.equal(grown[filled], maps[filled])


structures = st.fixed_dictionaries(
    {
        "widths": st.lists(st.sampled_from([2, 3, 4]), min_size=1, max_size=3).map(tuple),
        "bottom": st.sampled_from([0, 2, 4]),
        "encoder_convolutions": st.integers(1, 2),
        "decoder_convolutions": st.integers(1, 2),
        "kernel": st.sampled_from([1, 3, 5]),
        "padding": st.sampled_from(["same", "valid"]),
        "norm": st.sampled_from(["none", "batch", "instance"]),
        "decoder_relu": st.booleans(),
        "input_norm": st.sampled_from(["none", "lrn"]),
        "pooling_rounding": st.sampled_from(["floor", "ceil"]),
        "skip": st.sampled_from(["none", "index", "add", "concat"]),
        "up": st.sampled_from(["unpool", "transposed", "bilinear", "nearest"]),
        "dropout": st.sampled_from([0.0, 0.5]),
    }
)


@settings(max_examples=150, deadline=None)
@given(structures, st.integers(1, 60))
def test_every_point_of_the_space_runs_or_is_refused_with_a_reason(choices: dict[str, object], size: int) -> None:
    try:
        structure = Structure(**choices)  # type: ignore[arg-type]
    except ValidationError as error:
        assert "set " in str(error) or "needs" in str(error) or "use floor" in str(error)
        return
    network = EncoderDecoder(structure, 2, 3).eval()
    legal = legal_size(structure, size)
    expected = output_size(structure, legal)
    with torch.inference_mode():
        assert network(torch.randn(1, 2, legal, legal)).shape == (1, 3, expected, expected)


def test_unknown_net_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean --net segnet-basic"):
        named_net("segnet_basic")


def test_wrong_channels_are_refused() -> None:
    with pytest.raises(UsageError, match=r"\(N, 1, rows, columns\)"):
        small("unet")(torch.zeros(1, 3, 32, 32))
