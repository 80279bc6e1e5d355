"""Networks: plain ``nn.Module``s from a value of ``Structure``."""

from unpool.nets.encoder_decoder import EncoderDecoder
from unpool.nets.fcn import FCN, FCNStructure
from unpool.nets.folding import folded
from unpool.nets.named import NAMED_NETS, NamedNet, Network, build, named_net, network_of, structure_of
from unpool.nets.sizes import (
    AnyStructure,
    Context,
    Fit,
    SizeRule,
    context,
    detail,
    fit,
    legal_size,
    looks_at_everything,
    output_size,
    size_rule,
)
from unpool.nets.start import begin_with, restored
from unpool.nets.streaming import streamed
from unpool.nets.structure import Structure

__all__ = [
    "FCN",
    "NAMED_NETS",
    "AnyStructure",
    "Context",
    "EncoderDecoder",
    "FCNStructure",
    "Fit",
    "NamedNet",
    "Network",
    "SizeRule",
    "Structure",
    "begin_with",
    "build",
    "context",
    "detail",
    "fit",
    "folded",
    "legal_size",
    "looks_at_everything",
    "named_net",
    "network_of",
    "output_size",
    "restored",
    "size_rule",
    "streamed",
    "structure_of",
]
