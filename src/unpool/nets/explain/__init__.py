"""The facts about a network, layer by layer: sizes, parameters, memory, the paper's names, and words."""
