from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from outcrop.data.errors import InputError
from outcrop.viz.heads import plot_head_map

MID, UP = "mid_block.attentions.0.transformer_blocks.0.attn2", "up_blocks.0.attentions.0.transformer_blocks.0.attn2"
SITES = tuple([f"{MID}.head.{k}" for k in range(12)] + [f"{UP}.head.{k}" for k in range(4)] + ["up_blocks.0"])

Make = Callable[..., pd.DataFrame]


def test_rows_are_attentions_and_columns_heads(make_frame: Make) -> None:
    frame = make_frame(SITES, steps=3, properties=("content", "style"))
    axes = next(axes for axes in plot_head_map(frame, step=1).axes if axes.get_label() == "heatmap style")
    own = frame[(frame["property"] == "style") & (frame["step"] == 1)].set_index("site")["accuracy"]
    values = np.ma.asarray(axes.images[0].get_array())
    assert values.shape == (2, 12)
    assert np.allclose(values[0], [own[f"{MID}.head.{k}"] for k in range(12)])
    assert np.allclose(values[1, :4], [own[f"{UP}.head.{k}"] for k in range(4)])
    assert np.ma.getmaskarray(values)[1, 4:].all()


def test_names_say_attention_and_head(make_frame: Make) -> None:
    figure = plot_head_map(make_frame(SITES, steps=1))
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == [
        "mid · attn 0 · cross",
        "up 0 · attn 0 · cross",
    ]
    ticks = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert ticks == ["0", "2", "4", "6", "8", "10"]
    texts = [text.get_text() for text in figure.texts]
    assert "head of the attention" in texts
    assert any(text.startswith("best ") and " at head " in text for text in texts)


def test_what_cannot_be_drawn_is_refused(make_frame: Make) -> None:
    with pytest.raises(InputError, match="the table has none"):
        plot_head_map(make_frame(("mid_block", "up_blocks.0")))
    with pytest.raises(InputError, match=r"one step, of 0, 1, 2\. Got none"):
        plot_head_map(make_frame(SITES, steps=3))
    with pytest.raises(InputError, match=r"of 0, 1, 2\. Got 7"):
        plot_head_map(make_frame(SITES, steps=3), step=7)
