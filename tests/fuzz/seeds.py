"""Seeds: small sound files of every kind that Unpool reads, made here."""

import io
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import tifffile
from numpy.typing import NDArray
from PIL import Image

import tiny
from fuzz.mutations import Tree
from unpool.commands.events import finish
from unpool.commands.test.test import test
from unpool.commands.train.train import train

ROWS, COLUMNS = 40, 37
PALETTE = [0, 0, 0, 240, 60, 60, 60, 240, 60]
CLASS_FILES = {
    "classes.txt": b"background\ncell\nedge\n",
    "data.yaml": b"names:\n  0: background\n  1: cell\n  2: edge\nignore: [255]\n",
    "class_dict.csv": b"name,r,g,b\nbackground,0,0,0\ncell,240,60,60\nedge,60,240,60\n",
}
RECIPE = b"""net = "unet"
[structure]
width = 8
depth = 3
[training]
epochs = 2
learning_rate = 1e-3
crop = 64
[loss]
dice = 1.0
[data]
classes = ["background", "0=cell", "#ff00ff=edge"]
ignore = [255]
"""
WORDS = b"""width=8
structure.depth=3
learning_rate=1e-3
epochs=2
crop=64
net=segnet-basic
class_weights=median-frequency
skip=add
ignore=[255, 3]
val_share=0.3
"""


def seeds_of(kind: str, folder: Path) -> list[Tree]:
    """Return the seeds of a kind. ``folder`` is for the files of a training; it must stay while the seeds are read."""
    makers = {
        "png": _pngs, "jpeg": _jpegs, "bitmap": _bitmaps, "tiff": _tiffs, "arrays": _arrays, "zarr": _zarrs,
        "dataset": _datasets,
        "recipe": lambda: iter([{"recipe.toml": RECIPE}]), "settings": lambda: iter([{"words.txt": WORDS}]),
    }  # fmt: skip
    if kind in makers:
        return list(makers[kind]())
    return _run_parts(kind, folder)


def _grey(dtype: str = "uint8", seed: int = 0) -> NDArray[Any]:
    values = np.random.default_rng(seed).integers(0, 200, (ROWS, COLUMNS))
    return np.asarray((values + np.arange(COLUMNS)) % 256).astype(dtype)


def _colour(channels: int = 3, dtype: str = "uint8") -> NDArray[Any]:
    return np.stack([_grey(dtype, seed) for seed in range(channels)], axis=-1)


def _ids() -> NDArray[np.uint8]:
    down, across = np.mgrid[:ROWS, :COLUMNS]
    return ((down > 12).astype(np.uint8) + ((across > 20) & (down > 20))).astype(np.uint8)


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _palette_image() -> Image.Image:
    image = Image.fromarray(_ids())
    image.putpalette(PALETTE)
    return image


def _pngs() -> Iterator[Tree]:
    images = [Image.fromarray(_grey()), Image.fromarray(_colour()), Image.fromarray(_colour(4)), _palette_image()]
    images += [Image.fromarray(_grey("bool")), Image.fromarray(_grey("uint16") * 200)]
    for image in images:
        yield {"picture.png": _saved(image, "PNG")}
    yield {"picture.png": _saved(Image.fromarray(_grey()), "PNG", exif=_exif())}
    yield {"picture.png": _saved(Image.fromarray(_ids() // 2), "PNG", bits=2)}


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _jpegs() -> Iterator[Tree]:
    yield {"picture.jpg": _saved(Image.fromarray(_colour()), "JPEG", exif=_exif())}
    yield {"picture.jpg": _saved(Image.fromarray(_grey()), "JPEG", progressive=True)}
    yield {"picture.jpg": _saved(Image.fromarray(_colour(4)).convert("CMYK"), "JPEG")}


def _bitmaps() -> Iterator[Tree]:
    for name, image, options in (
        ("picture.bmp", Image.fromarray(_colour()), {}),
        ("picture.bmp", Image.fromarray(_grey("bool")), {}),
        ("picture.bmp", _palette_image(), {}),
        ("picture.gif", _palette_image(), {}),
        ("picture.webp", Image.fromarray(_colour()), {"lossless": True}),
        ("picture.webp", Image.fromarray(_colour(4)), {}),
    ):
        yield {name: _saved(image, name.rpartition(".")[2].upper(), **options)}
    for image in (Image.fromarray(_grey()), Image.fromarray(_colour()), Image.fromarray(_grey("bool"))):
        yield {"picture.pnm": _saved(image, "PPM")}
    yield {"picture.pgm": b"P2\n37 40 # as text\n255\n" + b" ".join(b"%d" % value for value in _grey().ravel())}
    yield {"picture.pgm": b"P5\n37 40\n4095\n" + (_grey("int") * 16).astype(">u2").tobytes()}


def _tiffs() -> Iterator[Tree]:
    for pixels, options in (
        (_grey(), {}),
        (_grey("uint16"), {"compression": "zlib"}),
        (_grey("float32"), {"tile": (16, 16)}),
        (_grey("float32"), {"compression": "zlib", "extratags": [(317, 3, 1, 3, True)], "rowsperstrip": 8}),
        (_grey("float64"), {"byteorder": ">"}),
        (_grey("int32"), {"compression": "zlib", "tile": (16, 32)}),
        (_colour(), {"photometric": "rgb", "compression": "zlib", "predictor": 2, "rowsperstrip": 7}),
        (_colour(4), {"photometric": "rgb", "extrasamples": ["unassalpha"], "tile": (16, 16), "compression": "zlib"}),
        (_colour(4, "uint16"), {"photometric": "separated"}),
        (np.moveaxis(_colour(), -1, 0), {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib"}),
        (np.moveaxis(_colour(5), -1, 0), {"photometric": "minisblack"}),
        (_grey(), {"bigtiff": True, "tile": (16, 16), "compression": "zlib"}),
        (_grey(), {"imagej": True}),
        (np.moveaxis(_colour(2, "uint16"), -1, 0), {"ome": True, "metadata": {"axes": "CYX", "PhysicalSizeX": 0.5}}),
        (_ids(), {"photometric": "palette", "colormap": np.zeros((3, 256), "uint16")}),
        (_grey(), {"extratags": [(33550, 12, 3, (1.0, 1.0, 0.0), True), (42113, 2, 6, "-9999", True)]}),
        (_grey(), {"photometric": "miniswhite", "resolution": (300, 300)}),
    ):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, pixels, **options)
        yield {"picture.tif": buffer.getvalue()}
    for image, compression in (
        (Image.fromarray(_grey("bool")), None),
        (Image.fromarray(_grey("bool")), "group4"),
        (_palette_image(), "packbits"),
        (Image.fromarray(_colour()), "tiff_lzw"),
        (Image.fromarray(_colour()), "jpeg"),
        (Image.fromarray(_grey()), "tiff_adobe_deflate"),
        (Image.fromarray(_grey("bool")), "group3"),
    ):
        yield {"picture.tif": _saved(image, "TIFF", compression=compression)}
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:  # a pyramid
        writer.write(_grey(), subifds=1, tile=(16, 16), compression="zlib")
        writer.write(_grey()[::2, ::2], subfiletype=1, tile=(16, 16))
    yield {"picture.tif": buffer.getvalue()}


def _arrays() -> Iterator[Tree]:
    for pixels in (_grey(), _colour(), _grey("float32"), np.moveaxis(_colour(5), -1, 0), _grey("int64").T):
        buffer = io.BytesIO()
        np.save(buffer, pixels)
        yield {"picture.npy": buffer.getvalue()}
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, image=_colour())
        yield {"picture.npz": buffer.getvalue()}
    for compressed in (False, True):
        buffer = io.BytesIO()
        truth = {"Segmentation": _ids(), "note": "cells"}
        scipy.io.savemat(buffer, {"groundTruth": truth}, do_compression=compressed)
        yield {"picture.mat": buffer.getvalue()}


def _zarrs() -> Iterator[Tree]:
    pixels = _grey()
    for version in (2, 3):
        separator, metadata = _zarr_metadata(version)
        tree = {f"picture.zarr/{name}": json.dumps(data).encode() for name, data in metadata.items()}
        for row in range(2):
            for column in range(2):
                chunk = np.zeros((20, 20), np.uint8)
                part = pixels[20 * row : 20 * row + 20, 20 * column : 20 * column + 20]
                chunk[: part.shape[0], : part.shape[1]] = part
                prefix = "0/" if version == 2 else "0/c/"
                tree[f"picture.zarr/{prefix}{row}{separator}{column}"] = chunk.tobytes()
        yield tree


def _zarr_metadata(version: int) -> tuple[str, dict[str, Any]]:
    scale = [{"type": "scale", "scale": [0.5, 0.25]}]
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    picture = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    if version == 2:
        array = {"zarr_format": 2, "shape": [ROWS, COLUMNS], "chunks": [20, 20], "dtype": "|u1", "compressor": None}
        array |= {"fill_value": 0, "order": "C", "filters": None, "dimension_separator": "/"}
        group = {"multiscales": [{"version": "0.4", **picture}]}
        return "/", {".zgroup": {"zarr_format": 2}, ".zattrs": group, "0/.zarray": array}
    array = {"zarr_format": 3, "node_type": "array", "shape": [ROWS, COLUMNS], "data_type": "uint8", "fill_value": 0}
    array |= {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [20, 20]}}, "attributes": {}}
    array |= {"chunk_key_encoding": {"name": "default"}, "codecs": [{"name": "bytes"}], "dimension_names": ["y", "x"]}
    group = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {"ome": {"version": "0.5", "multiscales": [picture]}},
    }
    return "/", {"zarr.json": group, "0/zarr.json": array}


def _datasets() -> Iterator[Tree]:
    pictures = {f"images/{name}.png": _saved(Image.fromarray(_grey(seed=n)), "PNG") for n, name in enumerate("abcd")}
    ids = {name: np.roll(_ids(), shift) for shift, name in enumerate("abcd")}
    for class_file, named in CLASS_FILES.items():
        colours = class_file.endswith(".csv")
        masks = {f"masks/{name}.png": _saved(_mask(ids[name], colours), "PNG") for name in ids}
        yield {**pictures, **masks, class_file: named}
    numbered = {f"masks/{name}.tif": _tiff(ids[name].astype(np.int32) * 300) for name in ids}
    yield {**pictures, **numbered}
    full = {f"masks/{name}.png": _saved(Image.fromarray((ids[name] > 0) * np.uint8(255)), "PNG") for name in ids}
    pairs = [f"images/{name}.png masks/{name}.png" for name in ids]
    yield {**pictures, **full, "train.txt": "\n".join(pairs[:3]).encode(), "val.txt": pairs[3].encode()}
    yield {**pictures, **full, "train.txt": b"a\nb\nc\n", "val.txt": b"d\n"}
    yield {name.replace("images/", "").replace("masks/", "m_"): data for name, data in {**pictures, **full}.items()}


def _mask(ids: NDArray[np.uint8], colours: bool) -> Image.Image:
    image = Image.fromarray(ids)
    image.putpalette(PALETTE)
    return image.convert("RGB") if colours else image


def _tiff(pixels: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, compression="zlib")
    return buffer.getvalue()


@lru_cache(maxsize=1)
def _trained(folder: Path) -> dict[str, bytes]:
    """Train and test a small network; return the files of the run."""
    cells = tiny.write_set(folder / "cells", 4)
    run = finish(train(cells, tiny.settings(epochs=1), folder / "runs" / "run")).folder
    finish(test(run, cells))
    return {name: data for name, data in read_tree(run.parent).items() if name.startswith("run/")}


def _run_parts(kind: str, folder: Path) -> list[Tree]:
    """Return files of a small training and its test: records and scores, model, checkpoint, or a journal."""
    below = _trained(folder)
    if kind == "model":
        return [{"model.safetensors": below["run/model.safetensors"]}]
    if kind == "checkpoint":
        return [{"state.pt": below["run/state.pt"]}]
    if kind == "journal":
        lines = (
            {"mask": f"{n}.png", "key": "ab" * 32, "done": n > 1, "files": {f"{n}.png": [n, 5] if n else None}}
            for n in range(4)
        )
        journal = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        return [{".unpool-predictions.jsonl": journal}]
    kept = (".json", ".jsonl", ".toml")
    tree = {name: data for name, data in below.items() if name.endswith(kept)}
    fingerprint = json.loads(tree["run/run.json"])["data"]["fingerprint"].encode()
    # a run that is repeated stops where it sees that its data have changed
    return [{name: data.replace(fingerprint, b"0" * len(fingerprint)) for name, data in tree.items()}]


def write_tree(tree: Tree, folder: Path) -> None:
    """Write the files of an input."""
    for name, content in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def read_tree(folder: Path) -> Tree:
    """Read the files of an input."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
