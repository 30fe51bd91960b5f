"""Tokens come from the configured authority; why one does not come is told in words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from syncd.connectors.http.client import Http, Patience
from syncd.connectors.http.endpoint import Endpoint
from syncd.connectors.microsoft.signin import Bearer, Certificate, SignIn, Tokens
from syncd.errors import (
    AccessLost,
    AuthFailed,
    BadResponse,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
)
from tests.fakes.https import Reply
from tests.fakes.microsoft.signin import CLIENT_ID, CLIENT_SECRET, GRAPH
from tests.fakes.microsoft.world import MicrosoftWorld

SCOPE = f"{GRAPH}/.default"
QUICK = Patience(1, 1, 3, 3, 0.001, 0.002)


@pytest.fixture
def world() -> Iterator[MicrosoftWorld]:
    with MicrosoftWorld().serving() as made:
        yield made


def sign_in(world: MicrosoftWorld, proof: str | Certificate = CLIENT_SECRET) -> SignIn:
    authority = Endpoint.of(world.servers["signin"].root)
    return SignIn(Http(world.network(), QUICK), authority, CLIENT_ID, proof)


def test_an_application_gets_a_token_by_its_secret(world: MicrosoftWorld) -> None:
    home = world.directory.home
    found = sign_in(world).by_application(home.id, SCOPE)
    token = world.service.issued[found.access]
    assert (token.tenant, token.audience, token.delegated) == (home.id, GRAPH, False)
    assert found.seconds == 3599
    assert found.refresh is None


def test_an_application_gets_a_token_by_its_certificate(world: MicrosoftWorld) -> None:
    key, certificate = _self_signed()
    found = sign_in(world, Certificate(key, certificate)).by_application(
        world.directory.home.id, SCOPE
    )
    assert found.access in world.service.issued
    body = world.asked("signin")[0].body
    assert b"client_assertion=" in body
    assert b"client_secret" not in body


def _self_signed() -> tuple[str, str]:
    import trustme

    made = trustme.CA().issue_cert("syncd.example", key_type=trustme.KeyType.RSA)
    return (
        made.private_key_pem.bytes().decode(),
        made.cert_chain_pems[0].bytes().decode(),
    )


def test_a_refresh_token_gives_tokens_in_its_own_tenant_and_in_those_of_customers(
    world: MicrosoftWorld,
) -> None:
    harbour = world.directory.customer("Harbour and Lane")
    granted = world.service.first_grant()
    asking = sign_in(world)
    at_home = asking.by_refresh(world.directory.home.id, SCOPE, granted)
    there = asking.by_refresh(harbour.id, SCOPE, granted)
    assert world.service.issued[there.access].tenant == harbour.id
    assert world.service.issued[there.access].delegated
    assert at_home.refresh not in (None, granted)


def test_one_request_is_made_for_a_token_and_no_other(world: MicrosoftWorld) -> None:
    sign_in(world).by_application(world.directory.home.id, SCOPE)
    targets = [one.target for one in world.asked("signin")]
    assert targets == [f"/{world.directory.home.id}/oauth2/v2.0/token"]


def test_a_delegated_token_is_never_given_for_that_of_the_application(
    world: MicrosoftWorld,
) -> None:
    home, asking = world.directory.home.id, sign_in(world)
    asking.by_refresh(home, SCOPE, world.service.first_grant())
    found = asking.by_application(home, SCOPE)
    assert not world.service.issued[found.access].delegated


REFUSALS = [
    ("invalid_grant", 65001, AccessLost, "consent_missing"),
    ("unauthorized_client", 700016, AccessLost, "consent_missing"),
    ("invalid_request", 90002, AccessLost, "tenant_gone"),
    ("invalid_grant", 50020, AccessLost, "gdap_missing"),
    ("invalid_grant", 700082, AuthFailed, "grant_expired"),
    ("invalid_grant", 50173, AuthFailed, "grant_revoked"),
    ("interaction_required", 50076, AuthFailed, "mfa_needed"),
    ("interaction_required", 53003, AuthFailed, "conditional_access"),
    ("invalid_client", 7000222, AuthFailed, "secret_expired"),
    ("invalid_client", 7000215, AuthFailed, "secret_wrong"),
    ("invalid_grant", 50057, AuthFailed, "account_unusable"),
    ("temporarily_unavailable", 90033, ProviderUnavailable, ""),
    ("invalid_grant", 99999, AuthFailed, "grant_revoked"),
    ("something_new", 99999, AuthFailed, "refused"),
]


@pytest.mark.parametrize(("error", "code", "kind", "condition"), REFUSALS)
def test_a_refusal_is_told_by_its_code(
    error: str, code: int, kind: type[ProviderError], condition: str, world: MicrosoftWorld
) -> None:
    world.service.refused[""] = (error, code, "")
    with pytest.raises(kind) as refused:
        sign_in(world).by_refresh(world.directory.home.id, SCOPE, world.service.first_grant())
    assert type(refused.value) is kind
    assert refused.value.condition == condition
    assert f"AADSTS{code}" in str(refused.value)
    assert "canary" not in str(refused.value)


def test_a_refusal_that_was_mended_is_not_repeated(world: MicrosoftWorld) -> None:
    asking, home = sign_in(world), world.directory.home.id
    world.service.secret = "another"
    with pytest.raises(AuthFailed):
        asking.by_application(home, SCOPE)
    world.service.secret = CLIENT_SECRET
    assert asking.by_application(home, SCOPE).access


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(503), ProviderUnavailable),
        (Reply(429, b"{}", {"Retry-After": "9"}), RateLimited),
        (Reply(200, b"<html>", {"Content-Type": "text/html"}), BadResponse),
        (Reply(200, b"[]"), BadResponse),
        (Reply(200, b"{}"), BadResponse),
        (Reply(200, b'{"access_token": 5, "expires_in": 9}'), BadResponse),
        (Reply(200, b'{"access_token": "x", "expires_in": "soon"}'), BadResponse),
        (Reply(404, b"{}"), BadResponse),
    ],
)
def test_an_answer_that_is_no_token_is_none(
    reply: Reply, kind: type[ProviderError], world: MicrosoftWorld
) -> None:
    world.signin_faults.on("token", reply)
    with pytest.raises(kind) as error:
        sign_in(world).by_application(world.directory.home.id, SCOPE)
    assert type(error.value) is kind


def test_a_token_is_used_until_shortly_before_its_end() -> None:
    made: list[Tokens] = []
    now = [0.0]

    def acquire() -> Tokens:
        made.append(Tokens(f"token-{len(made) + 1}", 3600))
        return made[-1]

    bearer = Bearer(acquire, lambda: now[0])
    assert bearer.token() == "token-1"
    now[0] = 3479
    assert bearer.token() == "token-1"
    now[0] = 3481
    assert bearer.token() == "token-2"


def test_a_refused_token_is_renewed_once_by_however_many_threads() -> None:
    made: list[Tokens] = []

    def acquire() -> Tokens:
        made.append(Tokens(f"token-{len(made) + 1}", 3600))
        return made[-1]

    bearer = Bearer(acquire)
    first = bearer.token()
    assert [bearer.token(first) for _ in range(3)] == ["token-2"] * 3
    assert "token-2" not in repr(bearer)
