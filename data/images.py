"""The pictures of a data set."""

from io import BytesIO

from PIL import Image, UnidentifiedImageError

from outcrop.data.errors import DataError
from outcrop.data.store import Store

FORMATS = ("PNG", "JPEG", "WEBP")


def open_image(store: Store, path: str) -> Image.Image:
    """The picture at ``path`` inside the data set, as RGB.

    Raises :class:`DataError` for one that is missing, is no picture, or lies elsewhere.
    """
    if not path:
        raise DataError(f"{store.location} was captured without images (images: false).")
    content = store.find(path)
    if content is None:
        raise DataError(f"{store.location} has no image {path!r}: the file was removed. Fetch it again.")
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            return image.convert("RGB")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise DataError(f"{store.location}/{path} is no picture of the kinds {', '.join(FORMATS)}: {error}.") from error
