"""What is asked of Graph, as Microsoft's own library builds it: paths and parameters.

The library is asked for nothing else: the bytes travel through our one door, and are read by our
own records. Its parts are imported when a request is first built.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

_WHOLE_PAGE = 999
"""As many items as Graph gives at once."""


def _target(builder: Any, root: str, query: Any = None, **path: str) -> str:
    """The URL of a GET, below `root`."""
    from kiota_abstractions.base_request_configuration import RequestConfiguration

    adapter = SimpleNamespace(base_url=root)
    made = builder(adapter, {"baseurl": root, **path})
    info = made.to_get_request_information(RequestConfiguration(query_parameters=query))
    url: str = info.url
    return url


@cache
def organization(root: str, select: Sequence[str]) -> str:
    """The tenant itself."""
    from msgraph.generated.organization.organization_request_builder import (
        OrganizationRequestBuilder as Builder,
    )

    query = Builder.OrganizationRequestBuilderGetQueryParameters(select=[*select])
    return _target(Builder, root, query)


@cache
def users(root: str, select: Sequence[str]) -> str:
    """The first round of all users, and of later changes."""
    from msgraph.generated.users.delta.delta_request_builder import DeltaRequestBuilder as Builder

    query = Builder.DeltaRequestBuilderGetQueryParameters(select=[*select])
    return _target(Builder, root, query)


@cache
def one_user(root: str) -> str:
    """One user, whoever it is."""
    from msgraph.generated.users.users_request_builder import UsersRequestBuilder as Builder

    query = Builder.UsersRequestBuilderGetQueryParameters(select=["id"], top=1)
    return _target(Builder, root, query)


@cache
def licenses(root: str) -> str:
    """All products."""
    from msgraph.generated.subscribed_skus.subscribed_skus_request_builder import (
        SubscribedSkusRequestBuilder as Builder,
    )

    return _target(Builder, root)


@cache
def subscriptions(root: str) -> str:
    """All commercial subscriptions."""
    from msgraph.generated.directory.subscriptions.subscriptions_request_builder import (
        SubscriptionsRequestBuilder as Builder,
    )

    return _target(Builder, root)


def groups(root: str, name: str) -> str:
    """The groups that are called so."""
    from msgraph.generated.groups.groups_request_builder import GroupsRequestBuilder as Builder

    called = "displayName eq '{}'".format(name.replace("'", "''"))
    query = Builder.GroupsRequestBuilderGetQueryParameters(select=["id"], filter=called)
    return _target(Builder, root, query)


def members(root: str, group: str) -> str:
    """The members of a group, by its id."""
    from msgraph.generated.groups.item.members.members_request_builder import (
        MembersRequestBuilder as Builder,
    )

    query = Builder.MembersRequestBuilderGetQueryParameters(select=["id"], top=_WHOLE_PAGE)
    return _target(Builder, root, query, **{"group%2Did": group})


@cache
def relationships(root: str) -> str:
    """Delegated administration by the partner."""
    from msgraph.generated.tenant_relationships.delegated_admin_relationships import (
        delegated_admin_relationships_request_builder as module,
    )

    return _target(module.DelegatedAdminRelationshipsRequestBuilder, root)
