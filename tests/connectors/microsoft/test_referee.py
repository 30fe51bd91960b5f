"""Microsoft's own library is the referee: the miniature answers nothing that it does not know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests as browser
from kiota_serialization_json.json_parse_node_factory import JsonParseNodeFactory

from syncd.connectors.microsoft import requests
from syncd.connectors.microsoft.people import SELECT
from syncd.connectors.microsoft.tenant import ORGANIZATION
from tests.fakes.https import ca_file
from tests.fakes.microsoft.directory import BUSINESS_BASIC
from tests.fakes.microsoft.signin import CLIENT_ID, CLIENT_SECRET
from tests.fakes.microsoft.world import MicrosoftWorld


@pytest.fixture(scope="module")
def world() -> Iterator[MicrosoftWorld]:
    with MicrosoftWorld().serving() as made:
        home = made.directory.home
        home.address = {"street": "1 Quay Street", "city": "Bristol", "countryLetterCode": "GB"}
        home.buy(BUSINESS_BASIC, 5)
        home.subscribe(BUSINESS_BASIC, 5)
        home.group("Service desk", home.add("Maya Okafor", officeLocation="Bristol"))
        home.assign(next(iter(home.users)), BUSINESS_BASIC)
        home.guest("Gail Guest")
        home.delete(home.add("Soon Gone"))
        made.directory.customer("Harbour and Lane")
        yield made


def answered(world: MicrosoftWorld, url: str, scope: str = "") -> bytes:
    form = {"grant_type": "client_credentials", "client_id": CLIENT_ID}
    form |= {"client_secret": CLIENT_SECRET, "scope": f"{world.graph.root}/.default"}
    authority = f"{world.servers['signin'].root}/{world.directory.home.id}/oauth2/v2.0/token"
    token = browser.post(authority, data=form, verify=ca_file(), timeout=10).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    answer = browser.get(url, headers=headers, verify=ca_file(), timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.content


def strangers(parsed: Any, seen: set[int] | None = None) -> Iterator[str]:
    """What the library found in an answer and knows no name for, in all that it made of it."""
    seen = seen if seen is not None else set()
    if parsed is None or id(parsed) in seen or isinstance(parsed, str | int | float):
        return
    seen.add(id(parsed))
    if isinstance(parsed, list):
        for one in parsed:
            yield from strangers(one, seen)
        return
    yield from getattr(parsed, "additional_data", {})
    for name, value in vars(parsed).items() if hasattr(parsed, "__dict__") else ():
        if name not in ("additional_data", "backing_store"):
            yield from strangers(value, seen)
    store = getattr(parsed, "backing_store", None)
    for name, value in store.enumerate_() if store is not None else ():
        if name == "additional_data":
            yield from value or ()
        else:
            yield from strangers(value, seen)


def answers(world: MicrosoftWorld) -> Iterator[tuple[str, Any]]:
    """Each request that we make, and the class of what it answers."""
    from msgraph.generated.models import (
        company_subscription_collection_response as subscription,
    )
    from msgraph.generated.models import (
        delegated_admin_relationship_collection_response as relationship,
    )
    from msgraph.generated.models import directory_object_collection_response as member
    from msgraph.generated.models import group_collection_response as group
    from msgraph.generated.models import organization_collection_response as organization
    from msgraph.generated.models import subscribed_sku_collection_response as sku
    from msgraph.generated.models import user_collection_response as user
    from msgraph.generated.users.delta import delta_get_response as delta

    root, home = f"{world.graph.root}/v1.0", world.directory.home
    yield requests.organization(root, ORGANIZATION), organization.OrganizationCollectionResponse
    yield requests.users(root, SELECT), delta.DeltaGetResponse
    yield requests.one_user(root), user.UserCollectionResponse
    yield requests.licenses(root), sku.SubscribedSkuCollectionResponse
    yield requests.subscriptions(root), subscription.CompanySubscriptionCollectionResponse
    yield requests.groups(root, "Service desk"), group.GroupCollectionResponse
    (found,) = home.groups
    yield requests.members(root, found), member.DirectoryObjectCollectionResponse
    yield (
        requests.relationships(root),
        relationship.DelegatedAdminRelationshipCollectionResponse,
    )


def test_the_miniature_answers_what_the_library_of_microsoft_knows(world: MicrosoftWorld) -> None:
    asked = 0
    for url, model in answers(world):
        body = answered(world, url)
        node = JsonParseNodeFactory().get_root_parse_node("application/json", body)
        parsed = node.get_object_value(model)
        assert len(parsed.value) == len(json.loads(body)["value"]) > 0, url
        strange = {name for name in strangers(parsed) if not name.startswith("@")}
        assert not strange, f"{url}: {strange}"
        asked += 1
    assert asked == 8


def test_the_referee_sees_what_is_strange(world: MicrosoftWorld) -> None:
    from msgraph.generated.users.delta.delta_get_response import DeltaGetResponse

    body = b'{"value": [{"id": "a", "displayNane": "x"}]}'
    node = JsonParseNodeFactory().get_root_parse_node("application/json", body)
    assert "displayNane" in set(strangers(node.get_object_value(DeltaGetResponse)))  # type: ignore[type-var]
