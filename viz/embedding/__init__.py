"""Maps of the samples in the plane, site by site and step by step."""

from outcrop.viz.embedding.atlas import Atlas
from outcrop.viz.embedding.run import atlas
from outcrop.viz.embedding.spec import AtlasSpec

__all__ = ["Atlas", "AtlasSpec", "atlas"]
