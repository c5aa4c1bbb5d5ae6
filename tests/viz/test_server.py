"""The served page over a real socket: what it answers, and to whom."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.client import HTTPConnection
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from outcrop.data.errors import DataError, InputError
from outcrop.viz.exhibit import Exhibit
from outcrop.viz.page_data import page_data
from outcrop.viz.server import HERE, ViewServer

Make = Callable[..., Any]


@pytest.fixture
def ask(server: ViewServer) -> Iterator[Callable[..., tuple[int, str, bytes]]]:
    """The status, the type and the bytes behind a path of the page."""
    connection = HTTPConnection(HERE, server.port, timeout=30)

    def request(path: str = "", *, method: str = "GET", hosts: tuple[str, ...] | None = None) -> tuple[int, str, bytes]:
        connection.putrequest(method, path if path.startswith("/") else f"/{server.token}/{path}", skip_host=True)
        for host in (f"{HERE}:{server.port}",) if hosts is None else hosts:
            connection.putheader("Host", host)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()

    yield request
    connection.close()


def test_the_page_may_load_from_where_it_came_and_from_nowhere_else(ask: Make) -> None:
    status, kind, content = ask()
    assert (status, kind) == (200, "text/html; charset=utf-8")
    assert b"img-src data: &#39;self&#39;; connect-src &#39;self&#39;" in content
    assert b"data:image/webp" not in content


def test_only_who_knows_the_token_is_answered(ask: Make, server: ViewServer) -> None:
    paths = (
        "/",
        "//",
        "/index.html",
        f"/{server.token}",
        f"/{server.token[:-1]}/",
        "/x/panel/0/0/0",
        "/%C3%A9/",
    )
    assert [ask(path)[0] for path in paths] == [404] * len(paths)
    assert len(server.token) >= 24


def test_two_views_have_two_tokens(server: ViewServer, exhibit: Exhibit) -> None:
    with ViewServer([exhibit]) as other:
        assert other.token != server.token


@pytest.mark.parametrize(
    "hosts", [("evil.example",), (), ("127.0.0.1",), ("evil.example", "127.0.0.1:{port}"), ("[::1]:{port}",)]
)
def test_a_name_that_was_made_to_point_here_gets_nothing(ask: Make, server: ViewServer, hosts: tuple[str, ...]) -> None:
    status, _, content = ask(hosts=tuple(host.format(port=server.port) for host in hosts))
    assert status == 403
    assert len(content) < 100


def test_localhost_is_this_machine(ask: Make, server: ViewServer) -> None:
    assert ask("panel/0/0/0", hosts=(f"localhost:{server.port}",))[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_written(ask: Make, method: str) -> None:
    assert ask(method=method)[0] == 501


def test_a_head_has_no_body(ask: Make) -> None:
    status, kind, content = ask("picture/0/3", method="HEAD")
    assert (status, kind, content) == (200, "image/webp", b"")


def angles(points: np.ndarray) -> np.ndarray:
    """Inner products of the points: what a turn or a mirror leaves as it is."""
    return points @ points.T / np.square(points).sum()


def test_a_panel_is_that_of_a_page_of_one_file(ask: Make, exhibit: Exhibit) -> None:
    panels = page_data(exhibit, [])["panels"]
    cells = np.frombuffer(base64.b64decode(panels["xy"]), "<u2").reshape(7, 4, 24, 2) / 65535 * 2 - 1
    for row, column in ((0, 0), (5, 2)):
        found = json.loads(ask(f"panel/0/{row}/{column}")[2])
        assert found["note"] == panels["notes"][row * 4 + column]
        shown = np.array(found["xy"])
        assert np.allclose(angles(shown), angles(cells[row, column]), atol=1e-3)  # but for a turn


def test_a_picture_is_the_samples(ask: Make, exhibit: Exhibit) -> None:
    status, kind, content = ask("picture/0/7")
    assert (status, kind) == (200, "image/webp")
    seen = Image.open(BytesIO(content)).convert("RGB")
    wanted = exhibit.ds.images([str(exhibit.ds.samples.index[7])])[0]
    assert seen.size == wanted.size
    assert np.abs(np.subtract(seen.getpixel((9, 9)), wanted.getpixel((9, 9)))).max() < 16  # WebP is lossy


def test_the_pictures_of_an_intervention(ask: Make) -> None:
    seen = [Image.open(BytesIO(ask(f"pair/0/{place}")[2])).convert("RGB").getpixel((9, 9)) for place in (0, 2, 4, 31)]
    assert np.abs(np.subtract(seen, [(255, 0, 0), (0, 0, 255), (0, 0, 0), (0, 255, 0)])).max() < 16


def test_examples_are_those_of_a_page_of_one_file(ask: Make, exhibit: Exhibit) -> None:
    told = page_data(exhibit, [])["properties"][1]["examples"][5 * 4 + 2]
    assert json.loads(ask("examples/0/1/5/2")[2]) == told


@pytest.mark.parametrize(
    "path",
    [
        *("panel/0/7/0", "panel/0/0/4", "panel/1/0/0", "panel/0/0", "panel/0/-1/0", "panel/0/0/0/", "panel/0/%D9%A3/0"),
        *(
            "picture/0/24",
            "picture/0/99999999999",
            "pair/0/32",
            "examples/0/3/0/0",
            "panel/0/0/0?x",
            "data",
            "places/0",
        ),
    ],
)
def test_what_is_not_there_is_not_found(ask: Make, path: str) -> None:
    assert ask(path)[0] == 404


def test_a_picture_that_cannot_be_read_says_why(exhibit: Exhibit) -> None:
    class Damaged(type(exhibit.ds)):  # type: ignore[misc]  # a class of the fixtures
        def images(self, ids: Any = None) -> list[Image.Image]:
            raise DataError("i/3.png is missing.")

    broken = Damaged(exhibit.ds.samples)
    with ViewServer([replace(exhibit, ds=broken)]) as server:
        answer = server.answer(f"/{server.token}/picture/0/3")
    assert (answer.status, answer.content) == (500, b"i/3.png is missing.")


def test_a_port_that_is_taken_is_named(server: ViewServer, exhibit: Exhibit) -> None:
    with pytest.raises(InputError, match=f"Port {server.port} of 127.0.0.1 is taken"):
        ViewServer([exhibit], port=server.port)
