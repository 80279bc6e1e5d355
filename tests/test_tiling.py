"""Tiles cover a picture once, on the stride grid, with their halo."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unpool.geometry import multiple_above
from unpool.tiling import tiles

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
