"""Networks: plain ``nn.Module``s from a value of ``Structure``."""

from unpool.nets.encoder_decoder import EncoderDecoder
from unpool.nets.named import NAMED_NETS, NamedNet, build, named_net
from unpool.nets.sizes import halo, legal_size, output_size
from unpool.nets.structure import Structure

__all__ = [
    "NAMED_NETS",
    "EncoderDecoder",
    "NamedNet",
    "Structure",
    "build",
    "halo",
    "legal_size",
    "named_net",
    "output_size",
]
