"""An HTTPS server on loopback whose every answer, and every way not to answer, a test decides."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import trustme


@dataclass(frozen=True)
class Asked:
    """One request as it arrived. `target`: path and query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What to answer. `raw`: instead of an answer, these bytes, and then the end."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    raw: bytes | None = None


Answering = Callable[[Asked], "Reply | Callable[[Any], None]"]
"""A reply, or what is to be done with the open connection."""


@cache
def authority() -> trustme.CA:
    """The certificate authority of all servers of this process."""
    return trustme.CA()


@cache
def ca_file() -> str:
    """A file with its certificate."""
    path = Path(mkdtemp(prefix="syncd-ca-")) / "ca.pem"
    authority().cert_pem.write_to_path(path)
    return str(path)


@cache
def _certificate(names: tuple[str, ...], trusted: bool) -> trustme.LeafCert:
    return (authority() if trusted else trustme.CA()).issue_cert(*names)


@dataclass
class Server:
    """A running server. `asked`: all requests so far, in the order in which they came."""

    port: int
    answer: Answering
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    @property
    def root(self) -> str:
        return f"https://localhost:{self.port}"


@contextmanager
def serving(answer: Answering, *names: str, trusted: bool = True) -> Iterator[Server]:
    """A server on loopback that calls itself by these names (else localhost)."""
    listener = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    listener.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _certificate(names or ("localhost", "127.0.0.1"), trusted).configure_cert(context)
    listener.socket = context.wrap_socket(
        listener.socket, server_side=True, do_handshake_on_connect=False
    )
    server = Server(listener.server_address[1], answer)
    listener.told = server  # type: ignore[attr-defined]
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    disable_nagle_algorithm = True
    """Otherwise whoever asks again on one connection waits 40 ms for each body."""

    def handle(self) -> None:
        self.server.told.connections += 1  # type: ignore[attr-defined]
        with suppress(OSError, ValueError):  # whoever asked went away, which tests do
            super().handle()

    def _any(self) -> None:
        server: Server = self.server.told  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        asked = Asked(self.command, self.path, dict(self.headers), body)
        server.asked.append(asked)
        reply = server.answer(asked)
        if not isinstance(reply, Reply):
            self.close_connection = True
            reply(self.connection)
        elif reply.raw is not None:
            self.close_connection = True
            self.wfile.write(reply.raw)
        else:
            self.send_response_only(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

    do_GET = do_POST = _any  # noqa: N815  the names that http.server looks for

    def log_message(self, *args: Any) -> None:
        """Tests look at `asked`."""
