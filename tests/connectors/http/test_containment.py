"""A credential goes to the endpoint that the connection names, and never anywhere else."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from syncd.connectors.http.client import Api, Http, Patience
from syncd.connectors.http.endpoint import Endpoint
from syncd.connectors.http.sockets import is_public
from syncd.errors import ConfigError, ProviderError, Refused, SyncdError
from syncd.settings import Network
from tests.fakes.https import Asked, Reply, Server, ca_file, serving

TOKEN = "canary-bearer-7f31"


class Fixed:
    """Credentials that never change."""

    def token(self, refused: str | None = None) -> str:
        return TOKEN


@pytest.fixture
def evil() -> Iterator[Server]:
    """Whoever wants to have the token. Its certificate is trusted, which makes it no easier."""
    names = ["localhost", "127.0.0.1", "evil.example", "*.evil.example", "graph.example"]
    with serving(lambda asked: Reply(), *names) as server:
        yield server


def quick(network: Network) -> Http:
    return Http(network, Patience(2, 2, 5, 2, 0.01, 0.02))


def api(server: Server, *more_private: str, **network: Any) -> Api:
    private = (f"localhost:{server.port}", *more_private)
    http = quick(Network(private=private, ca_file=ca_file(), **network))
    return Api(http, Endpoint.of(f"{server.root}/v1.0"), Fixed())


LINKS = [
    "https://localhost:{evil}/v1.0/users",  # another port
    "https://127.0.0.1:{evil}/v1.0/users",
    "https://127.0.0.1:{good}/v1.0/users",  # the same machine by another name
    "http://localhost:{good}/v1.0/users",  # another scheme
    "HTTP://localhost:{good}/v1.0/users",
    "ftp://localhost:{good}/v1.0/users",
    "file:///etc/passwd",
    "gopher://localhost:{evil}/_GET",
    "//localhost:{evil}/v1.0/users",
    "///localhost:{evil}/v1.0/users",
    "/v1.0/users",  # Graph never gives one
    "\\\\localhost:{evil}\\users",
    "https:/localhost:{evil}/users",
    "https:localhost:{evil}/users",
    "https://localhost:{good}@localhost:{evil}/users",
    "https://localhost:{good}@evil.example:{evil}/users",
    "https://localhost:{good}:x@evil.example:{evil}/users",
    "https://user:pass@localhost:{good}/users",
    "https://@localhost:{good}/users",
    "https://localhost:{good}.evil.example:{evil}/users",
    "https://localhost.evil.example:{evil}/users",
    "https://evil.example:{evil}/https://localhost:{good}/users",
    "https://evil.example:{evil}/?x=https://localhost:{good}/",
    "https://evil.example:{evil}/#https://localhost:{good}/",
    "https://evil.example:{evil}#@localhost:{good}/",
    "https://evil.example:{evil}\\@localhost:{good}/",
    "https://localhost:{good}\\@evil.example:{evil}/",
    "https://localhost:{good}#@evil.example:{evil}/",
    "https://localhost:{good}?@evil.example:{evil}/",
    "https://localhost:{good}//evil.example:{evil}/",
    "https://localhost:{good}/\\evil.example:{evil}/",
    "https://localhost:{good}\t.evil.example:{evil}/",
    "https://localhost:{good}/a\r\nHost: evil.example",
    "https://localhost:{good}/a\x00b",
    "https://localhost:{good}/a#b",
    " https://localhost:{good}/users",
    "https://localhost :{good}/users",
    "https://localhost.:{good}/users",
    "https://localh\u043est:{good}/users",  # a Cyrillic letter
    "https://localhost\u3002evil.example:{evil}/users",  # a full stop that some parsers take
    "https://loc\u00adalhost:{good}/users",
    "https://\uff4cocalhost:{good}/users",
    "https://localhost%2eevil.example:{evil}/users",
    "https://localhost:0{good}/users",
    "https://localhost:{good}0/users",
    "https://localhost/users",
    "https://[::1]:{good}/users",
    "https://[::ffff:127.0.0.1]:{good}/users",
    "https://0x7f.1:{good}/users",
    "https://2130706433:{good}/users",
    "https://127.1:{good}/users",
    "javascript:alert(1)",
    "",
    "https://",
    "https://localhost:{good}",
]


@pytest.mark.parametrize("link", LINKS)
def test_a_link_that_leads_elsewhere_is_not_followed(link: str, evil: Server) -> None:
    with serving(lambda asked: Reply()) as good:
        there = link.replace("{good}", str(good.port)).replace("{evil}", str(evil.port))
        with pytest.raises(Refused) as refused:
            api(good, f"localhost:{evil.port}", f"127.0.0.1:{evil.port}").follow(there)
        assert good.asked == []
    assert evil.asked == []
    assert TOKEN not in str(refused.value)
    assert "evil" not in str(refused.value)  # what an answer says is not repeated


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "https://localhost:{evil}/users",
        "http://localhost:{good}/users",
        "//localhost:{evil}/",
        "/v1.0/login",
    ],
)
def test_a_redirect_is_not_followed(status: int, location: str, evil: Server) -> None:
    def redirect(asked: Asked) -> Reply:
        there = location.replace("{good}", str(good.port)).replace("{evil}", str(evil.port))
        return Reply(status, b"", {"Location": there})

    with serving(redirect) as good:
        with pytest.raises(Refused, match="redirects"):
            api(good, f"localhost:{evil.port}").get("users")
        assert len(good.asked) == 1
    assert evil.asked == []


def test_the_endpoint_gets_the_token_and_what_it_says_of_itself_is_followed() -> None:
    with serving(lambda asked: Reply()) as good:
        client = api(good)
        client.get("users/delta?$select=id")
        client.follow(f"https://LOCALHOST:{good.port}/v1.0/users?$skiptoken=a+b%2F%3d|{{x}}")
        assert [one.target for one in good.asked] == [
            "/v1.0/users/delta?$select=id",
            "/v1.0/users?$skiptoken=a+b%2F%3D%7C%7Bx%7D",
        ]
        assert {one.headers["Authorization"] for one in good.asked} == {f"Bearer {TOKEN}"}


def test_proxies_and_passwords_of_the_environment_mean_nothing(
    evil: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://localhost:{evil.port}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/dev/null")
    monkeypatch.setenv("CURL_CA_BUNDLE", "/dev/null")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login me password stolen\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(lambda asked: Reply()) as good:
        api(good).get("users")
        assert good.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert evil.asked == []


def test_a_name_that_leads_into_a_private_network_is_not_connected_to(evil: Server) -> None:
    http = quick(Network(ca_file=ca_file()))
    client = Api(http, Endpoint.of(f"https://localhost:{evil.port}"), Fixed())
    with pytest.raises(ConfigError, match=r'network\.private = \["localhost:\d+"\]'):
        client.get("users")
    assert evil.asked == []


def test_a_name_that_is_rebound_between_two_requests_is_looked_at_again(
    evil: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([("93.184.215.14", evil.port), ("127.0.0.1", evil.port)])

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", next(answers))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    opened: list[Any] = []

    def connect(self: socket.socket, address: Any) -> None:
        opened.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    client = Api(
        Http(Network(ca_file=ca_file()), Patience(2, 2, 5, 1)),
        Endpoint.of(f"https://graph.example:{evil.port}"),
        Fixed(),
    )
    with pytest.raises(SyncdError):
        client.get("users")
    with pytest.raises(ConfigError, match="private network"):
        client.get("users")
    assert opened == [("93.184.215.14", evil.port)]
    assert evil.asked == []


def test_one_private_address_among_public_ones_is_enough(
    evil: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [("93.184.215.14", evil.port), ("127.0.0.1", evil.port)]
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each) for each in found]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
    client = Api(
        quick(Network(ca_file=ca_file())),
        Endpoint.of(f"https://graph.example:{evil.port}"),
        Fixed(),
    )
    with pytest.raises(ConfigError, match="private network"):
        client.get("users")
    assert evil.asked == []


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fd00::1"),
        *("::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
        *("2002:7f00:1::", "ff02::1", "::127.0.0.1"),
    ],
)
def test_an_address_of_no_provider_is_private(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["20.190.160.1", "2603:1006:2000::1", "::ffff:20.190.160.1"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


def test_a_certificate_that_is_not_trusted_is_a_matter_of_configuration() -> None:
    with serving(lambda asked: Reply(), trusted=False) as server:
        with pytest.raises(ConfigError, match=r"certificate of localhost.*network\.ca_file"):
            api(server).get("users")
        assert server.asked == []


def test_a_certificate_of_another_name_is_refused() -> None:
    with serving(lambda asked: Reply(), "other.example") as server:
        with pytest.raises(ConfigError, match="certificate of localhost"):
            api(server).get("users")
        assert server.asked == []


@pytest.mark.parametrize(
    "base",
    [
        "http://graph.example/v1.0",
        "https://user@graph.example",
        "https://graph.example:99999",
        "https://graph.example/v1.0?x=1",
        "https://graph.example/#x",
        "https://graph .example",
        "https://gr\u00e4ph.example",
        "https://-graph.example",
        "https://0x7f.1",
        "https://127.1",
        "file:///etc/passwd",
        "graph.example",
        "",
    ],
)
def test_a_base_address_that_could_mean_two_things_is_refused(base: str) -> None:
    with pytest.raises(ValueError, match=r"write https|not the name|not a port"):
        Endpoint.of(base)


def test_an_error_never_tells_the_token() -> None:
    with ExitStack() as stack:
        server = stack.enter_context(serving(lambda asked: Reply(500, TOKEN.encode())))
        with pytest.raises(ProviderError) as error:
            api(server).get("users")
        seen: BaseException | None = error.value
        while seen is not None:
            assert TOKEN not in f"{seen!r}{seen}"
            seen = seen.__context__ if not seen.__suppress_context__ else seen.__cause__
