"""What reading Microsoft is compared with: the same requests, by the shortest code that does it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psycopg
import requests

from tests.benchmarks.graph_world import CLIENT, PARTNER

FIELDS = (
    *("id", "accountEnabled", "userType", "displayName", "givenName", "surname"),
    *("userPrincipalName", "mail", "employeeId", "employeeType", "jobTitle", "department"),
    *("companyName", "officeLocation", "city", "state", "country", "usageLocation"),
    *("mobilePhone", "businessPhones", "proxyAddresses", "assignedLicenses"),
)
Page = dict[str, Any]


@dataclass
class Asked:
    """What is asked of the miniature. `is_partner`: for customers of a partner."""

    root: str
    ca_file: str
    is_partner: bool
    _sessions: threading.local = field(default_factory=threading.local)

    def _session(self) -> requests.Session:
        if not hasattr(self._sessions, "made"):
            self._sessions.made = requests.Session()
            self._sessions.made.trust_env = False
            self._sessions.made.verify = self.ca_file
        made: requests.Session = self._sessions.made
        return made

    def token(self, tenant: str) -> str:
        """A token of the application in a tenant."""
        form = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": "x"}
        url = f"{self.root}/{tenant}/oauth2/v2.0/token"
        token: str = self._session().post(url, data=form, timeout=60).json()["access_token"]
        return token

    def get(self, url: str, token: str) -> bytes:
        """The bytes of an answer."""
        headers = {"Authorization": f"Bearer {token}"}
        return self._session().get(url, headers=headers, timeout=60).content

    def customers(self) -> str:
        """The partner's own requests; its token."""
        token = self.token(PARTNER)
        self.get(f"{self.root}/v1/customers?size=500", token)
        return token

    def tenant(self, key: str, partner: str) -> Iterator[bytes]:
        """Every answer about a tenant; the pages of its users are the last ones."""
        token = self.token(key)
        base = f"{self.root}/v1.0"
        if self.is_partner:
            yield self.get(f"{self.root}/v1/customers/{key}", partner)
        else:
            yield self.get(f"{base}/organization", token)
        yield self.get(f"{base}/subscribedSkus", token)
        if self.is_partner:
            yield self.get(f"{self.root}/v1/customers/{key}/subscriptions", partner)
        yield self.get(f"{base}/directory/subscriptions", token)
        url: str | None = f"{base}/users/delta?$select={','.join(FIELDS)}"
        while url:
            page = self.get(url, token)
            yield page
            url = _next(page)


_LINK = b'"@odata.nextLink": "'


def _next(page: bytes) -> str | None:
    """The next link, without decoding the page: it stands at its beginning."""
    at = page.find(_LINK, 0, 500)
    if at < 0:
        return None
    start = at + len(_LINK)
    return page[start : page.index(b'"', start)].decode()


def fetch(asked: Asked, tenants: Sequence[str], threads: int) -> int:
    """All requests, and nothing else; how many users these held."""

    def one(key: str) -> int:
        return sum(page.count(b'"userPrincipalName"') for page in asked.tenant(key, partner))

    partner = asked.customers() if asked.is_partner else ""
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(one, tenants))


def load(asked: Asked, tenants: Sequence[str], threads: int, loader: Loader) -> int:
    """All requests, decoded and loaded; how many users these held."""

    def one(key: str) -> int:
        count = 0
        for raw in asked.tenant(key, partner):
            page: Page = json.loads(raw)
            users = [one for one in page.get("value", ()) if "userPrincipalName" in one]
            if users:
                loader.add(users)
            count += len(users)
        return count

    partner = asked.customers() if asked.is_partner else ""
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(one, tenants))


class Loader:
    """One bare table of text columns; a page is copied beside it and merged into it."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._own = threading.local()
        columns = ", ".join(f'"{name}" text' for name in FIELDS)
        with psycopg.connect(self._url) as conn:
            conn.execute(f"create table bare ({columns}, primary key (id))")  # type: ignore[call-overload]

    def _connection(self) -> psycopg.Connection[Any]:
        if not hasattr(self._own, "made"):
            self._own.made = psycopg.connect(self._url)
        made: psycopg.Connection[Any] = self._own.made
        return made

    def add(self, users: Sequence[Page]) -> None:
        """One page, in one transaction."""
        named = ", ".join(f'"{name}"' for name in FIELDS)
        sets = ", ".join(f'"{name}" = excluded."{name}"' for name in FIELDS if name != "id")
        conn = self._connection()
        with conn.cursor() as cursor:
            execute: Callable[..., Any] = cursor.execute
            execute("create temp table staging (like bare) on commit drop")
            with cursor.copy(f"copy staging ({named}) from stdin") as copy:  # type: ignore[call-overload]
                for one in users:
                    copy.write_row([_cell(one.get(name)) for name in FIELDS])
            execute(f"insert into bare select * from staging on conflict (id) do update set {sets}")
        conn.commit()

    def drop(self) -> None:
        """Leave nothing behind."""
        with psycopg.connect(self._url) as conn:
            conn.execute("drop table bare")


def _cell(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)
