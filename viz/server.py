"""A page on this machine alone: the report, with pictures and panels that are read when they are asked for.

Bound to 127.0.0.1, and read-only. The address holds a random token, so that other users of the machine and pages of
other sites cannot guess it; and only a Host header that names this address is answered, so that a site whose name is
made to point here (DNS rebinding) gets nothing.
"""

import errno
import hmac
import json
import logging
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from socketserver import ThreadingTCPServer
from threading import Lock

from PIL import Image

from outcrop.data.errors import InputError, OutcropError, StorageError
from outcrop.viz.exhibit import Exhibit
from outcrop.viz.report import render_served
from outcrop.viz.served import ServedSet

HERE = "127.0.0.1"
LARGEST_SIDE = 512  # pixels of a picture as it is sent
QUALITY = 90
IDLE = 60  # seconds after which a silent connection is closed
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
ASKED = {"picture": 2, "pair": 2, "panel": 3, "examples": 4}
"""Methods of :class:`ServedSet` that a page may ask for, and how many numbers follow: the first is that of the set."""
PLACE = re.compile("[0-9]{1,9}")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What is sent: a status, a type and the bytes."""

    status: HTTPStatus
    kind: str
    content: bytes


TEXT = "text/plain; charset=utf-8"
NOTHING = Answer(HTTPStatus.NOT_FOUND, TEXT, b"There is nothing here.\n")
FOREIGN = Answer(HTTPStatus.FORBIDDEN, TEXT, b"This page answers to its own address only.\n")


class ViewServer(ThreadingTCPServer):
    """The report on ``exhibits`` at :attr:`address`; use as a context manager, and call ``serve_forever``.

    ``port`` 0 takes any that is free. Raises ``InputError`` for one that is taken or may not be used.
    """

    daemon_threads = True
    allow_reuse_address = True  # of a port whose last connections are only closing; one that is listened on stays taken

    def __init__(self, exhibits: Sequence[Exhibit], *, port: int = 0) -> None:
        self.sets = [ServedSet(exhibit, number) for number, exhibit in enumerate(exhibits)]
        self.token = secrets.token_urlsafe(18)
        self.reading = Lock()  # one answer is read at a time: what a data set reads from is not made for threads
        try:
            super().__init__((HERE, port), _Visit)
        except OSError as error:
            raise _refused(port, error) from error

    @cached_property
    def page(self) -> bytes:
        """The page's text; made when it is first asked for."""
        return render_served(self.sets).encode()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def address(self) -> str:
        """The address of the page; whoever knows it can read the data set."""
        return f"http://{HERE}:{self.port}/{self.token}/"

    def knows(self, hosts: Sequence[str]) -> bool:
        """Whether a request's Host headers name this server, and nothing else does."""
        return list(hosts) in ([f"{HERE}:{self.port}"], [f"localhost:{self.port}"])

    def answer(self, path: str) -> Answer:
        """What lies at a path; ``NOTHING`` where the token is wrong or nothing lies there."""
        token, _, rest = path.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode(), self.token.encode()) or path.count("/") < 2:
            return NOTHING
        try:
            with self.reading:
                if not rest:
                    return Answer(HTTPStatus.OK, "text/html; charset=utf-8", self.page)
                return self._asked(rest)
        except IndexError:
            return NOTHING
        except OutcropError as error:
            logger.warning("%s: %s", rest, error)
            return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, TEXT, str(error).encode())

    def _asked(self, path: str) -> Answer:
        """What the page asks for, as in ``panel/0/7/3``. Raises ``IndexError`` for what is not there."""
        name, *words = path.split("/")
        if len(words) != ASKED.get(name) or not all(PLACE.fullmatch(word) for word in words):
            return NOTHING
        number, *places = (int(word) for word in words)
        found = getattr(self.sets[number], name)(*places)
        if isinstance(found, Image.Image):
            return Answer(HTTPStatus.OK, "image/webp", _webp(found))
        return Answer(HTTPStatus.OK, "application/json", json.dumps(found, allow_nan=False).encode())


def _webp(image: Image.Image) -> bytes:
    image = image.convert("RGB")
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=QUALITY, method=2)
    return buffer.getvalue()


def _refused(port: int, error: OSError) -> OutcropError:
    if error.errno == errno.EADDRINUSE:
        return InputError(f"Port {port} of {HERE} is taken. Choose another --port, or leave it out.")
    if error.errno == errno.EACCES:
        return InputError(f"Port {port} may not be used by you. Choose a --port from 1024 on, or leave it out.")
    return StorageError(f"Port {port} of {HERE} cannot be listened on; the system says: {error.strerror or error}.")


class _Visit(BaseHTTPRequestHandler):
    """One connection. Methods other than GET and HEAD are answered with 501."""

    server: ViewServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "outcrop", ""
    timeout = IDLE

    def do_GET(self) -> None:
        self._send(body=True)

    def do_HEAD(self) -> None:
        self._send(body=False)

    def _send(self, *, body: bool) -> None:
        ours = self.server.knows(self.headers.get_all("Host", []))
        answer = self.server.answer(self.path) if ours else FOREIGN
        self.send_response(answer.status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        if body:
            self.wfile.write(answer.content)

    def log_message(self, *_args: object) -> None:
        """Requests are not logged: their paths hold the token."""
