"""Networks: plain ``nn.Module``s from a value of ``Structure``."""

from unpool.nets.encoder_decoder import EncoderDecoder
from unpool.nets.fcn import FCN, FCNStructure
from unpool.nets.named import NAMED_NETS, NamedNet, Network, build, named_net, network_of
from unpool.nets.sizes import AnyStructure, Context, context, legal_size, margin, output_size
from unpool.nets.structure import Structure

__all__ = [
    "FCN",
    "NAMED_NETS",
    "AnyStructure",
    "Context",
    "EncoderDecoder",
    "FCNStructure",
    "NamedNet",
    "Network",
    "Structure",
    "build",
    "context",
    "legal_size",
    "margin",
    "named_net",
    "network_of",
    "output_size",
]
