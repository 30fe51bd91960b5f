"""Http: every byte between a connector and its provider.

    http = Http(network)
    graph = Api(http, Endpoint.of("https://graph.example/v1.0"), auth=grant)
    answer = graph.get("users/delta")

It owns timeouts and the deadline of the whole request, retries of what may pass, the limit of a
body, and where credentials go: to the endpoint of the Api and nowhere else. No redirect is
followed; `.netrc` and proxies of the environment mean nothing here.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import requests
import tenacity
import urllib3
from urllib3.exceptions import HTTPError, NameResolutionError

from syncd.connectors.http.answers import Answer, failure
from syncd.connectors.http.endpoint import Endpoint
from syncd.connectors.http.sockets import Adapter, PrivateAddress, deadline
from syncd.errors import BadResponse, ConfigError, ProviderError, ProviderUnavailable
from syncd.settings import Network

_CHUNK = 1 << 16


class Patience(NamedTuple):
    """How long a request may take, in seconds, and how often and how soon it is tried again."""

    connect: float = 10
    silence: float = 30
    whole: float = 120
    tries: int = 4
    first_pause: float = 0.5
    longest_pause: float = 8


PATIENT = Patience()
LONGEST_BODY = 64 << 20
"""Bytes of one answer, unpacked."""


class Auth(Protocol):
    """Where an Api gets its bearer tokens."""

    def token(self, refused: str | None = None, /) -> str:
        """One to send; `refused`: the one that was sent and not accepted, so that it is renewed."""


class Http:
    """Sends requests. One for a connector; its connections are kept, and threads may share it."""

    def __init__(
        self, network: Network, patience: Patience | None = None, most: int | None = None
    ) -> None:
        """`most`: bytes of one body, decompressed."""
        self._adapter = Adapter(network.private, network.ca_file)
        proxy = network.proxy.get_secret_value() if network.proxy else None
        self._proxies = {"https": proxy} if proxy else {}
        self._patience = patience = patience or PATIENT
        self._most = most or LONGEST_BODY
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(ProviderUnavailable),
            stop=tenacity.stop_after_attempt(patience.tries),
            wait=tenacity.wait_random_exponential(patience.first_pause, patience.longest_pause),
            reraise=True,
        )

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer, whatever its status is, unless the provider cannot be reached or answer at
        present: that is tried again, and ProviderUnavailable in the end. `url` was checked by its
        Endpoint.
        """
        prepared = requests.Request(method, url, {**_ALWAYS, **headers}, data=form).prepare()
        prepared.url = url  # as it was checked, letter by letter
        return self._retrying(self._once, prepared)

    def _once(self, request: requests.PreparedRequest) -> Answer:
        host = str(request.url).split("/")[2]
        with _explained(host), deadline(self._patience.whole):
            response = self._adapter.send(
                request,
                stream=True,
                timeout=(self._patience.connect, self._patience.silence),
                proxies=self._proxies,
            )
            try:
                body = self._body(host, response.raw)
            finally:
                response.close()
        answer = Answer(host, response.status_code, response.headers, body)
        found = failure(answer)
        if isinstance(found, ProviderUnavailable):
            raise found
        return answer

    def _body(self, host: str, raw: urllib3.BaseHTTPResponse) -> bytes:
        parts, size = [], 0
        while part := raw.read(_CHUNK, decode_content=True):
            size += len(part)
            if size > self._most:
                raise BadResponse(
                    f"{host} answered with more than {self._most >> 20} MB at once; nothing of it "
                    "was used"
                )
            parts.append(part)
        return b"".join(parts)


_ALWAYS = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "syncd"}


@contextmanager
def _explained(host: str) -> Iterator[None]:
    """What the libraries raise, as what the engine is to do; never with a header or a URL."""
    try:
        yield
    except (requests.RequestException, HTTPError, OSError) as error:
        raise _explanation(host, error) from None


def _explanation(host: str, error: BaseException) -> Exception:
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, PrivateAddress):
            return ConfigError(cause.said)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ConfigError(
                f"the certificate of {host} is not trusted: {cause.verify_message}; if your "
                "network inspects what is sent, name its certificate as network.ca_file"
            )
    for kind, sentence in _UNREACHABLE:  # the most telling first: some are kinds of others
        if any(isinstance(cause, kind) for cause in causes):
            return ProviderUnavailable(f"{host} {sentence}")
    return ProviderUnavailable(f"{host} broke off before its answer was complete")


_UNREACHABLE: tuple[tuple[type[BaseException], str], ...] = (
    (NameResolutionError, "cannot be found: no such name (DNS)"),
    (requests.exceptions.ProxyError, "cannot be reached by the configured proxy"),
    (ConnectionRefusedError, "cannot be reached: it refuses connections"),
    (TimeoutError, "did not answer in time"),
    (urllib3.exceptions.NewConnectionError, "cannot be reached"),
    (urllib3.exceptions.TimeoutError, "did not answer in time"),
    (urllib3.exceptions.DecodeError, "answered with bytes that cannot be decompressed"),
    (ssl.SSLError, "did not agree on an encrypted connection"),
)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that led to it, however its library wraps them."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [getattr(one, "reason", None), one.__cause__, one.__context__, *one.args]


Explain = Callable[[Answer], "ProviderError | None"]


def _nothing_particular(_answer: Answer) -> ProviderError | None:
    return None


@dataclass(frozen=True, slots=True)
class Api:
    """One endpoint and the credentials that go there. `explain`: what this provider means by an
    answer, where that is more particular than its status.
    """

    http: Http
    endpoint: Endpoint
    auth: Auth
    headers: Callable[[], Mapping[str, str]] = dict
    explain: Explain = _nothing_particular

    def get(self, target: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET a path below the endpoint."""
        return self.follow(self.endpoint.url(target), headers)

    def follow(self, link: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET a whole URL that the provider gave; Refused if it leads elsewhere."""
        url = self.endpoint.checked(link)
        answer, token = self._ask(url, headers, self.auth.token())
        if answer.status == 401:
            answer, _ = self._ask(url, headers, self.auth.token(token))
        error = self.explain(answer) or failure(answer)
        if error is not None:
            raise error
        return answer

    def _ask(self, url: str, headers: Mapping[str, str] | None, token: str) -> tuple[Answer, str]:
        mine: dict[str, Any] = {"Authorization": f"Bearer {token}", **self.headers()}
        return self.http.send("GET", url, {**mine, **(headers or {})}), token
