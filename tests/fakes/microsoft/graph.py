"""Microsoft Graph in miniature: one tenant's directory, as the bearer of a token may read it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from tests.fakes.https import Asked, Reply
from tests.fakes.microsoft.directory import Directory, Tenant
from tests.fakes.microsoft.signin import GRAPH, SignInService, Token

DEFAULTS = (
    *("businessPhones", "displayName", "givenName", "id", "jobTitle", "mail", "mobilePhone"),
    *("officeLocation", "preferredLanguage", "surname", "userPrincipalName"),
)
NOT_IN_LISTS = {"aboutMe", "birthday", "hireDate", "interests", "mySite", "mailboxSettings"}


@dataclass
class Graph:
    """Answers requests. `page_size`: items in a page, whatever is asked for."""

    directory: Directory
    service: SignInService
    root: str = GRAPH
    page_size: int = 100
    empty_pages: bool = False
    """Whether an empty page with a next link comes before every other one."""
    replays: bool = False
    """Whether every page begins with the last item of the one before, and deltas tell again."""
    _rounds: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def answer(self, asked: Asked) -> Reply:
        """One request."""
        path, _, query = asked.target.partition("?")
        token = self.service.token(asked, self.root)
        if token is None:
            return _error(401, "InvalidAuthenticationToken", "Access token has expired.")
        tenant = self.directory.tenant(token.tenant)
        assert tenant is not None
        parts = unquote(path).removeprefix("/v1.0/").removesuffix("()").split("/")
        options = {name: values[0] for name, values in parse_qs(query).items()}
        if parts[0] == "tenantRelationships":
            return self._relationships(token, parts[1:], options)
        if denied := _denied(tenant, token, self.directory.home):
            return denied
        known: dict[str, Callable[[], Reply]] = {
            "organization": lambda: _page(self.root, "organization", [_organization(tenant)]),
            "subscribedSkus": lambda: _page(
                self.root, "subscribedSkus", list(tenant.skus.values())
            ),
            "directory/subscriptions": lambda: _page(
                self.root, "subscriptions", list(tenant.subscriptions.values())
            ),
            "users/delta": lambda: self._delta(tenant, options),
            "groups": lambda: self._groups(tenant, options),
            "users": lambda: _page(
                self.root, "users", [{"id": one} for one in list(tenant.users)[:1]]
            ),
        }
        if find := known.get("/".join(parts)):
            return find()
        if parts[0] == "groups" and parts[2:3] == ["members"]:
            return self._members(tenant, parts[1], options)
        return _error(404, "Request_ResourceNotFound", "Resource does not exist.")

    # -- users -------------------------------------------------------------------------------------

    def _delta(self, tenant: Tenant, options: dict[str, str]) -> Reply:
        if "$top" in options or "$orderby" in options:
            return _error(400, "Request_UnsupportedQuery", "Not supported.")
        if state := options.get("$skiptoken"):
            return self._next(state)
        if options.get("$deltatoken") is not None:
            return self._since(tenant, options["$deltatoken"])
        chosen = options["$select"].split(",") if "$select" in options else [*DEFAULTS]
        if NOT_IN_LISTS & {*chosen}:
            return _error(501, "NotImplemented", "Not in collections.")
        rows = [_selected(user, chosen) for user in tenant.users.values()]
        return self._round(tenant, rows, chosen)

    def _since(self, tenant: Tenant, token: str) -> Reply:
        told = json.loads(base64.urlsafe_b64decode(token))
        if told["tenant"] != tenant.id or told["event"] < tenant.oldest:
            fresh = f"{self.root}/v1.0/users/delta?$deltatoken="
            return Reply(
                410,
                _body("syncStateNotFound", "Resync required."),
                {"Content-Type": "application/json", "Location": fresh},
            )
        since = max(0, told["event"] - 1) if self.replays else told["event"]
        rows = []
        for key, what in tenant.changes_since(since):
            if what == "set":
                rows.append(_selected(tenant.users[key], told["select"]))
            else:
                rows.append({"id": key, "@removed": {"reason": what}})
        return self._round(tenant, rows, told["select"])

    def _round(self, tenant: Tenant, rows: list[dict[str, Any]], chosen: Sequence[str]) -> Reply:
        """The first page of a round, whose later pages hold what was true at its beginning."""
        told = {"tenant": tenant.id, "event": len(tenant.events), "select": list(chosen)}
        delta = base64.urlsafe_b64encode(json.dumps(told).encode()).decode()
        name = f"{len(self._rounds):x}"
        self._rounds[name] = rows
        return self._next(_state(name, 0, delta, self.empty_pages))

    def _next(self, state: str) -> Reply:
        name, at, delta, empty = json.loads(base64.urlsafe_b64decode(state))
        rows = self._rounds[name]
        if empty:
            return self._linked([], "nextLink", _state(name, at, delta, False))
        begin = at - 1 if self.replays and at else at
        end = at + self.page_size
        if end < len(rows):
            state = _state(name, end, delta, self.empty_pages)
            return self._linked(rows[begin:end], "nextLink", state)
        return self._linked(rows[begin:], "deltaLink", delta)

    def _linked(self, rows: list[dict[str, Any]], kind: str, token: str) -> Reply:
        name = "$skiptoken" if kind == "nextLink" else "$deltatoken"
        link = f"{self.root}/v1.0/users/delta?{name}={quote(token)}"
        return _page(self.root, "users", rows, {f"@odata.{kind}": link})

    # -- the rest ----------------------------------------------------------------------------------

    def _groups(self, tenant: Tenant, options: dict[str, str]) -> Reply:
        name = options["$filter"].removeprefix("displayName eq '")[:-1].replace("''", "'")
        rows = [{"id": one} for one, called in tenant.group_names.items() if called == name]
        return _page(self.root, "groups", rows)

    def _members(self, tenant: Tenant, group: str, options: dict[str, str]) -> Reply:
        if group not in tenant.groups:
            return _error(404, "Request_ResourceNotFound", "Resource does not exist.")
        members = tenant.groups[group]
        at = int(options.get("$skiptoken", "0"))
        rows = [
            {"@odata.type": "#microsoft.graph.user", "id": one}
            for one in members[at : at + self.page_size]
        ]
        more = {}
        if at + self.page_size < len(members):
            link = f"{self.root}/v1.0/groups/{group}/members?$skiptoken={at + self.page_size}"
            more = {"@odata.nextLink": link}
        return _page(self.root, "directoryObjects", rows, more)

    def _relationships(self, token: Token, parts: list[str], options: dict[str, str]) -> Reply:
        if token.tenant != self.directory.home.id or parts != ["delegatedAdminRelationships"]:
            return _error(403, "Authorization_RequestDenied", "Insufficient privileges.")
        rows = [each for one in self.directory.customers.values() for each in one.relationships]
        if "active" in options.get("$filter", ""):
            rows = [one for one in rows if one["status"] == "active"]
        return _page(self.root, "tenantRelationships/delegatedAdminRelationships", rows)


def _denied(tenant: Tenant, token: Token, home: Tenant) -> Reply | None:
    if not token.delegated or tenant is home:
        if tenant.roles:
            return None
    elif tenant.roles and any(one["status"] == "active" for one in tenant.relationships):
        return None
    return _error(
        403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."
    )


def _selected(user: dict[str, Any], chosen: Sequence[str]) -> dict[str, Any]:
    """What was ever set of what was selected; the id always."""
    return {name: user[name] for name in ("id", *chosen) if name in user}


def _organization(tenant: Tenant) -> dict[str, Any]:
    domains = [
        {"name": tenant.domain, "isDefault": True, "isInitial": False, "type": "Managed"},
        {"name": "x.onmicrosoft.example", "isDefault": False, "isInitial": True, "type": "Managed"},
    ]
    return {
        "id": tenant.id,
        "displayName": tenant.name,
        **tenant.address,
        "verifiedDomains": domains,
        "businessPhones": [],
        "technicalNotificationMails": [],
        "onPremisesLastSyncDateTime": "2026-05-02T10:11:12Z",
        "tenantType": "AAD",
        "createdDateTime": "2019-01-01T00:00:00Z",
    }


def _state(name: str, at: int, delta: str, empty: bool) -> str:
    return base64.urlsafe_b64encode(json.dumps([name, at, delta, empty]).encode()).decode()


def _page(
    root: str, what: str, rows: list[dict[str, Any]], more: dict[str, str] | None = None
) -> Reply:
    context = {"@odata.context": f"{root}/v1.0/$metadata#{what}"}
    return Reply(200, json.dumps({**context, **(more or {}), "value": rows}).encode())


def _body(code: str, message: str) -> bytes:
    inner = {"date": "2026-05-02T10:11:12", "request-id": "0a", "client-request-id": "0b"}
    told = {"code": code, "message": message, "innerError": inner}
    return json.dumps({"error": told}).encode()


def _error(status: int, code: str, message: str) -> Reply:
    return Reply(status, _body(code, message))
