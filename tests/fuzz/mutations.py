"""Faults: what a tree of sound files becomes when bytes, tags, chunks or values in it are wrong.

Each function depends only on what it is given, random numbers too, so every input can be made again.
"""

import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random
from typing import Any

import torch
from safetensors.torch import load

from unpool.checkpoint.models import CARD_KEY, CHECKSUM_KEY, _checksum

Tree = dict[str, bytes]
"""The files of one input: their paths below its folder, and their content."""

ODD_NUMBERS = (
    0, 1, -1, 2, 3, 7, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1,
    2**63, 2**64 - 1,
)  # fmt: skip
DEEP = "@deep@"
DIGITS = "@digits@"
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 1.5, -1e-300, 1e308, 2**31, 2**63, 10**30,
    "", "x", "é", "\x1b[31m", "../../x", "/", "nan", "=1+1", "\u202e", "\ud800", "2026-99-99", "x" * 5000,
    [], {}, [[]], [0], {"": None}, {"x": {"x": {}}}, DEEP, DIGITS, float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
ODD_TEXTS = (
    "", "0", "-1", "1e999", "nan", "inf", "9" * 5000, "0x1F", "1_0", "12:30:45", "2026-11-29", "true", "no", "~",
    "null",
    "[" * 3000, "{" * 3000, "a." * 2000 + "a=1", "&a [*a, *a]", "*a", "<<: *a", "!!python/object:os.system x",
    "!!binary x",
    '"', "'", '"""', "=", "==", ": :", "- - -", "#", "\\", "\t", "\r", "\0", "\x1b[2J", "\ufeff", "\u202e",
    "é", "\u0665",
    "x\\y", "C:\\x\\y.png", "..", "../x.png", "/dev/zero", "file://x", "%s", "a,b,c,d", "255 x", "#ff00ff", "#zzz",
)  # fmt: skip
_INFLATED = zlib.compress(bytes(5_000_000), 9)
ODD_CHUNKS = (
    (b"tEXt", b"Comment\0x"), (b"zTXt", b"x\0\0" + _INFLATED), (b"iTXt", b"x\0\1\0\0\0y"),
    (b"iCCP", b"x\0\0" + _INFLATED),
    (b"tRNS", b"\0\1"), (b"PLTE", bytes(7)), (b"PLTE", bytes(3)), (b"eXIf", b"MM\0*\0\0\0\x08\xff\xff"),
    (b"acTL", struct.pack(">II", 2, 0)), (b"fcTL", bytes(26)), (b"gAMA", bytes(4)), (b"IDAT", b""), (b"IEND", b""),
    (b"IHDR", bytes(13)), (b"pHYs", b"\xff" * 9), (b"sRGB", b"\x09"), (b"abcd", b"x"),
)  # fmt: skip
TAGS = (
    254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 330, 338, 339,
    347, 34675, 42112, 42113, 50838,
)  # fmt: skip


def faulty(tree: Tree, random: Random) -> Tree:
    """Return a tree with a few faults, most often in one of its files."""
    changed = dict(tree)
    for _ in range(random.choice((1, 1, 1, 1, 2))):
        if random.random() < 0.03:
            _fault_of_names(changed, random)
        name = random.choice(sorted(changed))
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            changed[name] = _faulty_file(name, changed[name], random)
    return changed


def _fault_of_names(tree: Tree, random: Random) -> None:
    """Remove, rename, copy or exchange a file."""
    names = sorted(tree)
    one, other = random.choice(names), random.choice(names)
    folder, suffix = one[: one.rfind("/") + 1], one[one.rfind(".") :]
    new = folder + random.choice(("é", "e\u0301", "a b", "x\n", "=x", "\x1b[31m", "X", "con", "-x", "x" * 200)) + suffix
    match random.randrange(4):
        case 0 if len(tree) > 1:
            del tree[one]
        case 1:
            tree[new] = tree.pop(one)
        case 2:
            tree[new] = tree[one]
        case _:
            tree[one], tree[other] = tree[other], tree[one]


def _faulty_file(name: str, content: bytes, random: Random) -> bytes:
    """Return the content with one fault, of the kind that suits the file or of any kind."""
    last = name.rpartition("/")[2]
    own = next((fault for ends, fault in FAULTS.items() if last.endswith(ends)), None)
    if own is not None and random.random() < 0.7:
        with suppress(Exception):  # an earlier fault left no structure to change
            return own(content, random)
    return faulty_bytes(content, random)


def faulty_bytes(content: bytes, random: Random) -> bytes:
    """Return bytes of which some are changed, removed, repeated or added."""
    data, size = bytearray(content), len(content)
    # what decides about a file is mostly at its start
    at = random.randrange(min(size, random.choice((16, 64, 512, size + 1)))) if size else 0
    length = random.choice((1, 2, 4, 16, 64, 1024))
    match random.randrange(9):
        case 0 if size:
            data[at] ^= 1 << random.randrange(8)
        case 1 if size:
            data[at] = random.randrange(256)
        case 2 if size:
            width, order = random.choice((1, 2, 4, 8)), random.choice(("little", "big"))
            number = random.choice(ODD_NUMBERS) % (1 << 8 * width)
            data[at : at + width] = number.to_bytes(width, order)  # type: ignore[arg-type]
        case 3:
            del data[at:]
        case 4:
            del data[at : at + length]
        case 5:
            data[at:at] = data[at : at + length] * random.choice((1, 2, 50))
        case 6:
            data[at : at + length] = bytes(min(length, max(size - at, 0)))
        case 7:
            data += random.randbytes(length)
        case _:
            data[at : at + length] = random.randbytes(length)
    return bytes(data)


def faulty_tiff(content: bytes, random: Random) -> bytes:
    """Return a TIFF with a wrong tag: its code, type, count or value, or the address of the next page."""
    order = "<" if content[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", content, 2)[0] == 43
    entry, number = (20, "Q") if big else (12, "I")
    places = list(_tiff_entries(content, order, big))
    data = bytearray(content)
    place = random.choice(places)
    match random.randrange(8):
        case 0:
            struct.pack_into(order + "H", data, place, random.choice(TAGS))
        case 1:
            struct.pack_into(
                order + "H", data, place + 2, random.choice((0, 1, 2, 3, 4, 5, 8, 9, 11, 12, 13, 16, 17, 99))
            )
        case 2 | 3:
            struct.pack_into(order + number, data, place + 4, random.choice(ODD_NUMBERS) % (1 << (64 if big else 32)))
        case 4 if len(places) > 1:
            other = random.choice(places)
            data[place : place + entry] = content[other : other + entry]
        case _:
            at = place + (12 if big else 8)
            width = random.choice((2, 4, 8) if big else (2, 4))
            value = random.choice((*ODD_NUMBERS, random.randrange(70), random.randrange(1 << 16), len(content)))
            struct.pack_into(order + {2: "H", 4: "I", 8: "Q"}[width], data, at, value % (1 << 8 * width))
    return bytes(data)


def _tiff_entries(content: bytes, order: str, big: bool) -> Iterator[int]:
    """Yield the place of every tag of the first pages."""
    (place,) = struct.unpack_from(order + ("Q" if big else "I"), content, 8 if big else 4)
    for _ in range(4):
        if not place:
            return
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), content, place)
        place += 8 if big else 2
        for _ in range(min(count, 60)):
            yield place
            place += 20 if big else 12
        (place,) = struct.unpack_from(order + ("Q" if big else "I"), content, place)


def faulty_png(content: bytes, random: Random) -> bytes:
    """Return a PNG with a wrong, odd, missing or repeated chunk, whose checksums are right."""
    chunks = list(_png_chunks(content))
    at = random.randrange(len(chunks))
    kind, body = chunks[at]
    match random.randrange(5):
        case 0:
            chunks.insert(at, random.choice(ODD_CHUNKS))
        case 1:
            del chunks[at]
        case 2:
            chunks.insert(random.randrange(len(chunks)), (kind, body))
        case 3:
            rows, columns = (random.choice((*ODD_NUMBERS, 40, 41)) % (1 << 32) for _ in range(2))
            depth, colour = random.choice((1, 2, 4, 8, 16, 3)), random.choice((0, 2, 3, 4, 6, 1))
            ends = random.choice((chunks[0][1][8:], bytes([depth, colour, 0, 0, random.randrange(3)])))
            chunks[0] = (b"IHDR", random.choice((chunks[0][1][:8], struct.pack(">II", columns, rows))) + ends)
        case _:
            chunks[at] = (kind, faulty_bytes(body, random))
    return content[:8] + b"".join(_png_chunk(*chunk) for chunk in chunks)


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 8
    while place < len(content):
        (length,) = struct.unpack_from(">I", content, place)
        yield content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        place += 12 + length


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def faulty_json(content: bytes, random: Random) -> bytes:
    """Return a JSON text with an odd value, or without a key."""
    return json_text(with_odd_node(json.loads(content), random)).encode("utf-8", "surrogatepass")


def faulty_json_lines(content: bytes, random: Random) -> bytes:
    """Return JSON lines of which one is odd, missing or twice there."""
    lines = content.splitlines(keepends=True)
    at = random.randrange(len(lines))
    match random.randrange(4):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[at])
        case _:
            lines[at] = faulty_json(lines[at], random) + b"\n"
    return b"".join(lines)


def json_text(data: Any) -> str:
    """Return odd data as JSON text, with the nesting and the numbers that no dump would write."""
    text = json.dumps(data, ensure_ascii=False)
    return text.replace(f'"{DEEP}"', "[" * 50_000 + "]" * 50_000).replace(f'"{DIGITS}"', "9" * 5000)


def with_odd_node(data: Any, random: Random, odd: tuple[Any, ...] = ODD_VALUES) -> Any:
    """Return nested data with one node replaced, removed, renamed or moved."""
    nodes = [(place, key) for place, key in _nodes(data)]
    if not nodes:
        return random.choice(odd)
    place, key = random.choice(nodes)
    match random.randrange(6):
        case 0:
            del place[key]
        case 1 if isinstance(place, dict):
            place[random.choice(("", "x", "é", "\x1b", "__class__", "version"))] = place.pop(key)
        case 2:
            other_place, other_key = random.choice(nodes)
            place[key] = other_place[other_key] if other_key in _keys(other_place) else None
        case _:
            place[key] = random.choice(odd)
    return data


def _nodes(data: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container with each of its keys."""
    waiting = [data]
    while waiting:
        place = waiting.pop()
        for key in _keys(place):
            yield place, key
            if isinstance(place[key], dict | list):
                waiting.append(place[key])


def _keys(place: Any) -> list[Any]:
    return list(place) if isinstance(place, dict) else list(range(len(place))) if isinstance(place, list) else []


def faulty_text(content: bytes, random: Random) -> bytes:
    """Return a text with a line or a word missing, twice there, or replaced by an odd one."""
    lines = content.decode("utf-8", "replace").split("\n")
    at = random.randrange(len(lines))
    match random.randrange(7):
        case 0:
            del lines[at]
        case 1:
            lines.insert(random.randrange(len(lines)), lines[at])
        case 2:
            lines.insert(at, random.choice(ODD_TEXTS))
        case 3:
            lines[at] = random.choice(ODD_TEXTS)
        case 4:
            return "\n".join(lines).encode(random.choice(("utf-8-sig", "utf-16", "latin-1")), "replace")
        case _:
            words = lines[at].split(" ")
            place = random.randrange(len(words))
            head, mark, _ = words[place].partition(random.choice("=,:"))
            words[place] = random.choice((random.choice(ODD_TEXTS), head + mark + random.choice(ODD_TEXTS)))
            lines[at] = " ".join(words)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def faulty_model(content: bytes, random: Random) -> bytes:
    """Return a model file with an odd card or an odd tensor, whose checksum is right."""
    (length,) = struct.unpack_from("<Q", content)
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    tensors, card = load(content), metadata[CARD_KEY]
    if random.random() < 0.6:
        card = json_text(with_odd_node(json.loads(card), random)).encode("utf-8", "replace").decode()
    else:
        name = random.choice(sorted(tensors))
        tensors[name] = _odd_tensor(tensors[name], random)
        if random.random() < 0.2:
            del tensors[name]
    return _safetensors(tensors, {CARD_KEY: card, CHECKSUM_KEY: _checksum(tensors, card)})


def _safetensors(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> bytes:
    """Return a safetensors file. The package's own writer puts the metadata in an order that changes."""
    header: dict[str, Any] = {"__metadata__": metadata}
    body = b""
    for name, tensor in sorted(tensors.items()):
        kind = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.int64: "I64"}[tensor.dtype]
        data = tensor.reshape(-1).view(torch.uint8).numpy().tobytes()
        places = [len(body), len(body) + len(data)]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": places}
        body += data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def faulty_checkpoint(content: bytes, random: Random) -> bytes:
    """Return a checkpoint with an odd value or tensor, whose checksums are right."""
    state = torch.load(io.BytesIO(content), weights_only=True)
    tensors = [(place, key) for place, key in _nodes(state) if isinstance(place[key], torch.Tensor)]
    if tensors and random.random() < 0.4:
        place, key = random.choice(tensors)
        place[key] = _odd_tensor(place[key], random)
    else:
        odd = (
            *(value for value in ODD_VALUES if value not in (DEEP, DIGITS)),
            torch.tensor(float("nan")),
            torch.ones(2, 2),
        )
        state = with_odd_node(state, random, odd)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _odd_tensor(tensor: torch.Tensor, random: Random) -> torch.Tensor:
    changes: tuple[Callable[[], torch.Tensor], ...] = (
        lambda: torch.full_like(tensor, float("nan")) if tensor.is_floating_point() else tensor - 1,
        lambda: torch.full_like(tensor, float("inf")) if tensor.is_floating_point() else tensor + 2**40,
        lambda: tensor.to(torch.float64),
        lambda: tensor.to(torch.float16),
        tensor.reshape(-1)[:1].clone,
        lambda: torch.zeros(0),
        lambda: torch.cat([tensor.reshape(-1), tensor.reshape(-1)]),
        tensor.unsqueeze(0).clone,
    )
    return random.choice(changes)()


FAULTS: dict[str, Callable[[bytes, Random], bytes]] = {
    ".tif": faulty_tiff,
    ".png": faulty_png,
    ".jsonl": faulty_json_lines,
    ".json": faulty_json,
    ".zattrs": faulty_json,
    ".zarray": faulty_json,
    ".zgroup": faulty_json,
    ".txt": faulty_text,
    ".toml": faulty_text,
    ".yaml": faulty_text,
    ".csv": faulty_text,
    ".safetensors": faulty_model,
    ".pt": faulty_checkpoint,
}
"""The fault that suits a file, by the end of its name."""
