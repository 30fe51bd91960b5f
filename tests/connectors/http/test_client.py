"""Http tries again what may pass, and never waits, reads or believes more than it should."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import pytest

from syncd.connectors.http.client import Api, Http, Patience
from syncd.connectors.http.endpoint import Endpoint
from syncd.errors import (
    AuthFailed,
    BadResponse,
    PermissionDenied,
    ProviderUnavailable,
    RateLimited,
)
from syncd.settings import Network
from tests.fakes.https import Answering, Asked, Reply, Server, ca_file, serving

QUICK = Patience(1, 1, 3, 4, 0.001, 0.002)


class Renewing:
    """Credentials that are numbered: token-1, and the next one when that is refused."""

    def __init__(self) -> None:
        self.number = 1

    def token(self, refused: str | None = None) -> str:
        if refused == f"token-{self.number}":
            self.number += 1
        return f"token-{self.number}"


def api(server: Server, patience: Patience = QUICK, **options: Any) -> Api:
    network = Network(private=(f"localhost:{server.port}",), ca_file=ca_file())
    http = Http(network, patience, **options)
    return Api(http, Endpoint.of(server.root), Renewing())


def in_turn(*replies: Any) -> Answering:
    """Give these replies one after the other, the last one for ever."""
    waiting = list(replies)
    return lambda asked: waiting.pop(0) if len(waiting) > 1 else waiting[0]


def whole(body: bytes, **headers: str) -> Reply:
    return Reply(200, body, {"Content-Type": "application/json", **headers})


def reset(connection: Any) -> None:
    connection.close()


GOOD = whole(b'{"value": [1]}')
TRANSIENT: dict[str, Any] = {
    "500": Reply(500),
    "502": Reply(502, b"<html>", {"Content-Type": "text/html"}),
    "503": Reply(503),
    "504": Reply(504),
    "408": Reply(408),
    "reset": reset,
    "nothing": Reply(raw=b""),
    "half a body": Reply(raw=b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"value": ['),
    "half a chunk": Reply(raw=b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{"va'),
    "not HTTP": Reply(raw=b"SSH-2.0-OpenSSH_9.7\r\n"),
    "not gzip": whole(b"plain", **{"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("fault", TRANSIENT)
def test_what_may_pass_is_tried_again_until_it_has(fault: str) -> None:
    with serving(in_turn(TRANSIENT[fault], TRANSIENT[fault], GOOD)) as server:
        assert api(server).get("users").json() == {"value": [1]}
        assert len(server.asked) == 3


@pytest.mark.parametrize("fault", TRANSIENT)
def test_what_does_not_pass_is_given_up_after_four_tries(fault: str) -> None:
    with serving(in_turn(TRANSIENT[fault])) as server:
        with pytest.raises(ProviderUnavailable, match=r"localhost:\d+ \w+"):
            api(server).get("users")
        assert len(server.asked) == 4


def test_a_host_that_is_not_there_is_unavailable() -> None:
    with serving(in_turn(GOOD)) as server:
        client = api(server)
    with pytest.raises(ProviderUnavailable, match="refuses connections"):
        client.get("users")


def test_a_name_that_is_not_there_is_unavailable() -> None:
    client = Api(Http(Network(), QUICK), Endpoint.of("https://nowhere.invalid"), Renewing())
    with pytest.raises(ProviderUnavailable, match="no such name"):
        client.get("users")


def drip(connection: Any) -> None:
    """A byte now and then, for ever: never silent for long."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    for at in range(len(head)):
        connection.send(head[at : at + 1])
        time.sleep(0.05)
    while True:
        connection.send(b" ")
        time.sleep(0.05)


def test_an_answer_that_only_drips_ends_at_the_deadline() -> None:
    with serving(in_turn(drip)) as server:
        client = api(server, QUICK._replace(whole=1, tries=1))
        begun = time.monotonic()
        with pytest.raises(ProviderUnavailable, match="in time"):
            client.get("users")
        assert time.monotonic() - begun < 3


def test_a_silent_answer_ends_sooner() -> None:
    with serving(in_turn(lambda connection: time.sleep(3))) as server:
        client = api(server, QUICK._replace(silence=0.3, whole=30, tries=1))
        begun = time.monotonic()
        with pytest.raises(ProviderUnavailable, match="in time"):
            client.get("users")
        assert time.monotonic() - begun < 2


def test_a_body_without_end_is_refused_within_the_limit() -> None:
    def pour(connection: Any) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while True:
            connection.sendall(b" " * 65536)

    with serving(in_turn(pour)) as server:
        with pytest.raises(BadResponse, match="more than 2 MB at once"):
            api(server, most=2 << 20).get("users")
        assert len(server.asked) == 1


def test_a_small_body_that_unpacks_to_a_huge_one_is_refused() -> None:
    bomb = gzip.compress(b" " * (64 << 20))
    reply = whole(bomb, **{"Content-Encoding": "gzip"})
    refused = pytest.raises(BadResponse, match="more than 1 MB at once")
    with serving(in_turn(reply)) as server, refused:
        api(server, most=1 << 20).get("users")


def test_a_compressed_body_is_read() -> None:
    packed = whole(gzip.compress(b'{"value": []}'), **{"Content-Encoding": "gzip"})
    with serving(in_turn(packed)) as server:
        assert api(server).get("users").json() == {"value": []}
        assert server.asked[0].headers["Accept-Encoding"] == "gzip"


def test_a_byte_order_mark_is_no_part_of_json() -> None:
    with serving(in_turn(whole(b'\xef\xbb\xbf{"a": 1}'))) as server:
        assert api(server).get("users").json() == {"a": 1}


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"<html>Sign in</html>", {"Content-Type": "text/html; charset=utf-8"}),
        whole(b"<html>Sign in</html>"),
        whole(b'{"value": ['),
        whole(b'{"value": "\xff"}'),
        whole(b""),
        whole(b"[" * 100_000),
        Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Le"),
    ],
)
def test_an_answer_that_is_not_json_is_said_to_be_none(reply: Reply) -> None:
    with serving(in_turn(reply)) as server:
        answer = api(server).get("users")
        with pytest.raises(BadResponse) as error:
            answer.json()
        assert "Sign in" not in str(error.value)


def test_a_token_that_expires_is_renewed_once_and_the_call_repeated() -> None:
    def answer(asked: Asked) -> Reply:
        return GOOD if asked.headers["Authorization"] == "Bearer token-2" else Reply(401)

    with serving(answer) as server:
        client = api(server)
        client.get("users")
        client.get("users")
        sent = [one.headers["Authorization"] for one in server.asked]
        assert sent == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]


def test_a_renewed_token_that_is_refused_as_well_ends_it() -> None:
    with serving(in_turn(Reply(401))) as server:
        with pytest.raises(AuthFailed, match=r"does not accept the credentials \(401\)"):
            api(server).get("users")
        assert len(server.asked) == 2


def test_a_missing_permission_is_not_tried_again() -> None:
    with serving(in_turn(Reply(403))) as server:
        with pytest.raises(PermissionDenied):
            api(server).get("users")
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "7.5"}, 7.5),
        ({"Retry-After": "0"}, 1),
        ({"Retry-After": "-5"}, 1),
        ({"Retry-After": "1e9"}, 86_400),
        ({"Retry-After": "inf"}, 60),
        ({"Retry-After": "nan"}, 60),
        ({"Retry-After": "soon"}, 60),
        ({}, 60),
        (
            {
                "Date": "Mon, 23 Nov 2026 10:00:00 GMT",
                "Retry-After": "Mon, 23 Nov 2026 10:02:00 GMT",
            },
            120,
        ),
        (
            {
                "Date": "Mon, 23 Nov 2026 10:00:00 GMT",
                "Retry-After": "Mon, 23 Nov 2026 09:00:00 -0000",
            },
            1,
        ),
    ],
)
def test_a_throttled_call_says_for_how_long_and_is_not_tried_again(
    headers: dict[str, str], seconds: float
) -> None:
    with serving(in_turn(Reply(429, b"{}", headers))) as server:
        with pytest.raises(RateLimited) as limited:
            api(server).get("users")
        assert limited.value.retry_after == seconds
        assert len(server.asked) == 1


def test_a_provider_that_is_away_and_says_for_how_long_throttles() -> None:
    with serving(in_turn(Reply(503, b"", {"Retry-After": "30"}))) as server:
        with pytest.raises(RateLimited) as limited:
            api(server).get("users")
        assert limited.value.retry_after == 30


def test_connections_are_kept() -> None:
    with serving(in_turn(GOOD)) as server:
        client = api(server)
        for _ in range(5):
            assert json.loads(client.get("users").bare()) == {"value": [1]}
        assert server.connections == 1
