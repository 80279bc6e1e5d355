"""Networks: plain ``nn.Module``s, each built from one value of a structure."""

from unpool.nets.families import network_of
from unpool.nets.fcn import FCNStructure
from unpool.nets.named import NAMED_NETS, build, named_net
from unpool.nets.structure import Structure

__all__ = ["NAMED_NETS", "FCNStructure", "Structure", "build", "named_net", "network_of"]
