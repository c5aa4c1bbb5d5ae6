from collections.abc import Callable
from typing import Any

import pytest

from outcrop.viz.page_pairs import MOST_PICTURES, choose_pairs

Make = Callable[..., Any]
SITES = ("down_blocks.0", "mid_block", "up_blocks.0", "up_blocks.1")


@pytest.mark.parametrize("served", [False, True])
def test_tiles_are_donors_then_receivers_then_cell_after_cell(make_effects: Make, *, served: bool) -> None:
    shown = choose_pairs(*make_effects(SITES), served=served)
    assert shown.data == {"pairs": {"a": ["a red disc"] * 2, "b": ["a blue star"] * 2}, "count": 2, "of": 2}
    seen = [shown.tile(place).getpixel((5, 5)) for place in range(len(shown))]
    assert seen == [(255, 0, 0)] * 2 + [(0, 0, 255)] * 2 + [(0, 20 * (k // 2), 0) for k in range(16)]
    for place in (-1, len(shown)):
        with pytest.raises(IndexError):
            shown.tile(place)


def test_many_cells_leave_room_for_few_pairs_in_a_file(make_effects: Make) -> None:
    effects, study = make_effects(SITES)
    effects.frame["cell"] += MOST_PICTURES - 10
    assert len(choose_pairs(effects, study, served=False).chosen) == 1
    assert len(choose_pairs(effects, study, served=True).chosen) == 2
