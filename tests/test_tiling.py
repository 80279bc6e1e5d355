"""Tiles cover a picture once, on the stride grid, with their halo."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from unpool.prediction.halo import Halo, tile_of
from unpool.shapes import Region, reading_parts
from unpool.tiling import mirrored, multiple_above, regions

sides = st.integers(1, 90)


class _Blocks(np.ndarray):
    """A picture in a file that is decoded by blocks."""

    block: tuple[int, int]


def _picture(size: tuple[int, int], block: tuple[int, int]) -> _Blocks:
    picture = np.zeros((*size, 1), np.uint8).view(_Blocks)
    picture.block = block
    return picture


@settings(deadline=None, max_examples=40)
@given(rows=st.integers(1, 900), columns=st.integers(1, 900), block=st.tuples(*[st.sampled_from([1, 7, 64, 300])] * 2))
def test_parts_to_read_cover_once_and_decode_each_block_once(rows: int, columns: int, block: tuple[int, int]) -> None:
    for picture in (_picture((rows, columns), block), _picture((rows, columns), (block[0], columns))):
        seen = np.zeros((rows, columns), int)
        blocks: list[tuple[int, int]] = []
        for part in reading_parts(picture):
            seen[part] += 1
            spans = [range(s.start // b, -(-s.stop // b)) for s, b in zip(part, picture.block, strict=True)]
            blocks += [(row, column) for row in spans[0] for column in spans[1]]
        assert (seen == 1).all()
        assert len(blocks) == len(set(blocks))


def test_parts_of_a_huge_strip_stay_small() -> None:
    picture = np.broadcast_to(np.uint8(0), (4000, 40_000, 1)).view(_Blocks)
    picture.block = (4000, 40_000)
    assert max((part[0].stop - part[0].start) * 40_000 for part in reading_parts(picture)) <= 1 << 18


@settings(deadline=None)
@given(
    rows=sides,
    columns=sides,
    tile=st.integers(1, 50),
    before=st.integers(0, 40),
    after=st.integers(0, 40),
    lost=st.integers(0, 30),
    stride=st.sampled_from([1, 4, 16]),
)
def test_tiles_cover_once_with_context(
    rows: int, columns: int, tile: int, before: int, after: int, lost: int, stride: int
) -> None:
    """``lost`` is what a network without padding takes away, so legal sides are multiples of the stride plus it."""

    def legal(side: int) -> int:
        return multiple_above(max(side - lost, 1), stride) + lost

    halo = Halo(before, max(after, lost), stride, legal)
    given = (legal(rows + lost), legal(columns + lost))
    covered = np.zeros((rows, columns), dtype=int)
    for kept in regions((rows, columns), (tile, tile), stride):
        assert all(side.start % stride == 0 for side in kept)
        covered[kept] += 1
        check(kept, given, halo, lost)
    assert (covered == 1).all()


def check(region: Region, given: tuple[int, int], halo: Halo, lost: int) -> None:
    """The tile of a region reads all that the region sees, begins on the grid and has a legal size."""
    part = tile_of(region, given, halo)
    assert part.kept == region
    for window, kept, inside, limit in zip(part.window, part.kept, part.inside, given, strict=True):
        assert window.start % halo.stride == 0
        assert 0 <= window.start <= max(kept.start // halo.stride * halo.stride - halo.before, 0)
        assert window.stop == limit or window.stop >= multiple_above(kept.stop, halo.stride) + halo.after
        assert halo.legal(window.stop - window.start) == window.stop - window.start
        assert window.stop <= limit
        assert window.start + inside.start == kept.start
        assert inside.stop - inside.start == kept.stop - kept.start
        assert inside.stop <= window.stop - window.start - lost


@settings(deadline=None)
@given(
    data=st.data(),
    size=st.tuples(sides, sides),
    before=st.integers(0, 40),
    after=st.integers(0, 40),
    lost=st.integers(0, 30),
    stride=st.sampled_from([1, 4, 16]),
)
def test_a_region_of_any_place_and_size_has_its_context(
    data: st.DataObject, size: tuple[int, int], before: int, after: int, lost: int, stride: int
) -> None:
    def legal(side: int) -> int:
        return multiple_above(max(side - lost, 1), stride) + lost

    starts = [data.draw(st.integers(0, side - 1)) for side in size]
    rows, columns = (
        slice(start, data.draw(st.integers(start + 1, side))) for start, side in zip(starts, size, strict=True)
    )
    given = (legal(size[0] + lost), legal(size[1] + lost))
    check((rows, columns), given, Halo(before, max(after, lost), stride, legal), lost)


@given(st.integers(1, 12), st.integers(0, 40), st.integers(0, 40))
def test_a_span_is_mirrored_as_numpy_pads(length: int, before: int, after: int) -> None:
    padded = np.pad(np.arange(length), (before, after), mode="reflect" if length > 1 else "edge")
    assert list(mirrored(slice(-before, length + after), length)) == list(padded)


@given(st.integers(0, 1000), st.integers(1, 64))
def test_multiple_above(size: int, step: int) -> None:
    found = multiple_above(size, step)
    assert found % step == 0
    assert size <= found < size + step
