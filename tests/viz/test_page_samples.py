import base64
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from outcrop.viz.page_samples import picture_sheets, sample_data, spaced_samples

Make = Callable[..., Any]


def test_samples_are_spread_over_the_data_set(make_dataset: Make) -> None:
    assert spaced_samples(make_dataset(5), 2000).tolist() == [0, 1, 2, 3, 4]
    many = spaced_samples(make_dataset(50), 40)
    assert len(many) == 40
    assert (many[0], many[-1]) == (0, 49)
    assert np.diff(many).max() <= 2


def test_labels_come_back_from_their_codes(make_dataset: Make) -> None:
    dataset = make_dataset(12)
    data = sample_data(dataset, np.array([1, 4, 7]))
    assert data["ids"] == list(dataset.samples.index[[1, 4, 7]])
    for name, label in data["labels"].items():
        assert [label["classes"][code] for code in label["codes"]] == list(dataset.labels[name].iloc[[1, 4, 7]])


def test_each_tile_of_a_sheet_is_its_picture(make_dataset: Make) -> None:
    dataset = make_dataset(300)
    places = np.arange(0, 300)
    sheets = picture_sheets(dataset, places)
    assert sheets is not None
    assert len(sheets.uris) == 2  # of 16 x 16 tiles
    wanted = dataset.images(list(dataset.samples.index))
    opened = [Image.open(BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB") for uri in sheets.uris]
    for place in (0, 17, 255, 256, 299):
        inside = place % 256
        x, y = (sheets.tile * (k + 0.5) for k in (inside % sheets.across, inside // sheets.across))
        seen = opened[place // 256].getpixel((int(x), int(y)))
        assert np.abs(np.subtract(seen, wanted[place].getpixel((1, 1)))).max() < 24  # WebP is lossy


def test_a_data_set_without_pictures_has_no_sheets(make_dataset: Make) -> None:
    dataset = make_dataset(4)
    dataset.samples["image"] = ""
    assert picture_sheets(dataset, np.arange(4)) is None
