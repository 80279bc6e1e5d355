"""A network in plain words, put together from the choices of its structure."""

from __future__ import annotations

from unpool.errors import UsageError
from unpool.nets.explain.explanation import nearest_legal
from unpool.nets.explain.records import Explanation, SkipFacts
from unpool.nets.fcn import FCNStructure, fcn_crops
from unpool.nets.sizes import AnyStructure, output_size
from unpool.nets.structure import Structure

NORMS = {
    "none": "",
    "batch": "batch normalisation",
    "group": "group normalisation",
    "instance": "instance normalisation",
}
UPS = {
    "unpool": "unpooling with the pooling indices",
    "bilinear": "bilinear interpolation",
    "nearest": "nearest-neighbour interpolation",
}


def encoder_words(structure: AnyStructure, facts: Explanation) -> str:
    """How the picture becomes small and deep."""
    if isinstance(structure, FCNStructure):
        width = structure.fc_width
        return (
            "The encoder is the classifier VGG16 without its end: five stages of 3x3 convolutions with ReLU, each "
            f"closed by 2x2 max-pooling, {_span(structure.widths)} maps. Its fully connected layers have become "
            f"convolutions, fc6 of 7x7 and fc7 of 1x1 with {width} maps, so that it answers at every place and not "
            f"once a picture: after {structure.padding} pixels of padding around the picture and five poolings, "
            f"score_fr gives one map a class, a score every {structure.stride} pixels."
        )
    norm = "First comes local response normalisation. " if structure.input_norm == "lrn" else ""
    groups = (
        f"{norm}The encoder has {structure.depth} stages. Each convolves {_times(_encoder_counts(structure))} with "
        f"{structure.kernel}x{structure.kernel} kernels, {_followers(structure, relu=structure.encoder_relu)}"
        f"{_residual(structure)}, and closes with 2x2 max-pooling of stride 2, which halves the size"
        f"{_rounding(structure)}; the maps of its stages are {_list(structure.widths)}."
    )
    lost = structure.kernel - 1
    border = {
        "valid": f" Without padding (valid) every convolution takes {lost} pixels from rows and from columns.",
        "same": " Padded with zeros (same), a convolution keeps the size.",
        "full": f" Padded fully, every convolution adds {lost} pixels to rows and to columns.",
    }[structure.padding]
    if not structure.bottom:
        return groups + border + " Below the last pooling nothing is convolved, and nothing is fully connected."
    count = structure.encoder_count(structure.depth + 1)
    low = next(layer for layer in reversed(facts.layers) if layer.side == "bottom")
    return (
        f"{groups}{border} Below the last pooling {count} more make {structure.bottom_width} maps of "
        f"{low.rows}x{low.columns}. Nothing is fully connected."
    )


def decoder_words(structure: AnyStructure, facts: Explanation) -> str:
    """How the small maps become a map of classes."""
    end = "The softmax over the classes, pixel by pixel, is in the loss and in prediction, not in the module."
    if isinstance(structure, FCNStructure):
        stride = structure.prediction_stride
        steps = {
            32: "One deconvolution of 64x64 with stride 32 brings",
            16: "A deconvolution doubles the scores, pool4's scores are added, and one of 32x32 with stride 16 brings",
            8: "A deconvolution doubles the scores and pool4's are added, another doubles them and pool3's are added, "
               "and one of 16x16 with stride 8 brings",
        }[stride]  # fmt: skip
        kind = "bilinear interpolation and fixed" if structure.upsampling == "fixed" else "bilinear at the beginning"
        return (
            f"The decoder works on scores, one map a class, not on features: {steps[0].lower()}{steps[1:]} them to the "
            f"picture, cropped to its size. Deconvolutions are {kind}. {end}"
        )
    last = f"{structure.head_kernel}x{structure.head_kernel}"
    head = f"A last {last} convolution without norm or ReLU gives one map a class."
    if structure.squeeze:
        head = "What leaves it is one map a class: 1x1 convolutions had reduced the maps before."
    counts = tuple(structure.decoder_count(s) for s in range(structure.depth, 0, -1))
    return f"Each decoder stage doubles the size by {_up(structure)}. {_convolves(structure, counts)} {head} {end}"


def join_words(structure: AnyStructure, facts: Explanation) -> str:
    """What the decoder learns from the encoder on the way up, and what that costs."""
    if isinstance(structure, FCNStructure):
        if not facts.skips:
            return "Nothing crosses: every score is 32 pixels wide, which is why FCN-16s and FCN-8s exist."
        crops = list(fcn_crops(structure))
        return (
            f"1x1 convolutions score {' and '.join(f'pool{s.stage}' for s in reversed(facts.skips))}, where places are "
            "known better and meanings less well; the scores are cropped to lie on the upsampled ones and added. "
            f"Crops follow from the padding: {_list(crops[:-1])} pixels above and left of what is added, "
            f"{crops[-1]} of the output."
        )
    if not facts.skips:
        return (
            "Nothing crosses: the decoder has only the deepest maps, and where things were must be guessed from them."
        )
    words = []
    if structure.up == "unpool":
        words.append(
            "Pooling indices cross: of each 2x2 window, which of its four pixels was the largest, 2 bits a window. "
            "Unpooling puts each value back at that place and leaves zeros at the other three, so nothing is learned "
            f"in it; {_densified(structure)}."
        )
    if structure.skip in ("add", "concat"):
        words.append(_map_words(structure, facts))
    return " ".join(words) + f" For one picture that is {facts.skip_bytes:,} bytes to store."


def figure_words(facts: Explanation) -> str:
    """What the drawing shows."""
    what = {skip.what for skip in facts.skips}
    if "positions" in what:
        also = " Arcs above are feature maps that are added or concatenated." if "maps" in what else ""
        return (
            "Drawn as a bottle: from left to right the encoder's groups (convolutions, then pooling) shrink, the "
            "decoder's mirrored groups (upsampling, then convolutions) grow, and the softmax labels every pixel. An "
            "arc from each pooling to its upsampling carries the pooling indices. The height of a box follows the "
            f"size, its width the number of maps, which stands above it.{also}"
        )
    if is_u_shaped(facts):
        word = "copied and cropped" if any(cropped(skip) for skip in facts.skips) else "copied"
        joined = {
            "add": "added to the upsampled maps of the right (a plus in a circle)",
            "concat": "set beside the upsampled maps of the right (white boxes)",
            "index": "",
        }[facts.skips[0].joined]
        return (
            "Drawn as a U: the contracting path goes down on the left, the expansive path up on the right. A box is a "
            "stack of feature maps with their number above and their size below; arrows are operations. Grey arrows "
            f"across are maps of the left, {word}, then {joined}."
        )
    return (
        "Drawn from left to right: boxes are layers, their height follows the size, their width the number of maps, "
        "which stands above" + ("; arcs carry encoder maps to where they are added." if facts.skips else ".")
    )


def is_u_shaped(facts: Explanation) -> bool:
    """Whether maps alone cross at every stage above a bottom, as in U-Net."""
    stages = {layer.stage for layer in facts.layers if layer.kind == "pooling"}
    return (
        bool(stages)
        and {skip.stage for skip in facts.skips} == stages
        and all(skip.what == "maps" for skip in facts.skips)
        and any(layer.side == "bottom" and layer.kernel > 1 for layer in facts.layers)
    )


def cropped(skip: SkipFacts) -> bool:
    """Whether something is cut from what crosses."""
    return skip.crop != ((0, 0), (0, 0))


def crop_text(skip: SkipFacts) -> str:
    """Pixels cut on each side: one number where all are equal."""
    (top, bottom), (left, right) = skip.crop
    if top == bottom == left == right:
        return str(top)
    return f"{top}, {bottom} rows; {left}, {right} columns"


def padding_rows(structure: AnyStructure, size: int) -> list[tuple[str, str, str, str]]:
    """For each padding: its rule, legal sizes near ``size``, output there, pixels lost on each side; or why not."""
    if isinstance(structure, FCNStructure):
        return [(f"{structure.padding} in conv1_1", "any", "the picture's", "0")]
    rows = []
    for name, padding, decoder in (
        ("valid", "valid", None), ("same", "same", None), ("full", "full", None), ("valid, full", "valid", "full"),
    ):  # fmt: skip
        try:
            other = Structure(**{**structure.model_dump(), "padding": padding, "decoder_padding": decoder})
        except ValueError as error:
            rows.append((name, "none", refusal(error), ""))
            continue
        rows.append((name, *_sizes_near(other, size)))
    return rows


def padding_words(structure: AnyStructure) -> str:
    """The rules behind ``padding_rows``."""
    if isinstance(structure, FCNStructure):
        return (
            f"The first convolution pads the picture with {structure.padding} zeros on each side, so that fc6, which "
            "has no padding and needs 7x7 pixels of pool5, fits every picture and the output covers it: i pixels "
            "become i + 2p - 2 after conv1_1, are halved five times rounding up, and lose 6 in fc6. The output, stride "
            "times the scores, is then larger than the picture and is cropped to it."
        )
    kernel = structure.kernel
    rounding = {
        "floor": "Pooling halves, so it needs an even size at every stage.",
        "ceil": "Pooling rounds up, so an odd size keeps its last pixel.",
    }[structure.pooling_rounding]
    return (
        f"With a {kernel}x{kernel} kernel i pixels become i - {kernel - 1} (valid), i (same) or i + {kernel - 1} "
        f"(full); where encoder and decoder differ, both are named. {rounding} On the way up no map grows beyond the "
        "encoder's of its stage: what is larger is cropped."
    )


def refusal(error: ValueError) -> str:
    """The reason that a structure gave against a choice, without pydantic's words around it."""
    lines = [line.strip() for line in str(error).splitlines()]
    found = next((line for line in lines if line.startswith("Value error, ")), lines[0])
    return found.removeprefix("Value error, ").partition(" [type=")[0].partition(";")[0]


def _sizes_near(structure: Structure, size: int) -> tuple[str, str, str]:
    try:
        near = nearest_legal(structure, size)
    except UsageError:
        near = ()
    outputs = [output_size(structure, each) or 0 for each in near]
    lost = [f"{(each - out) / 2:g}" for each, out in zip(near, outputs, strict=True)]
    return _list(near) or "none", _list(outputs) or "none", ", ".join(dict.fromkeys(lost))


def _map_words(structure: Structure, facts: Explanation) -> str:
    maps = [skip for skip in facts.skips if skip.what == "maps"]
    if not maps:
        return "The encoder's maps have nowhere to cross."
    origin = "before its pooling" if structure.skip_from == "convolved" else "after the pooling above it"
    reduced = ", reduced to one a class by a 1x1 convolution," if structure.squeeze else ""
    crops = ""
    if any(cropped(skip) for skip in maps):
        sizes = _list([crop_text(skip) for skip in reversed(maps)])
        crops = f" cropped at the centre, because they are larger, by {sizes} pixels on each side from the bottom up,"
    joined = {
        "add": "added to the upsampled maps",
        "concat": "concatenated with the upsampled maps, so that the decoder's convolutions see both",
        "index": "",
    }[maps[0].joined]
    when = " after the stage's own convolutions" if structure.join == "after" else ""
    return (
        f"The feature maps of each encoder stage, taken {origin},{reduced} cross whole:{crops} they are "
        f"{joined}{when}. The upsampled maps know what is there, those from the encoder know where."
    )


def _densified(structure: Structure) -> str:
    if not structure.decoder_count(structure.depth):
        return "the maps stay sparse"
    kind = ", each with its own map only," if structure.decoder_depthwise else ""
    return f"the trainable convolutions that follow{kind} make the sparse maps dense"


def _up(structure: Structure) -> str:
    if structure.up != "transposed":
        return UPS[structure.up]
    start = ", begun as bilinear interpolation" if structure.up_start == "bilinear" else ""
    relu = " and a ReLU" if structure.up_relu else ""
    halves = ", which halves the maps," if structure.growth == 2 and not structure.squeeze else ""
    return f"a {structure.up_kernel}x{structure.up_kernel} up-convolution of stride 2{start}{halves}{relu}".rstrip(",")


def _convolves(structure: Structure, counts: tuple[int, ...]) -> str:
    if not any(counts):
        return "It has no convolutions besides."
    relu = _followers(structure, relu=structure.decoder_relu)
    kernel = f"{structure.kernel}x{structure.kernel}"
    seen = ", each filter seeing its own map only" if structure.decoder_depthwise else ""
    return f"It then convolves {_times(counts)} with {kernel} kernels{seen}, {relu}{_residual(structure)}."


def _followers(structure: Structure, *, relu: bool) -> str:
    parts = [word for word in (NORMS[structure.norm], "ReLU" if relu else "") if word]
    return f"each followed by {' and '.join(parts)}" if parts else "followed by nothing"


def _residual(structure: Structure) -> str:
    return ", with a sum around all but the first and last" if structure.block == "residual" else ""


def _rounding(structure: Structure) -> str:
    return " and rounds up" if structure.pooling_rounding == "ceil" else ""


def _encoder_counts(structure: Structure) -> tuple[int, ...]:
    return tuple(structure.encoder_count(stage) for stage in range(1, structure.depth + 1))


def _times(counts: tuple[int, ...]) -> str:
    words = {1: "once", 2: "twice"}
    if len(set(counts)) == 1:
        return words.get(counts[0], f"{counts[0]} times")
    return f"{_list(counts)} times"


def _span(widths: tuple[int, ...]) -> str:
    return f"{widths[0]} to {max(widths)}"


def _list(parts: object) -> str:
    return ", ".join(map(str, parts))  # type: ignore[call-overload]
