"""Signing in for a connection: a person in a browser or with a code, or the application itself.

What comes of it is a grant: a refresh token and who it is of; or the application's secret, where
the configuration does not hold it.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs

from syncd.connectors.asking import Asking, Manner
from syncd.connectors.microsoft.signin import SignIn, Tokens
from syncd.errors import AuthFailed

REFRESH, SECRET = "refresh_token", "client_secret"
_LONGEST = 1 << 16
PATIENCE = 600.0
"""Seconds that a person has to sign in."""
_DONE = b"<!doctype html><title>syncd</title><p>Done. You can close this page."
_NOT_DONE = b"<!doctype html><title>syncd</title><p>That did not work; the terminal says why."


def by_person(signing: SignIn, tenant: str, scope: str, asking: Asking) -> dict[str, str]:
    """What to keep of a person who signs in to their own tenant."""
    by_code = asking.manner is Manner.CODE
    how = _by_code if by_code else _by_browser
    if by_code:  # nobody proves to be the application with a code that is typed elsewhere
        signing = replace(signing, proof=None)
    found = signing.ask(tenant, lambda made: how(made, scope, asking))
    return {REFRESH: _refresh_of(found)}


def _refresh_of(found: Tokens) -> str:
    if found.refresh is None:
        raise AuthFailed(
            "whoever signed in did not permit access while they are away (offline_access), which "
            "takes a refresh token"
        )
    return found.refresh


def by_secret(signing: SignIn, tenant: str, scope: str, asking: Asking) -> dict[str, str]:
    """The application's secret, once it was found to be good."""
    secret = asking.secret("the secret of the application")
    SignIn(signing.http, signing.authority, signing.client_id, secret).by_application(tenant, scope)
    return {SECRET: secret}


def _by_code(made: Any, scope: str, asking: Asking) -> Mapping[str, Any]:
    flow: Mapping[str, Any] = made.initiate_device_flow(scopes=[scope])
    if "user_code" in flow:
        asking.tell(f"open {flow['verification_uri']} and enter the code {flow['user_code']}")
        flow = made.acquire_token_by_device_flow(flow)
    return flow


def _by_browser(made: Any, scope: str, asking: Asking) -> Mapping[str, Any]:
    with _listening() as answer:
        flow = made.initiate_auth_code_flow(
            [scope], redirect_uri=answer.address, response_mode="form_post"
        )
        asking.open(flow["auth_uri"])
        given = answer.wait()
        found: Mapping[str, Any] = made.acquire_token_by_auth_code_flow(flow, given)
        return found


@dataclass
class _Answer:
    """What the browser brings back, on loopback alone. The path is not to be guessed."""

    path: str = field(default_factory=lambda: f"/{secrets.token_urlsafe(16)}")
    port: int = 0
    given: dict[str, str] = field(default_factory=dict)
    came: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}{self.path}"

    def wait(self) -> dict[str, str]:
        if not self.came.wait(PATIENCE):
            raise AuthFailed(f"nobody signed in within {PATIENCE / 60:.0f} minutes")
        return self.given

    def take(self, path: str, form: str) -> bool:
        """Whether this is what is waited for, and good news; the first answer counts."""
        if path != self.path or self.came.is_set():
            return False
        self.given = {name: values[0] for name, values in parse_qs(form).items()}
        self.came.set()
        return "code" in self.given


@contextmanager
def _listening() -> Iterator[_Answer]:
    answer = _Answer()

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            """The code comes in a form: an address would be kept by the browser."""
            size = min(int(self.headers.get("Content-Length") or 0), _LONGEST)
            done = answer.take(self.path, self.rfile.read(size).decode("ascii", "replace"))
            self.send_response(200 if done else 400)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(_DONE if done else _NOT_DONE)

        def log_message(self, *_said: Any) -> None:
            """Nobody asks."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        answer.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield answer
        finally:
            server.shutdown()
            thread.join()
