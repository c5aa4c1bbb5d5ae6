import itertools

import matplotlib as mpl
import pytest

from outcrop.viz import style


def test_the_style_ends_with_its_context() -> None:
    before = dict(mpl.rcParams)
    with style.figure_style():
        assert mpl.rcParams["svg.hashsalt"] == "outcrop"
    assert dict(mpl.rcParams) == before


def test_the_font_is_the_one_that_matplotlib_ships() -> None:
    path = mpl.font_manager.findfont(style.FONT, fallback_to_default=False)
    assert mpl.get_data_path() in path


def test_seven_properties_have_their_own_colour_and_fourteen_their_own_look() -> None:
    names = [f"p{i}" for i in range(14)]
    assert len(set(style.property_colours(names[:7]).values())) == 7
    looks = zip(style.property_colours(names).values(), style.property_markers(names).values(), strict=True)
    assert len(set(looks)) == 14


@pytest.mark.parametrize("text", ["", " ", "a", "down 0 · attn 0", "cost $3 and $4", "日本"])
def test_text_has_a_width(text: str) -> None:
    assert style.text_width(text + "xx", size=8) > style.text_width(text, size=8) >= 0


def test_fitted_text_fits_and_keeps_both_ends() -> None:
    text = "a_very_long_name.of_a_module.that_nobody_knows.0"
    short = style.fit_text(text, size=8, width=1.2)
    assert style.text_width(short, size=8) <= 1.2
    assert (short[0], short[-1], "…" in short) == (text[0], text[-1], True)
    assert style.fit_text("short", size=8, width=1.2) == "short"


def test_wrapped_text_keeps_its_words_and_fits() -> None:
    text = "Solid: accuracy of the probe, with its interval. Dashed: the same on the control task."
    lines = style.wrap(text, size=7, width=1.5)
    assert " ".join(lines) == text
    assert len(lines) > 1
    assert max(style.text_width(line, size=7) for line in lines) <= 1.5 * 1.05


@pytest.mark.parametrize(("count", "room"), [(7, 10), (140, 60), (140, 1), (1, 5), (20, 0)])
def test_thinning_is_regular_and_keeps_within_room(count: int, room: int) -> None:
    shown = style.thin(count, room=room)
    assert shown[0] == 0
    assert len(shown) <= max(1, room)
    assert len({b - a for a, b in itertools.pairwise(shown)}) <= 1
