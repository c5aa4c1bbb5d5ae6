"""Hostile shards: each is refused from its structure, and no file beside it is opened."""

import os
import resource
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from outcrop.data.dataset import open_dataset
from outcrop.data.errors import DataError

SITE = "activations/mid_block"
Spoil = Callable[[Path, Path], None]
CASES: dict[str, tuple[Spoil, str]] = {}


def case(message: str) -> Callable[[Spoil], Spoil]:
    """Register a function of (shard, canary) that spoils the shard, with what the refusal says."""

    def register(spoil: Spoil) -> Spoil:
        CASES[spoil.__name__] = (spoil, message)
        return spoil

    return register


def edit(path: Path, **options: object) -> h5py.File:
    return h5py.File(path, "r+", libver=("v108", "v108"), **options)


def replace(path: Path, name: str, **options: object) -> None:
    with edit(path) as file:
        del file[name]
        file.create_dataset(name, **options)


def low_level(path: Path, kind: h5t.TypeID, shape: tuple[int, ...], prepare: Callable | None = None) -> None:
    with edit(path) as file:
        del file[SITE]
        properties = h5p.create(h5p.DATASET_CREATE)
        if prepare:
            prepare(properties)
        h5d.create(file.id, SITE.encode(), kind, h5s.create_simple(shape), properties)


def patch(path: Path, old: bytes, new: bytes, *, after: bytes = b"") -> None:
    content = path.read_bytes()
    start = content.index(old, content.index(after))
    path.write_bytes(content[:start] + new + content[start + len(new) :])


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


# Names


def name_case(name: str, member: str) -> None:
    def spoil(path, _canary):
        with edit(path) as file:
            file["activations"].id.links  # noqa: B018  # the group must be there
            space = h5s.create_simple((3,))
            h5d.create(file["activations"].id, member.encode(), h5t.IEEE_F16LE, space)

    CASES[name] = (spoil, "unsafe name|does not name|declares")


name_case("terminal_codes_in_a_name", "\x1b]0;pwned\x07\x1b[2J")
name_case("markup_in_a_name", "<script>alert(1)<script>")
name_case("a_name_that_reads_backwards", "block\u202egnp.exe")
name_case("two_lines_in_a_name", "a\nerror: all is well")
name_case("a_name_of_10000_letters", "x" * 10000)


@case("unsafe name|no UTF-8")
def two_dots_as_a_name(path, _canary):
    patch(path, b"\x09mid_block", b"\x09mid/../..", after=b"OHDR")


@case("no UTF-8")
def a_name_that_is_no_text(path, _canary):
    patch(path, b"\x09mid_block", b"\x09mid\xff\xfe\xff\xff\xff\xff")


# Schema


@case("does not name")
def an_array_too_many(path, _canary):
    with edit(path) as file:
        file["samples/object"] = np.zeros(3)


@case("it lacks")
def an_array_too_few(path, _canary):
    with edit(path) as file:
        del file["steps/noise"]


@case("has the shape")
def another_number_of_samples(path, _canary):
    replace(path, SITE, data=np.zeros((2, 4, 4), "<f2"))


@case("has the shape")
def ids_on_two_axes(path, _canary):
    replace(path, "samples/id", data=np.zeros((3, 1), "<u8"))


@case("holds sample .* twice")
def one_sample_twice(path, _canary):
    replace(path, "samples/id", data=np.zeros(3, "<u8"))


@case("is chunked")
def chunked_ids(path, _canary):
    replace(path, "samples/id", data=np.zeros(3, "<u8"), chunks=(1,))


@case("no record in /meta")
def a_record_of_floats(path, _canary):
    replace(path, "meta", data=np.zeros(3))


def record_case(name: str, message: str, change: Callable[[bytes], bytes]) -> None:
    def spoil(path, _canary):
        with h5py.File(path) as file:
            content = file["meta"][()].tobytes()
        replace(path, "meta", data=np.frombuffer(change(content), np.uint8))

    CASES[name] = (spoil, message)


record_case("a_record_that_is_no_json", "/meta", lambda _content: b"\x80\x04pickle")
record_case("a_record_nested_100000_deep", "/meta", lambda _content: b"[" * 100_000)
record_case(
    "a_number_of_a_million_digits",
    "/meta",
    lambda c: c.replace(b'"planned_samples":8', b'"planned_samples":' + b"9" * 10**6),
)
record_case("a_record_with_one_site_twice", "twice", lambda c: c.replace(b"up_blocks.0", b"mid_block"))
record_case("a_record_with_a_site_outside", "String should match", lambda c: c.replace(b'"mid_block"', b'"../mid"'))
record_case("a_record_of_absurd_shapes", "values of shape", lambda c: c.replace(b'"shape":[4]', b'"shape":[-4]'))
record_case("a_record_of_huge_shapes", "values of shape", lambda c: c.replace(b'"shape":[4]', b'"shape":[%d]' % 2**63))
record_case("a_label_that_climbs", "unsafe name", lambda c: c.replace(b'"content"', b'"../../id"'))
record_case("a_label_called_as_a_column", "twice", lambda c: c.replace(b'"content"', b'"prompt"'))
record_case("a_later_format", "Input should be 1", lambda c: c.replace(b'"format":1', b'"format":2'))


# The file


@case("a user block|does not begin as an HDF5 file|extended superblock")
def user_block(path, _canary):
    path.unlink()
    with h5py.File(path, "w", libver=("v108", "v108"), userblock_size=512) as file:
        file["x"] = 1


@case("superblock version 00")
def superblock_of_the_old_kind(path, _canary):
    path.unlink()
    with h5py.File(path, "w", libver="earliest") as file:
        file["meta"] = np.zeros(3, np.uint8)


@case("no writer at work")
def left_open_by_a_writer(path, _canary):
    patch(path, path.read_bytes()[11:12], b"\x05", after=path.read_bytes()[11:])


@case("should have .* bytes")
def cut_in_the_middle(path, _canary):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@case("should have .* bytes")
def more_behind_the_end(path, _canary):
    path.write_bytes(path.read_bytes() + b"\0" * 100)


@case("does not begin as an HDF5 file")
def no_hdf5(path, _canary):
    path.write_bytes(b"#!/bin/sh\necho pwned\n" * 10)


@case("does not begin as an HDF5 file")
def nothing_at_all(path, _canary):
    path.write_bytes(b"")


@case("superblock|cut short")
def the_signature_alone(path, _canary):
    path.write_bytes(path.read_bytes()[:9])


@case("goes on in itself")
def a_header_that_goes_on_in_itself(path, _canary):
    crafted(path, lambda start: message(0x10, struct.pack("<QQ", start, 200)))


@case("more than 262144 messages")
def a_header_of_millions_of_nothings(path, _canary):
    size = 2**24
    crafted(path, lambda start: message(0x10, struct.pack("<QQ", start + 400, size)), tail=b"OCHK" + b"\0" * size)


@case("damaged list of chunks|bytes of structure")
def a_tree_of_chunks_that_eats_its_tail(path, _canary):
    def body(start: int) -> bytes:
        chunked = struct.pack("<BBBQIII", 3, 2, 3, start + 400, 1, 1, 2)
        return (
            message(1, b"\x02\x02\x00\x01" + struct.pack("<QQ", 1000, 1000))
            + message(3, struct.pack("<B3sIHH", 0x10, b"\0\0\0", 2, 0, 16))
            + message(8, chunked)
        )

    entry = struct.pack("<IIQQQ", 2, 0, 0, 0, 0)
    node = b"TREE\x01\x02" + struct.pack("<HQQ", 2, 0, 0) + (entry + struct.pack("<Q", 448)) * 2 + entry
    crafted(path, body, tail=node * 3)


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("<BHB", kind, len(body), 0) + body


def crafted(path: Path, body: Callable[[int], bytes], *, tail: bytes = b"") -> None:
    """A file whose root is one header with the messages of ``body``, and ``tail`` at byte 448."""
    messages = body(48)
    header = (b"OHDR\x02\x01" + struct.pack("<H", len(messages)) + messages).ljust(400, b"\0")
    end = 48 + len(header) + len(tail)
    head = b"\x89HDF\r\n\x1a\n\x02\x08\x08\0" + struct.pack("<QQQQ", 0, 2**64 - 1, end, 48) + b"\0" * 4
    path.write_bytes(head + header + tail)


@case("cannot be read|not a regular file")
def a_link_to_the_canary(path, canary):
    path.unlink()
    path.symlink_to(canary)


@case("not a regular file")
def a_pipe_that_would_hang(path, _canary):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_shard_is_refused_and_no_foreign_file_is_opened(shard, canary, name: str) -> None:
    from outcrop.data.folder import read_meta, read_shard_table

    spoil, message = CASES[name]
    spoil(shard, canary.path)
    canary.opened()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=message) as refusal:
        read_shard_table(shard, read_meta(shard))
    assert not canary.opened()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used < 2**18, "KiB"
    assert "\x1b" not in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 2000


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 60


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
