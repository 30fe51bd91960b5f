"""Customers are listed to the last page, whatever Partner Center's links look like."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from syncd.connectors.http.client import Api, Http, Patience
from syncd.connectors.http.endpoint import Endpoint
from syncd.connectors.microsoft import partner_center
from syncd.connectors.microsoft.signin import Bearer, SignIn
from syncd.errors import AccessLost, BadResponse, PermissionDenied, ProviderError
from tests.fakes.https import Asked, Reply
from tests.fakes.microsoft.signin import CLIENT_ID, CLIENT_SECRET
from tests.fakes.microsoft.world import MicrosoftWorld


@pytest.fixture
def world() -> Iterator[MicrosoftWorld]:
    with MicrosoftWorld().serving() as made:
        yield made


@pytest.fixture
def api(world: MicrosoftWorld) -> Api:
    http = Http(world.network(), Patience(1, 1, 3, 2, 0.001, 0.002))
    root = world.servers["partner"].root
    signing = SignIn(http, Endpoint.of(world.servers["signin"].root), CLIENT_ID, CLIENT_SECRET)
    home = world.directory.home.id
    bearer = Bearer(lambda: signing.by_application(home, f"{root}/.default"))
    endpoint = Endpoint.of(f"{root}/v1")
    return Api(http, endpoint, bearer, partner_center.headers, partner_center.explain)


@pytest.mark.parametrize("count", [0, 1, 40, 41, 100])
def test_all_customers_are_listed(count: int, world: MicrosoftWorld, api: Api) -> None:
    made = [world.directory.customer(f"Customer {number}") for number in range(count)]
    found = list(partner_center.customers(api))
    assert [(one.tenant, one.name) for one in found] == [(one.id, one.name) for one in made]


def test_every_call_has_an_id_of_its_own(world: MicrosoftWorld, api: Api) -> None:
    for number in range(50):
        world.directory.customer(f"Customer {number}")
    list(partner_center.customers(api))
    ids = [one.headers["MS-RequestId"] for one in world.asked("partner")]
    assert len({*ids}) == len(ids) == 2


def test_a_second_question_mark_in_a_link_is_read_as_it_is_meant(
    world: MicrosoftWorld, api: Api
) -> None:
    for number in range(50):
        world.directory.customer(f"Customer {number}")

    def spoil(_asked: Asked, reply: Reply) -> Reply:
        return Reply(200, reply.body.replace(b"&seekOperation", b"?seekOperation"))

    world.partner_faults.altering("customers", spoil)
    assert len(list(partner_center.customers(api))) == 50


def alter(world: MicrosoftWorld, **changed: Any) -> None:
    def change(_asked: Asked, reply: Reply) -> Reply:
        told = json.loads(reply.body.decode("utf-8-sig"))
        return Reply(200, json.dumps({**told, **changed}).encode())

    world.partner_faults.altering("customers", change)


def test_a_list_that_leads_back_to_its_beginning_is_no_list(
    world: MicrosoftWorld, api: Api
) -> None:
    again = {"uri": "/customers?size=40&seekOperation=Next", "headers": []}
    page = {"items": [], "links": {"next": again}}
    world.partner_faults.on("customers", Reply(200, json.dumps(page).encode()))
    with pytest.raises(BadResponse, match="loop"):
        list(partner_center.customers(api))


@pytest.mark.parametrize(
    "uri", ["https://evil.example/v1/customers", "//evil.example/v1/customers", "http://x/"]
)
def test_a_link_to_elsewhere_is_not_followed(uri: str, world: MicrosoftWorld, api: Api) -> None:
    alter(world, links={"next": {"uri": uri, "headers": []}})
    with pytest.raises(BadResponse, match="leads elsewhere"):
        list(partner_center.customers(api))
    assert len(world.asked("partner")) == 1


@pytest.mark.parametrize(
    "items", [None, {}, [{"id": 5}], [{"id": ""}], [{}], ["x"], [{"id": "a", "companyProfile": 5}]]
)
def test_a_list_with_something_unreadable_is_not_believed(
    items: object, world: MicrosoftWorld, api: Api
) -> None:
    alter(world, items=items)
    with pytest.raises(BadResponse):
        list(partner_center.customers(api))


@pytest.mark.parametrize(
    ("status", "body", "kind", "condition"),
    [
        (403, {"code": 20002, "description": "x"}, AccessLost, "relationship_ended"),
        (404, {"code": "60003"}, AccessLost, "tenant_gone"),
        (403, {"code": 2032}, PermissionDenied, "role_missing"),
        (403, "nothing", PermissionDenied, "role_missing"),
        (400, {"code": 900124}, BadResponse, ""),
    ],
)
def test_an_error_is_told_by_its_code(
    status: int,
    body: object,
    kind: type[ProviderError],
    condition: str,
    world: MicrosoftWorld,
    api: Api,
) -> None:
    world.partner_faults.on("customers", Reply(status, json.dumps(body).encode()))
    with pytest.raises(kind) as error:
        list(partner_center.customers(api))
    assert error.value.condition == condition
