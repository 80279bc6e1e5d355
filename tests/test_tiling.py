"""Tiles cover a picture once, on the stride grid, with their halo."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unpool.tiling import multiple_above, tiles

sides = st.integers(1, 90)


@given(
    rows=sides,
    columns=sides,
    tile=st.integers(1, 50),
    halo=st.integers(0, 40),
    stride=st.sampled_from([1, 4, 16]),
)
def test_tiles_cover_once_with_context(rows: int, columns: int, tile: int, halo: int, stride: int) -> None:
    covered = np.zeros((rows, columns), dtype=int)
    for part in tiles((rows, columns), (tile, tile), halo, stride):
        covered[part.kept] += 1
        for window, kept, inside, length in zip(part.window, part.kept, part.inside, (rows, columns), strict=True):
            assert window.start % stride == 0
            assert window.start == max(kept.start - multiple_above(halo, stride), 0)
            assert window.stop == min(kept.stop + multiple_above(halo, stride), length)
            assert window.start + inside.start == kept.start
            assert inside.stop - inside.start == kept.stop - kept.start
    assert (covered == 1).all()


@given(st.integers(0, 1000), st.integers(1, 64))
def test_multiple_above(size: int, step: int) -> None:
    found = multiple_above(size, step)
    assert found % step == 0
    assert size <= found < size + step
