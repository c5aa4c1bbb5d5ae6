"""Hostile shards, by where their values lie and of what type they are: each is refused from its structure."""

import struct
from contextlib import suppress

import h5py
import numpy as np
import pytest
from h5py import h5d, h5t
from shard_edits import SITE, Corpus, edit, fits_a_line, low_level, patch, replace

from outcrop.data.dataset import open_dataset

CASES = Corpus()
case = CASES.case


# Links


@case("an external link")
def external_link_as_a_site(path, canary):
    with edit(path) as file:
        del file[SITE]
        file[SITE] = h5py.ExternalLink(canary, "x")


@case("an external link")
def external_link_as_the_record(path, canary):
    with edit(path) as file:
        del file["meta"]
        file["meta"] = h5py.ExternalLink(canary, "x")


@case("an external link")
def external_link_as_a_group(path, canary):
    with edit(path) as file:
        del file["samples"]
        file["samples"] = h5py.ExternalLink(canary, "/")


@case("an external link")
def external_link_among_many(path, canary):
    with edit(path) as file:
        for number in range(60):
            file[f"activations/x{number}"] = h5py.ExternalLink(canary, "x") if number == 33 else np.zeros(3, "<f2")


@case("a soft link")
def soft_link_to_the_root(path, _canary):
    with edit(path) as file:
        file["activations/again"] = h5py.SoftLink("/")


@case("a soft link")
def soft_link_to_nothing(path, _canary):
    with edit(path) as file:
        del file[SITE]
        file[SITE] = h5py.SoftLink("/nowhere")


@case("a soft link")
def soft_link_to_itself(path, _canary):
    with edit(path) as file:
        file["loop"] = h5py.SoftLink("/loop")


@case("linked twice|message of type 0x16")
def cycle_of_groups(path, _canary):
    with edit(path) as file:
        file["activations/up"] = file["/"]


@case("linked twice|a message of type 0x16")
def one_array_under_two_names(path, _canary):
    with edit(path) as file:
        file["activations/copy"] = file[SITE]


@case("more than 4 deep")
def groups_within_groups(path, _canary):
    with edit(path) as file:
        file.create_group("/".join("g" * 60))


@case("of an unusual kind|one of too many|bytes of structure|which its record does not name|index with")
def thousands_of_groups(path, _canary):
    with edit(path) as file:
        for number in range(3000):
            file.create_group(f"activations/g{number}")


# Where the values lie


@case("external storage")
def external_storage(path, canary):
    replace(path, SITE, shape=(2, 3, 4), dtype="<f2", external=[(str(canary), 0, 48)])


@case("virtual layout|unusual")
def virtual_layout(path, canary):
    layout = h5py.VirtualLayout((2, 3, 4), "<f2")
    layout[0, 0, :3] = h5py.VirtualSource(canary, "x", (3,))
    with edit(path) as file:
        del file[SITE]
    with h5py.File(path, "r+", libver=("v108", "v110")) as file:
        file.create_virtual_dataset(SITE, layout)


@case("declares .* and stores|no chunk")
def huge_shape_without_storage(path, _canary):
    low_level(path, h5t.IEEE_F16LE, (2, 3, 2**40))


@case("no chunk|declares .* chunks")
def huge_shape_in_chunks(path, _canary):
    low_level(path, h5t.IEEE_F16LE, (2, 3, 2**40), lambda properties: properties.set_chunk((1, 1, 2**20)))


@case("bytes each")
def one_huge_chunk(path, _canary):
    low_level(path, h5t.IEEE_F16LE, (2, 3, 2**30), lambda properties: properties.set_chunk((1, 1, 2**30)))


@case("no honest compression|which its record does not name|has the shape")
def decompression_bomb(path, _canary):
    replace(path, SITE, data=np.zeros((2, 3, 3 * 2**21), "<f2"), chunks=(1, 1, 3 * 2**21), compression="gzip")


@case("compact layout")
def compact_layout(path, _canary):
    low_level(path, h5t.IEEE_F16LE, (2, 3, 4), lambda properties: properties.set_layout(h5d.COMPACT))


@case("shape that may grow")
def resizable(path, _canary):
    replace(path, SITE, data=np.zeros((2, 3, 4), "<f2"), maxshape=(None, 3, 4), chunks=(1, 3, 4))


@case("declares")
def nothing_stored(path, _canary):
    low_level(path, h5t.IEEE_F16LE, (2, 3, 4))


@case("declares|has the shape")
def no_values(path, _canary):
    replace(path, SITE, data=np.zeros((2, 0, 4), "<f2"))


@case("unusual shape")
def null_dataspace(path, _canary):
    replace(path, SITE, data=h5py.Empty("<f2"))


@case("lie in each other")
def arrays_that_share_their_bytes(path, _canary):
    with h5py.File(path) as file:
        offsets = [file[name].id.get_offset() for name in ("samples/id", "samples/seed")]
    patch(path, struct.pack("<QQ", offsets[1], 24), struct.pack("<Q", offsets[0]))


@case("and stores")
def values_outside_of_the_file(path, _canary):
    with h5py.File(path) as file:
        offset = file[SITE].id.get_offset()
    patch(path, struct.pack("<QQ", offset, 48), struct.pack("<Q", 2**62))


@case("layout")
def layout_of_a_later_version(path, _canary):
    with edit(path) as file:
        del file[SITE]
    with h5py.File(path, "r+", libver="latest") as file:
        file.create_dataset(SITE, data=np.zeros((2, 3, 4), "<f2"), chunks=(1, 3, 4))


# Filters


@case("the filter 32000")
def filter_of_h5py_alone(path, _canary):
    replace(path, SITE, data=np.zeros((2, 3, 4), "<f2"), chunks=(1, 3, 4), compression="lzf")


@case("the filter 6")
def scale_offset(path, _canary):
    replace(path, SITE, data=np.zeros((2, 3, 4), "<i4"), chunks=(1, 3, 4), scaleoffset=3)


@case("the filter 666")
def filter_that_would_load_a_plugin(path, _canary):
    replace(path, SITE, data=np.zeros((2, 3, 4), "<f2"), chunks=(1, 3, 4), compression="lzf")
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<H", 32000), struct.pack("<H", 666)))


@case("repeated or out of order")
def the_same_filter_twice(path, _canary):
    def twice(properties):
        properties.set_chunk((1, 3, 4))
        properties.set_deflate(9)
        properties.set_deflate(9)

    low_level(path, h5t.IEEE_F16LE, (2, 3, 4), twice)


@case("filters")
def a_long_pipeline(path, _canary):
    def many(properties):
        properties.set_chunk((1, 3, 4))
        for _ in range(30):
            properties.set_shuffle()

    low_level(path, h5t.IEEE_F16LE, (2, 3, 4), many)


# Types


def type_case(name: str, message: str, kind: object) -> None:
    def spoil(path, _canary):
        replace(path, SITE, shape=(2, 3, 4), dtype=kind)

    CASES[name] = (spoil, message)


type_case("variable_length_text", "variable-length type", h5py.string_dtype())
type_case("variable_length_numbers", "variable-length type", h5py.vlen_dtype("<f2"))
type_case("object_references", "reference type", h5py.ref_dtype)
type_case("region_references", "reference type", h5py.regionref_dtype)
type_case("compound", "compound type", np.dtype([("a", "<f2"), ("b", "<i4")]))
type_case("complex_numbers", "compound type|complex type", np.dtype("<c8"))
type_case("booleans", "enumeration type", np.dtype(bool))
type_case("opaque", "opaque type", np.dtype("V16"))
type_case("arrays_of_arrays", "array type", np.dtype(("<f2", (3,))))
type_case("big_endian", "unusual", np.dtype(">f2"))
type_case("extended_precision", "unusual", np.dtype(np.longdouble))
type_case("dates", "opaque type", h5py.opaque_dtype(np.dtype("<M8[ns]")))
type_case("integers_in_place_of_floats", "declares", np.dtype("<i2"))


@case("unusual")
def odd_precision(path, _canary):
    kind = h5t.STD_U16LE.copy()
    kind.set_precision(11)
    low_level(path, kind, (2, 3, 4))


@case("bit field type")
def bit_field(path, _canary):
    low_level(path, h5t.STD_B16LE, (2, 3, 4))


@case("shared message|message of type 0x16")
def a_type_that_is_stored_elsewhere(path, _canary):
    with edit(path) as file:
        file["kind"] = np.dtype("<f2")
        del file[SITE]
        file.create_dataset(SITE, shape=(2, 3, 4), dtype=file["kind"])


@case("variable-length type")
def prompts_of_variable_length(path, _canary):
    replace(path, "samples/prompt", data=["a", "b", "c"], dtype=h5py.string_dtype())


@case("variable-length type")
def attribute_of_variable_length(path, _canary):
    with edit(path) as file:
        file[SITE].attrs["note"] = "x"


@case("reference type")
def attribute_that_refers(path, _canary):
    with edit(path) as file:
        file[SITE].attrs["there"] = file["samples"].ref


@case("opaque type")
def attribute_with_a_pickle(path, _canary):
    with edit(path) as file:
        file.attrs["object"] = np.void(b"\x80\x04cposix\nsystem\n")


@case("more attributes")
def a_thousand_attributes(path, _canary):
    with edit(path) as file:
        for number in range(1000):
            file["activations"].attrs[f"a{number}"] = 1


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_shard_is_refused_and_no_foreign_file_is_opened(shard, canary, name: str) -> None:
    said = CASES.refusal(name, shard, canary)
    assert fits_a_line(said)
    assert not canary.opened()


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 50


def test_the_canary_sings(shard, canary) -> None:
    """The control: HDF5 itself does open the foreign file, and the canary sees it."""
    external_link_as_a_site(shard, canary.path)
    canary.opened()
    with h5py.File(shard) as file, suppress(KeyError):
        file[SITE][()]
    assert canary.opened()


def test_the_honest_shard_opens(shard, canary) -> None:
    assert len(open_dataset(shard)) == 3
    assert not canary.opened()
