"""The ten lessons in their order, as the contents list them: a lesson has a link as soon as its page exists."""

from __future__ import annotations

from typing import NamedTuple

from lessons.pages import DOCS, in_language


class Lesson(NamedTuple):
    """A lesson: its file's name without suffix, and in both languages what the reader can do afterwards.

    Attributes
    ----------
    title: for a page that does not exist yet; a page has its own.
    """

    name: str
    title: tuple[str, str]
    goal: tuple[str, str]


LESSONS = (
    Lesson(
        "padding",
        ("Padding", "填充"),
        (
            "compute the size of any convolution's output, and choose the padding that gives the size you want",
            "算出任意卷积的输出尺寸，并选出能得到所需尺寸的填充",
        ),
    ),
    Lesson(
        "encoder-decoder",
        ("Encoder and decoder", "编码器与解码器"),
        (
            "say why a network shrinks its maps and enlarges them again, and what is lost on the way",
            "说明网络为什么先缩小再放大特征图，以及途中丢失了什么",
        ),
    ),
    Lesson(
        "fcn-unet-fusionnet",
        ("FCN, U-Net, FusionNet", "FCN、U-Net、FusionNet"),
        (
            "name the idea of each network, and what exactly changed from one to the next",
            "说出每个网络的核心思想，以及一个网络相比前一个究竟改了什么",
        ),
    ),
    Lesson(
        "unet-sizes",
        ("U-Net's sizes", "U-Net 的尺寸"),
        (
            "derive 572 to 388, find legal sizes, and predict a large picture by tiles",
            "推导 572 到 388，求合法的输入尺寸，并用重叠切片（overlap-tile）预测大图",
        ),
    ),
    Lesson(
        "augmentation",
        ("Augmentation, seen", "数据增强可视化"),
        (
            "look at your pictures as the training will see them, and choose the augmentation",
            "按训练时的样子查看自己的图片，并选择数据增强",
        ),
    ),
    Lesson(
        "from-zero",
        ("From zero", "从零开始"),
        (
            "write a U-Net and a training loop in plain PyTorch, then turn it into a SegNet",
            "用 PyTorch 写出 U-Net 和训练循环，再把它改成 SegNet",
        ),
    ),
    Lesson(
        "training-loop",
        ("Training and testing in PyTorch", "用 PyTorch 训练与测试"),
        (
            "say what each line of a training loop does, and what happens without it",
            "说明训练循环每一行的作用，以及缺少它会怎样",
        ),
    ),
    Lesson(
        "unpooling-dropout",
        ("Unpooling and dropout", "反池化与随机失活"),
        (
            "compute unpooling, transposed convolution and bilinear interpolation by hand, and explain dropout",
            "手算反池化、转置卷积和双线性插值，并解释随机失活（dropout）",
        ),
    ),
    Lesson(
        "figures",
        ("Figure 1 and Figure 2 in words", "U-Net 图 1 与 SegNet 图 2 的文字说明"),
        (
            "describe the figures of U-Net's and SegNet's papers element by element",
            "逐个元素描述 U-Net 和 SegNet 论文中的图",
        ),
    ),
    Lesson(
        "improve-it",
        ("Improve it", "改进你的网络"),
        (
            "compare structures fairly, and keep a record of what you changed and what came of it",
            "公平地比较网络结构，并记录改了什么、结果如何",
        ),
    ),
)


def table() -> str:
    """Return the lessons as a table; those whose page exists have a link."""
    lines = [
        in_language("| | lesson | afterwards you can |", "| | 课 | 学完之后能够 |"),
        "| --: | --- | --- |",
    ]
    for number, lesson in enumerate(LESSONS, 1):
        page = DOCS / "lessons" / f"{lesson.name}{in_language('.md', '.zh.md')}"
        shown = in_language(*lesson.title)
        if page.is_file():
            title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
            shown = f"[{title}]({page.name})"
        lines.append(f"| {number} | {shown} | {in_language(*lesson.goal)} |")
    return "\n".join(lines)
