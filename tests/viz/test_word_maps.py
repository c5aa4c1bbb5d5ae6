from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from outcrop.data.dataset import Dataset, open_dataset
from outcrop.data.errors import InputError
from outcrop.data.samples import Sample, image_path, sample_id
from outcrop.data.schema import DatasetRecord, SiteRecord, StepRecord
from outcrop.data.writer import open_writer
from outcrop.viz import style
from outcrop.viz.word_maps import plot_word_maps

ATTENTIONS = ("mid_block.attn2.words", "up_blocks.0.attn2.words")
WORDS = {"star": (1,), "top left": (2, 3)}


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., Dataset]:
    """Two samples of 8 x 8 pixels; ``star`` is looked at from the lower right, at every site and step."""

    def make(*, shape: tuple[int, ...] = (4, 2, 2), role: str = "word-map") -> Dataset:
        sites = tuple(
            SiteRecord(name=name, role=role, depth=k / 2, source_shape=shape, shape=shape)
            for k, name in enumerate(ATTENTIONS)
        )
        steps = tuple(StepRecord(index=k, timestep=900.0 - 800 * k, log_snr=k, noise=90.0 - 80 * k) for k in range(2))
        record = DatasetRecord(
            uuid="words", model="planted", dtype="float32", reduction="full", half="cond", sites=sites, steps=steps,
            labels=(), planned_samples=2, shard_samples=2, spec={}, provenance={},
        )  # fmt: skip
        values = np.full((2, 2, *shape), 0.1, np.float32)
        if len(shape) == 3:
            values[:, :, 1, 1, 1] = 0.5
        ids = [sample_id("planted", "a star top left", k, k) for k in range(2)]
        samples = [
            Sample(name, "a star top left", k, "", labels={}, image=image_path(name)) for k, name in enumerate(ids)
        ]
        with open_writer(tmp_path / "ds", record) as writer:
            writer.commit(0, samples, dict.fromkeys(ATTENTIONS, values))
            writer.seal(samples)
        for k, sample in enumerate(samples):
            path = tmp_path / "ds" / sample.image
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (40 * k, 90, 200)).save(path)
        return open_dataset(tmp_path / "ds")

    return make


def test_the_veil_is_densest_where_the_word_was_looked_at(recorded: Callable[..., Dataset]) -> None:
    ds = recorded()
    figure = plot_word_maps(ds, ds.samples.index[1], WORDS)
    plain, star, place = figure.axes
    assert np.array_equal(plain.images[0].get_array(), np.asarray(ds.images([ds.samples.index[1]])[0]))
    veil = np.asarray(star.images[1].get_array())
    assert veil.shape == (8, 8, 4)
    assert np.allclose(veil[..., :3], to_rgb(style.COLOURS[1]))
    densest = veil[..., 3] > 0.99 * veil[..., 3].max()
    assert np.argwhere(densest).min() >= 5  # the lower right corner
    assert densest[7, 7]
    assert veil[7, 7, 3] > 0.8
    assert veil[0, 0, 3] < 0.1
    assert star.get_xlabel().endswith(" to .50 of attention")
    assert not np.asarray(place.images[1].get_array())[..., 3].any()  # alike everywhere
    assert place.get_xlabel() == ".20 to .20 of attention"  # its two tokens together
    assert [axes.get_title() for axes in figure.axes] == ["picture", "star", "top left"]
    texts = " ".join(text.get_text() for text in figure.texts)
    assert "a star top left" in texts
    assert "mean over 2 sites and 2 steps" in texts


def test_what_cannot_be_drawn_is_refused(recorded: Callable[..., Dataset]) -> None:
    ds = recorded()
    first = ds.samples.index[0]
    for tokens in ((4,), (), 1, "star"):
        with pytest.raises(InputError, match="the tokens of 'star' must be a list of at least one of 0 to 3"):
            plot_word_maps(ds, first, {"star": tokens})  # type: ignore[dict-item]
    with pytest.raises(InputError, match=r"at least one; \{\} came.*word_tokens"):
        plot_word_maps(ds, first, {})
    with pytest.raises(InputError, match="no sample 'nobody'"):
        plot_word_maps(ds, "nobody", WORDS)
    with pytest.raises(InputError, match="matches nothing"):
        plot_word_maps(ds, first, WORDS, sites=["down*"])


@pytest.mark.parametrize(
    ("made", "message"),
    [({"shape": (4,)}, r"not maps \(token, height, width\).*--reduction full"), ({"role": "block"}, "role 'word-map'")],
)
def test_a_recording_without_maps_is_refused(
    recorded: Callable[..., Dataset], made: dict[str, object], message: str
) -> None:
    ds = recorded(**made)
    with pytest.raises(InputError, match=message):
        plot_word_maps(ds, ds.samples.index[0], WORDS)
