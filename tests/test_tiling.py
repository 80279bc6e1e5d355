"""Tiles cover a picture once, on the stride grid, with their halo."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from unpool.prediction.halo import Halo, tile_of
from unpool.shapes import Region
from unpool.tiling import mirrored, multiple_above, regions

sides = st.integers(1, 90)


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
