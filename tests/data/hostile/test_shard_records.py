"""Hostile shards, by names, records and bytes of the file: each is refused from its structure."""

import os
import struct
from collections.abc import Callable

import h5py
import numpy as np
import pytest
from h5py import h5d, h5s, h5t
from shard_edits import SITE, Corpus, crafted, edit, fits_a_line, message, patch, replace

CASES = Corpus()
case = CASES.case


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
record_case("a_later_format", "Input should be 1 or 2", lambda c: c.replace(b'"format":1', b'"format":3'))
record_case("another_format_s_number", "float16 is of format 1", lambda c: c.replace(b'"format":1', b'"format":2'))


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
    said = CASES.refusal(name, shard, canary)
    assert fits_a_line(said)
    assert not canary.opened()
