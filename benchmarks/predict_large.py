"""Time, peak memory and exactness of predicting a picture that is larger than a tile, compared with sliding windows.

    python benchmarks/predict_large.py                       # 2048 x 2048, the U-Net of 64 to 1024 maps
    python benchmarks/predict_large.py --side 4096 --only unpool
    python benchmarks/predict_large.py --memory 2

All contenders run one network with random weights. Each runs in a process of its own, so that its peak resident memory
is its own. Of several ``--rounds`` the shortest time counts. ``unpool`` is the complete command: from a tiled TIFF on
the disk to a mask on the disk, under ``--memory`` gigabytes. The others are MONAI's ``sliding_window_inference`` (where
MONAI is installed) in plain float32 PyTorch, from an array to an array: at its defaults (overlap 0.25, constant
blending) and at nnU-Net's settings (overlap 0.5, Gaussian), with windows of 512 x 512; and OpenVINO and ONNX Runtime
(where they are installed), in tiles of 1024 x 1024 without any overlap, so with seams, the network loaded before the
clock starts. The largest difference of a probability between tiles and the picture at once, in the same arithmetic, is
measured on a part of ``--whole`` pixels a side.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from torch import Tensor

from record import circumstances, machine_text, write_results
from unpool.checkpoint.models import load_model, save_model
from unpool.class_table import ClassTable
from unpool.commands.events import finish
from unpool.commands.predict.predict import PredictionOptions, predict
from unpool.convolution.operation import torch_alone
from unpool.data.synthetic import synthetic_cells
from unpool.machine.device import choose_machine
from unpool.nets.families import network_of, structure_of
from unpool.nets.named import named_net
from unpool.normalisation import ChannelConstants, Normalisation
from unpool.prediction.predictor import Predictor
from unpool.segmenter import Segmenter

CONTENDERS = ("unpool", "monai", "nnunet-settings", "openvino", "onnxruntime")
WINDOW = 512
RUNTIME_TILE = 1024
"""Side of the tiles of OpenVINO and ONNX Runtime."""
CLASSES = ClassTable("values", ("background", "cell"), ((0,), (255,)), (), ((0, 0, 0), (240, 60, 60)))


@dataclass(frozen=True)
class Row:
    """The result of one contender.

    Attributes
    ----------
    seconds: from the picture to its class ids.
    peak_gb: resident memory of the process, at most.
    differs: largest difference of a probability from the picture at once.
    """

    name: str
    seconds: float
    peak_gb: float
    differs: float


def main(words: list[str] | None = None) -> None:
    """Run the contenders, each in its own process, and write their times and memory."""
    given = _arguments(words)
    if given.contender:
        print(json.dumps(asdict(_run(given.contender, Path(given.folder), given))))  # noqa: T201
        return
    with tempfile.TemporaryDirectory() as folder:
        _make(Path(folder), given.side, given.width)
        runs = [_in_its_process(name, folder, given) for _ in range(given.rounds) for name in given.only or CONTENDERS]
    rows = _best([run for run in runs if run])
    ours = next((row.seconds for row in rows if row.name == "unpool"), None)
    results = {
        **circumstances(),
        "side": given.side,
        "width": given.width,
        "memory_gb": given.memory,
        "rows": [{**asdict(row), "against_unpool": row.seconds / ours if ours else None} for row in rows],
    }
    write_results(results, _table(results), given.json)


def _best(runs: list[Row]) -> list[Row]:
    """Return the shortest time and the highest peak of each contender."""
    rows = []
    for name in dict.fromkeys(run.name for run in runs):
        own = [run for run in runs if run.name == name]
        seconds, peak = min(run.seconds for run in own), max(run.peak_gb for run in own)
        rows.append(Row(name, seconds, peak, own[0].differs))
    return rows


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=int, default=2048, help="rows and columns of the picture")
    parser.add_argument("--width", type=int, default=64, help="feature maps of the first stage")
    parser.add_argument("--memory", type=float, default=1.0, help="gigabytes that unpool may hold")
    parser.add_argument("--rounds", type=int, default=1, help="times that all are run, one after the other")
    parser.add_argument("--whole", type=int, default=1024, help="side of the part that is predicted at once too")
    parser.add_argument("--only", choices=CONTENDERS, nargs="+")
    parser.add_argument("--quick", action="store_true", help="a tiny run, to see that it works")
    parser.add_argument("--json", metavar="FILE", help="write the numbers here; - for the standard output")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    if given.quick:
        given.side, given.width, given.whole, given.rounds = 1100, 2, 256, 1
        torch.set_num_threads(1)
    return given


def _make(folder: Path, side: int, width: int) -> None:
    """Write a model with random weights, and a picture of repeated cells."""
    torch.manual_seed(0)
    structure = structure_of({**named_net("unet").structure.model_dump(), "width": width})
    network = network_of(structure, 1, 2).eval()
    constants = Normalisation(1, {"uint8": ChannelConstants((60.0,), (50.0,))})
    save_model(folder / "model.safetensors", Segmenter("unet", network, constants, CLASSES), {"citation": "none"})
    (cells,) = synthetic_cells(1, 0, ((512, 512),))
    times = -(-side // 512)
    pixels = np.tile(cells.image, (times, times))[:side, :side]
    tifffile.imwrite(folder / "picture.tif", pixels, tile=(512, 512), compression="zlib")


def _in_its_process(name: str, folder: str, given: argparse.Namespace) -> Row | None:
    options = ["--side", given.side, "--width", given.width, "--memory", given.memory, "--whole", given.whole]
    words = [__file__, "--contender", name, "--folder", folder, *map(str, options)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)  # noqa: S603 (our own)
    if done.returncode:
        sys.stderr.write(f"{name}: left out ({done.stderr.strip().splitlines()[-1]})\n")
        return None
    return Row(**json.loads(done.stdout.splitlines()[-1]))


def _run(name: str, folder: Path, given: argparse.Namespace) -> Row:
    if name == "unpool":
        started = perf_counter()
        options = PredictionOptions(memory=given.memory * 1e9, overwrite=True)
        pictures = [str(folder / "picture.tif")]
        result = finish(predict(folder / "model.safetensors", pictures, folder / "out", options=options))
        assert not result.failed, result.failed
        seconds, peak = perf_counter() - started, _peak_gb()
        return Row(name, seconds, peak, _our_difference(folder, given.whole))
    if name in ("openvino", "onnxruntime"):
        return _run_elsewhere(name, folder, given)
    with torch_alone():
        return _run_sliding(name, folder, given)


def _run_sliding(name: str, folder: Path, given: argparse.Namespace) -> Row:
    from monai.inferers import sliding_window_inference  # noqa: PLC0415 - only some machines have it

    settings: dict[str, Any] = {"overlap": 0.25, "mode": "constant"}
    if name == "nnunet-settings":
        settings = {"overlap": 0.5, "mode": "gaussian"}
    segmenter, _ = load_model(folder / "model.safetensors")
    image = segmenter.prepare(tifffile.imread(folder / "picture.tif")[..., None], "picture")
    with torch.inference_mode():
        started = perf_counter()
        labels = sliding_window_inference(image, (WINDOW, WINDOW), 1, segmenter.network, **settings).argmax(1)
        seconds, peak = perf_counter() - started, _peak_gb()
        assert labels.shape[1:] == image.shape[2:]
        part = _centre(image, given.whole)
        tiled = sliding_window_inference(part, (WINDOW, WINDOW), 1, segmenter.network, **settings)
        whole = segmenter.network(part)
        differs = float((tiled.softmax(1) - whole.softmax(1)).abs().max())
    return Row(name, seconds, peak, differs)


def _run_elsewhere(name: str, folder: Path, given: argparse.Namespace) -> Row:
    """Return the result of another runtime, in tiles without overlap."""
    segmenter, _ = load_model(folder / "model.safetensors")
    image = segmenter.prepare(tifffile.imread(folder / "picture.tif")[..., None], "picture")
    side = min(RUNTIME_TILE, given.side // 16 * 16)
    run = _OF_RUNTIME[name](segmenter.network.eval(), torch.zeros(1, 1, side, side), folder)
    corners = [(top, left) for top in range(0, given.side, side) for left in range(0, given.side, side)]
    started = perf_counter()
    labels = np.empty((given.side, given.side), np.uint8)
    for top, left in corners:
        tile = np.zeros((1, 1, side, side), np.float32)
        part = image[:, :, top : top + side, left : left + side].numpy()
        tile[:, :, : part.shape[2], : part.shape[3]] = part
        found = run(tile)[0].argmax(0)
        labels[top : top + side, left : left + side] = found[: part.shape[2], : part.shape[3]]
    seconds, peak = perf_counter() - started, _peak_gb()
    part = _centre(image, given.whole)[:, :, :side, :side]
    pad = (0, side - part.shape[3], 0, side - part.shape[2])
    theirs = torch.from_numpy(run(torch.nn.functional.pad(part, pad).numpy()))
    with torch.inference_mode(), torch_alone():
        whole = segmenter.network(torch.nn.functional.pad(part, pad))
    return Row(name, seconds, peak, float((theirs.softmax(1) - whole.softmax(1)).abs().max()))


def _openvino(network: torch.nn.Module, example: Tensor, folder: Path) -> Callable[[NDArray[np.float32]], Any]:
    import openvino  # noqa: PLC0415 - only some machines have it

    _write_onnx(network, example, folder)
    exact = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = openvino.compile_model(folder / "model.onnx", "CPU", exact)
    return lambda tile: compiled(tile)[0]


def _onnxruntime(network: torch.nn.Module, example: Tensor, folder: Path) -> Callable[[NDArray[np.float32]], Any]:
    import onnxruntime  # noqa: PLC0415 - only some machines have it

    _write_onnx(network, example, folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0].name
    return lambda tile: session.run(None, {entry: tile})[0]


_OF_RUNTIME = {"openvino": _openvino, "onnxruntime": _onnxruntime}


def _write_onnx(network: torch.nn.Module, example: Tensor, folder: Path) -> None:
    with torch_alone():
        torch.onnx.export(network, (example,), folder / "model.onnx", dynamo=True, external_data=True, verbose=False)


def _our_difference(folder: Path, side: int) -> float:
    """Return the largest difference of a probability between tiles, by rows, and the picture at once."""
    segmenter, machine = load_model(folder / "model.safetensors").segmenter, choose_machine()
    predictor = Predictor(segmenter, machine, (side // 2, side // 2))
    pixels = tifffile.imread(folder / "picture.tif")[:side, :side, None]
    tiled = predictor.probabilities(pixels, "picture")
    with torch.inference_mode(), machine.arithmetic():
        whole = predictor.network(machine.put(segmenter.prepare(pixels, "picture")))[0].float().softmax(0)
    return float(np.abs(tiled - whole.numpy()).max())


def _centre(image: Tensor, side: int) -> Tensor:
    top, left = ((length - side) // 2 for length in image.shape[2:])
    return image[:, :, top : top + side, left : left + side]


def _peak_gb() -> float:
    """Return the peak resident memory of this process alone; the system's own count starts from its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9


def _table(results: dict[str, Any]) -> str:
    side, width = results["side"], results["width"]
    lines = [
        f"{side} x {side} pixels, U-Net of {width} to {16 * width} maps; {machine_text(results['machine'])}, "
        f"{results['date'][:10]}",
        f"{'':<18}{'seconds':>9}{'against unpool':>16}{'peak GB':>9}{'largest difference':>20}",
    ]
    for row in results["rows"]:
        ratio = "" if row["against_unpool"] is None else f"{row['against_unpool']:.1f}"
        lines.append(f"{row['name']:<18}{row['seconds']:>9.1f}{ratio:>16}{row['peak_gb']:>9.2f}{row['differs']:>20.1e}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
