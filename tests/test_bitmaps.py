"""PNG, JPEG, BMP, GIF and WebP: bounds before decoding, missing pixels, and what is held of a decoded picture."""

import struct
import subprocess
import sys
import tracemalloc
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngInfo

import tiny
from unpool.checkpoint.models import save_model
from unpool.commands.events import finish
from unpool.errors import DataError
from unpool.io.png_chunks import chunk, png_head, stream_bytes
from unpool.io.read.images import load_picture
from unpool.io.read.masks import load_mask
from unpool.io.read.windows import open_picture

PIXELS = np.kron(np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8), np.ones((4, 4, 1), np.uint8))
FORMATS = [("PNG", ".png"), ("JPEG", ".jpg"), ("BMP", ".bmp"), ("GIF", ".gif"), ("WEBP", ".webp")]


def coded(name: str, mode: str = "RGB", **options: object) -> bytes:
    file = BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(file, name, **options)
    return file.getvalue()


def refused(path: Path, content: bytes, match: str) -> None:
    """Check that a file is refused as a picture, as a mask and by windows, without a warning."""
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for read in (load_picture, load_mask):
            with pytest.raises(DataError, match=match):
                read(path)
        with pytest.raises(DataError, match=match), open_picture(path, 0) as picture:
            picture.window(slice(None), slice(None))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"]),
    st.sampled_from(FORMATS),
    st.integers(1, 8),
    st.integers(0, 35),
    st.integers(0, 47),
)
def test_pixels_at_once_and_by_windows(
    tmp_path_factory: pytest.TempPathFactory, mode: str, form: tuple[str, str], orientation: int, top: int, left: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path_factory.mktemp("forms") / f"p{form[1]}"
    options = {"exif": exif} if form[0] in ("PNG", "JPEG", "WEBP") else {}
    try:
        path.write_bytes(coded(form[0], mode, **options))
    except (OSError, ValueError):  # the format has no such pixels
        return
    whole = load_picture(path).pixels
    with open_picture(path, 0) as picture:
        assert (picture.window(slice(None), slice(None)) == whole).all()
        part = slice(top, top + 9), slice(left, left + 9)
        assert (picture.window(*part) == whole[part]).all()


def test_a_png_that_announces_more_than_its_data_hold(tmp_path: Path) -> None:
    data = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    refused(tmp_path / "p.png", png_head(20_000, 20_000, 8, 0) + data, "20000 x 20000 pixels are announced, which")


def test_a_chunk_of_a_png_that_is_longer_than_the_file(tmp_path: Path) -> None:
    long = struct.pack(">I", 2**32 - 1) + b"eXIf" + bytes(100)
    (tmp_path / "p.png").write_bytes(coded("PNG") + long)
    tracemalloc.start()
    assert (load_picture(tmp_path / "p.png").pixels == PIXELS).all()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 24


@pytest.mark.parametrize(("bits", "colour_type"), [(1, 0), (8, 0), (8, 2), (8, 6), (16, 0), (16, 2)])
def test_a_png_whose_rows_end_early(tmp_path: Path, bits: int, colour_type: int) -> None:
    head = png_head(40, 50, bits, colour_type)
    rows = np.full(stream_bytes(head[16:29]), 1, np.uint8).reshape(40, -1)
    rows[:, 0] = 0  # no filter
    (tmp_path / "p.png").write_bytes(head + chunk(b"IDAT", zlib.compress(rows.tobytes())) + chunk(b"IEND", b""))
    assert load_picture(tmp_path / "p.png").pixels.shape[:2] == (40, 50)
    early = head + chunk(b"IDAT", zlib.compress(rows[:30].tobytes())) + chunk(b"IEND", b"")
    refused(tmp_path / "p.png", early, "bytes of pixels")


def test_bytes_of_an_interlaced_png() -> None:
    # a picture of 5 x 3 has rows of the passes 1, 2, 4, 5, 6 and 7: one of 1 pixel, 0 of pass 3, and so on
    passes = [(1, 1), (1, 1), (0, 0), (1, 1), (1, 3), (2, 2), (1, 5)]
    assert stream_bytes(struct.pack(">IIBBBBB", 5, 3, 8, 2, 0, 0, 1)) == sum(r * (1 + 3 * c) for r, c in passes if c)
    assert stream_bytes(struct.pack(">IIBBBBB", 5, 3, 1, 0, 0, 0, 0)) == 3 * 2


def test_no_warning_of_a_library_and_no_animation(tmp_path: Path) -> None:
    frames = {"save_all": True, "append_images": [Image.fromarray(255 - PIXELS)]}
    for name, suffix in (("PNG", ".png"), ("GIF", ".gif"), ("WEBP", ".webp")):
        refused(tmp_path / f"p{suffix}", coded(name, **frames), "an animation")
    one = coded("PNG")
    for control in (struct.pack(">II", 0, 0), struct.pack(">II", (1 << 31) + 1, 0)):
        odd = one[:33] + chunk(b"acTL", control) + one[33:]
        (tmp_path / "p.png").write_bytes(odd)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert (load_picture(tmp_path / "p.png").pixels == PIXELS).all()


def test_text_that_inflates_beyond_bounds_is_no_part_of_a_picture(tmp_path: Path) -> None:
    note = PngInfo()
    note.add_text("note", "x" * 100, zip=True)
    one = coded("PNG", pnginfo=note)
    bomb = zlib.compress(bytes(1 << 26))
    for name, head in ((b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")):
        odd = one[:33] + chunk(name, head + bomb) + one[33:]
        (tmp_path / "p.png").write_bytes(odd)
        try:
            assert (load_picture(tmp_path / "p.png").pixels == PIXELS).all()
        except DataError as error:
            assert "p.png" in str(error)


@pytest.mark.parametrize(
    ("first", "match"),
    [
        (b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + b"\xff\xff\xff" * 2, "16777216 x 16777216 pixels"),
        (b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + b"\x0f\0\0" * 2, "animation"),
        (b"VP8L" + struct.pack("<I", 10) + b"\x2f" + struct.pack("<I", (1 << 28) - 1), "16384 x 16384 pixels"),
        (b"VP8 " + struct.pack("<I", 10) + b"\0\0\0\x9d\1\x2a" + b"\xff\x3f" * 2, "16383 x 16383 pixels"),
    ],
)
def test_a_webp_is_bounded_before_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bytes, match: str
) -> None:
    monkeypatch.setattr("PIL.WebPImagePlugin.WebPImageFile._open", lambda self: pytest.fail("opened"))
    content = b"RIFF" + struct.pack("<I", len(first) + 24) + b"WEBP" + first + bytes(20)
    refused(tmp_path / "p.webp", content, match)


def test_a_jpeg_of_thousands_of_scans(tmp_path: Path) -> None:
    data = coded("JPEG", progressive=True)
    path = tmp_path / "p.jpg"
    path.write_bytes(data + data * 200)  # behind the end of a picture, anything may follow
    assert load_picture(path).pixels.shape == (36, 48, 3)
    last = data.rindex(b"\xff\xda")
    refused(path, data[:last] + data[last:-2] * 200 + data[-2:], "more than 100 scans")


def test_a_bmp_whose_codes_skip_far(tmp_path: Path) -> None:
    head = struct.pack("<IiiHHIIiiII", 40, 5_000_000, 1, 1, 8, 1, 8, 0, 0, 2, 0) + bytes(8)
    refused(
        tmp_path / "p.bmp", b"BM" + struct.pack("<IHHI", 70, 0, 0, 62) + head + b"\0\2\xff\xff\0\1\0\0", "run-length"
    )


def test_a_gif_of_a_large_screen_and_a_small_picture(tmp_path: Path) -> None:
    data = bytearray(coded("GIF"))
    data[6:10] = struct.pack("<HH", 30_000, 10_000)
    refused(tmp_path / "p.gif", bytes(data), "10000 x 30000 pixels are announced")


def test_exif_of_any_content(tmp_path: Path) -> None:
    path = tmp_path / "p.jpg"
    for exif in (
        b"",
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(60_000),
    ):
        path.write_bytes(coded("JPEG", exif=exif))
        assert load_picture(path).pixels.shape == (36, 48, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".bmp", ".gif", ".webp"])
def test_a_picture_without_windows_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"p{suffix}"
    Image.fromarray(np.kron(PIXELS, np.ones((10, 10, 1), np.uint8))).save(path)
    with open_picture(path, 0, 1e8) as picture:
        assert picture.in_memory
    monkeypatch.setattr(ImageFile, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(DataError, match=r"in one piece, which takes .* of memory; 0.1 MB are left") as caught:
        open_picture(path, 0, 1e5).__enter__()
    assert "save it as a tiled TIFF or as a PNG" in caught.value.repair


def test_predict_says_what_a_jpeg_takes(tmp_path: Path) -> None:
    save_model(tmp_path / "model.safetensors", tiny.segmenter(), {"citation": "none"})
    path = tmp_path / "p.jpg"
    Image.fromarray(np.kron(PIXELS, np.ones((10, 10, 1), np.uint8))).save(path)
    steps = tiny.predict(tmp_path / "model.safetensors", [str(path)], tmp_path / "out", device="cpu", memory=1e6)
    ((_, reason),) = finish(steps).failed
    assert "this JPEG is decoded in one piece, which takes 0.7 MB of memory; nothing is left" in reason
    assert "more with --memory" in reason


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_one_copy_of_a_picture_without_windows_is_held(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p{suffix}"
    Image.fromarray(np.kron(PIXELS, np.ones((80, 80, 1), np.uint8))).save(path)  # 11 megapixels
    script = """
import sys
from pathlib import Path
from unpool.io.read.windows import open_picture
def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
before = peak()
with open_picture(Path(sys.argv[1])) as picture:
    for top in range(0, 2880, 500):
        picture.window(slice(top, top + 500), slice(0, 500))
print(peak() - before)
"""
    call = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(call, capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert int(done.stdout) < 6.5 * 2880 * 3840 / 1024  # Pillow has 4 bytes for each pixel; twice would be 7 and more
