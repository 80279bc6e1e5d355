"""The tables of the page on exports: what each format can, and how far an export may differ from its model."""

from __future__ import annotations

from lessons.pages import in_language
from unpool.commands.export import WRITERS
from unpool.export.equality import TOLERANCES

USES = {
    "onnx": ("ONNX Runtime, OpenVINO and other programs that read ONNX", "ONNX Runtime、OpenVINO 和其他读 ONNX 的程序"),
    "torch-export": ("PyTorch, without the code of Unpool", "PyTorch，不需要 Unpool 的代码"),
    "bioimageio": ("programs of the BioImage Model Zoo", "BioImage Model Zoo 的各种程序"),
}
"""What a file of each format is for, in both languages."""


def formats() -> str:
    """Return what each format is for, and which outputs and precisions it has, as a table."""
    comma = in_language(", ", "、")
    head = in_language("| `--to` | suffix | for | output | precision |", "| `--to` | 后缀 | 用于 | 输出 | 精度 |")
    rows = [head, "|---|---|---|---|---|"]
    for name, writer in WRITERS.items():
        output, precision = (f"`probabilities`{comma}`classes`", comma.join(TOLERANCES))
        if not writer.all_options:
            output, precision = "`probabilities`", "float32"
        rows.append(f"| `{name}` | `{writer.suffix}` | {in_language(*USES[name])} | {output} | {precision} |")
    return "\n".join(rows)


def tolerances() -> str:
    """Return the largest allowed difference of each precision as a table."""
    head = in_language("| precision | a probability | class ids |", "| 精度 | 概率 | 类别编号 |")
    rows = [head, "|---|---|---|"]
    for name, allowed in TOLERANCES.items():
        not_compared = in_language("not compared", "不比较")
        probability = not_compared if allowed.probability >= 1 else f"{allowed.probability:g}"
        rows.append(f"| {name} | {probability} | {allowed.share * 100:g} % |")
    return "\n".join(rows)
