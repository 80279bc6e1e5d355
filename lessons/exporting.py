"""The tables of the page on exports: what each format can, and how far an export may differ from its model."""

from __future__ import annotations

from unpool.commands.export import WRITERS
from unpool.export.equality import TOLERANCES

USES = {
    "onnx": "ONNX Runtime, OpenVINO and other programs that read ONNX",
    "torch-export": "PyTorch, without the code of Unpool",
    "bioimageio": "programs of the BioImage Model Zoo",
}
"""What a file of each format is for."""


def formats() -> str:
    """Return what each format is for, and which outputs and precisions it has, as a table."""
    rows = ["| `--to` | suffix | for | output | precision |", "|---|---|---|---|---|"]
    for name, writer in WRITERS.items():
        output, precision = ("`probabilities`, `classes`", ", ".join(TOLERANCES))
        if not writer.all_options:
            output, precision = "`probabilities`", "float32"
        rows.append(f"| `{name}` | `{writer.suffix}` | {USES[name]} | {output} | {precision} |")
    return "\n".join(rows)


def tolerances() -> str:
    """Return the largest allowed difference of each precision as a table."""
    rows = ["| precision | a probability | class ids |", "|---|---|---|"]
    for name, allowed in TOLERANCES.items():
        probability = "not compared" if allowed.probability >= 1 else f"{allowed.probability:g}"
        rows.append(f"| {name} | {probability} | {allowed.share * 100:g} % |")
    return "\n".join(rows)
