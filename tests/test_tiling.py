"""Tiles cover a picture once, on the stride grid, with their halo."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from unpool.tiling import Reach, multiple_above, tiles

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

    reach = Reach(before, max(after, lost), stride, legal)
    given = (legal(rows + lost), legal(columns + lost))
    covered = np.zeros((rows, columns), dtype=int)
    for part in tiles((rows, columns), given, (tile, tile), reach):
        covered[part.kept] += 1
        for window, kept, inside, limit in zip(part.window, part.kept, part.inside, given, strict=True):
            assert window.start % stride == 0
            assert window.start == max(kept.start - multiple_above(before, stride), 0)
            assert window.stop == limit or window.stop >= kept.stop + reach.after
            assert legal(window.stop - window.start) == window.stop - window.start
            assert window.stop <= limit
            assert window.start + inside.start == kept.start
            assert inside.stop - inside.start == kept.stop - kept.start
            assert inside.stop <= window.stop - window.start - lost
    assert (covered == 1).all()


@given(st.integers(0, 1000), st.integers(1, 64))
def test_multiple_above(size: int, step: int) -> None:
    found = multiple_above(size, step)
    assert found % step == 0
    assert size <= found < size + step
