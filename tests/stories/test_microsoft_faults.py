"""Whatever Microsoft answers, or does not: nobody leaves, others go on, and a re-run converges.

The ids are those of the list of faults. The databases are no part of this, so that one will do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from syncd.connectors.http import client, walk
from syncd.connectors.http.client import Patience
from syncd.errors import AuthFailed, SyncdError
from syncd.store import tables as t
from syncd.store.dump import canonical_dump
from syncd.sync.flow import Outcome
from tests.fakes.https import Asked, Reply
from tests.fakes.microsoft import directory
from tests.fakes.microsoft.directory import BUSINESS_BASIC
from tests.fakes.microsoft.world import MicrosoftWorld
from tests.stories.desk import Desk
from tests.stories.microsoft import OneTenant, Partner, Reader

PEOPLE = 12


@pytest.fixture
def dialect() -> str:
    return "sqlite"


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENT", Patience(first_pause=0.01, longest_pause=0.02))


class Read:
    """What is read, by either connector, and the one tenant that has trouble."""

    def __init__(self, reader: Reader, tenants: list[directory.Tenant]) -> None:
        self.reader, self.tenants, self.troubled = reader, tenants, tenants[0]
        self.world, self.desk = reader.world, reader.desk
        for tenant in tenants:
            tenant.buy(BUSINESS_BASIC, 5)
            for number in range(PEOPLE):
                tenant.assign(tenant.add(f"Person {number:02} {tenant.name}"), BUSINESS_BASIC)
        self.world.graph.page_size = 5

    @property
    def is_alone(self) -> bool:
        return len(self.tenants) == 1

    def sync(self, *, full: bool = False) -> Outcome | SyncdError:
        """How a run ends, be it by an error."""
        try:
            return self.reader.sync(full=full)
        except SyncdError as error:
            return error

    def good(self, *, full: bool = False) -> Outcome:
        outcome = self.sync(full=full)
        assert isinstance(outcome, Outcome), outcome
        assert outcome.state == "succeeded", outcome
        return outcome

    def active(self, tenant: directory.Tenant) -> int:
        return sum(one.client == tenant.name and one.active for one in self.desk.users())

    def dump(self) -> str:
        return canonical_dump(self.desk.database)

    def code(self) -> str | None:
        """The reason code of the last step of the tenant that has trouble."""
        s, p = t.step.c, t.partition.c
        query = sa.select(s.code).join(t.partition, p.id == s.partition_id)
        query = query.where(p.key == self.troubled.id).order_by(s.id.desc()).limit(1)
        with self.desk.database.read() as conn:
            return conn.execute(query).scalar()


@pytest.fixture(params=["entra", "csp"])
def read(request: pytest.FixtureRequest, desk: Desk, microsoft: MicrosoftWorld) -> Read:
    if request.param == "entra":
        return Read(OneTenant(desk, microsoft), [microsoft.directory.home])
    partner = Partner(desk, microsoft)
    return Read(partner, [microsoft.directory.customer(f"Customer {n}") for n in range(3)])


def cut(connection: Any) -> None:
    """An answer that ends before it should."""
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n"
    connection.sendall(head.encode() + b'{"value": [')
    connection.close()


def reset(connection: Any) -> None:
    connection.close()


HTML = {"Content-Type": "text/html"}
PASSING: dict[str, Reply | Callable[[Any], None]] = {
    "A06 502": Reply(502),
    "A06 503": Reply(503),
    "A06 504": Reply(504),
    "A07 500": Reply(500),
    "A09 reset": reset,
    "A10 cut": cut,
    "A12 truncated": Reply(200, b'{"value": [{"id": "x"'),
    "A13 page": Reply(200, b"<html>Sign in, hunter2</html>", HTML),
    "A14 error": Reply(200, b'{"error": {"code": "x", "message": "hunter2"}}'),
}


# -- what passes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["users/delta", "skiptoken", "subscribedSkus"])
@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_leaves_no_trace(read: Read, fault: str, where: str) -> None:
    read.world.graph_faults.on(where, PASSING[fault], times=2)
    read.good()
    assert [read.active(one) for one in read.tenants] == [PEOPLE] * len(read.tenants)
    before = read.desk.rows()
    read.good()
    read.good(full=True)
    assert read.desk.rows() == before


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_at_the_sign_in_leaves_no_trace(read: Read, fault: str) -> None:
    read.world.signin_faults.on("token", PASSING[fault], times=1)
    read.good()
    assert [read.active(one) for one in read.tenants] == [PEOPLE] * len(read.tenants)


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_at_partner_center_leaves_no_trace(
    desk: Desk, microsoft: MicrosoftWorld, fault: str
) -> None:
    read = Read(Partner(desk, microsoft), [microsoft.directory.customer("Customer")])
    read.world.partner_faults.on("customers", PASSING[fault], times=1, skip=1)
    read.good()
    assert read.active(read.troubled) == PEOPLE


def test_a_throttled_call_waits_as_long_as_it_is_told(read: Read) -> None:
    """A01"""
    wait = Reply(429, b"{}", {"Retry-After": "1", "Content-Type": "application/json"})
    read.world.graph_faults.on("skiptoken", wait, times=2, tenant=read.troubled.id)
    read.good()
    assert read.active(read.troubled) == PEOPLE


def test_a_token_that_expires_in_the_middle_is_renewed_once(read: Read) -> None:
    """A19"""

    def expire(_asked: Asked, reply: Reply) -> Reply:
        read.world.service.expire_access()
        return reply

    read.world.graph_faults.altering("skiptoken", expire, times=1)
    read.good()
    assert [read.active(one) for one in read.tenants] == [PEOPLE] * len(read.tenants)


def test_what_is_told_again_is_told_once(read: Read) -> None:
    """A28, A31"""
    read.world.graph.replays = read.world.graph.empty_pages = True
    outcome = read.good()
    assert outcome.counts["create user"] == PEOPLE * len(read.tenants)
    before = read.desk.rows()
    read.good()
    assert read.desk.rows() == before


# -- what does not pass ----------------------------------------------------------------------------


def elsewhere(link: str) -> Callable[[Asked, Reply], Reply]:
    """A page whose next link leads somewhere else."""

    def change(asked: Asked, reply: Reply) -> Reply:
        page = json.loads(reply.body)
        page.pop("@odata.deltaLink", None)
        port = asked.headers["Host"].rpartition(":")[2]
        page["@odata.nextLink"] = link.format(port=port)
        return Reply(200, json.dumps(page).encode())

    return change


def without_end(asked: Asked, reply: Reply) -> Reply:
    """Another next link, for ever."""
    page = json.loads(reply.body)
    page.pop("@odata.deltaLink", None)
    page["@odata.nextLink"] = f"https://{asked.headers['Host']}/v1.0/users/delta?x={id(page)}"
    return Reply(200, json.dumps(page).encode())


def without_delta(_asked: Asked, reply: Reply) -> Reply:
    return Reply(200, re.sub(rb'"@odata.deltaLink": "[^"]*", ', b"", reply.body))


LASTING: dict[str, Callable[[Asked, Reply], Reply]] = {
    "A07 500": lambda _, __: Reply(500),
    "A12 truncated": lambda _, reply: Reply(200, reply.body[: len(reply.body) // 2]),
    "A13 page": lambda _, __: Reply(200, b"<html>hunter2</html>", HTML),
    "A14 error": lambda _, __: Reply(200, b'{"error": {"code": "x", "message": "hunter2"}}'),
    "A33 loop": elsewhere("https://localhost:{port}/v1.0/users/delta?the=same"),
    "A34 endless": without_end,
    "A39 no end": without_delta,
    "A44 redirect": lambda _, __: Reply(302, b"", {"Location": "https://evil.example/"}),
    "A45 drift": lambda _, __: Reply(200, b'{"value": {"now": "an object"}}'),
    "E12 host": elsewhere("https://graph.microsoft.com.evil.example/v1.0/users/delta"),
    "E12 user-info": elsewhere("https://localhost:{port}@evil.example/v1.0/users/delta"),
    "E12 port": elsewhere("https://localhost:1/v1.0/users/delta"),
    "E12 scheme": elsewhere("http://localhost:{port}/v1.0/users/delta"),
}


@pytest.fixture
def _small_caps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MOST_PAGES", 20)


@pytest.mark.usefixtures("_small_caps")
@pytest.mark.parametrize("first", [True, False], ids=["at first", "later"])
@pytest.mark.parametrize("fault", LASTING)
def test_what_lasts_fails_its_tenant_alone_and_nobody_leaves(
    read: Read, fault: str, first: bool
) -> None:
    if not first:
        read.good()
    for tenant in read.tenants:
        tenant.delete(next(iter(tenant.users)))
        tenant.add("Joiner Of All")
    faults = read.world.graph_faults
    faults.altering("users/delta", LASTING[fault], tenant=read.troubled.id)

    outcome = read.sync(full=True)

    assert isinstance(outcome, Outcome), outcome
    assert outcome.state == ("failed" if read.is_alone else "partial")
    assert read.code() in ("unavailable", "bad_response", "refused")
    assert "hunter2" not in repr(outcome)
    assert read.active(read.troubled) == (0 if first else PEOPLE)
    for tenant in read.tenants[1:]:  # who is missing for the first time is there still
        assert read.active(tenant) == (PEOPLE if first else PEOPLE + 1)
    faults.mend()
    for _ in range(2):  # who is missing has left after two reads
        read.desk.wait(hours=2)
        read.good(full=True)
    assert [read.active(one) for one in read.tenants] == [PEOPLE] * len(read.tenants)


def test_a_gigantic_page_is_refused(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """A18"""
    monkeypatch.setattr(client, "LONGEST_BODY", 200)
    outcome = read.sync()
    assert not (isinstance(outcome, Outcome) and outcome.state == "succeeded")
    assert sum(map(read.active, read.tenants)) == 0


def test_throttling_without_end_ends_the_run_as_throttled(read: Read) -> None:
    """A04"""
    wait = Reply(429, b"{}", {"Retry-After": "3600"})
    read.world.graph_faults.on("users/delta", wait, tenant=read.troubled.id)
    outcome = read.sync()
    assert isinstance(outcome, Outcome)
    assert read.code() == "throttled"
    assert [read.active(one) for one in read.tenants[1:]] == [PEOPLE] * (len(read.tenants) - 1)


# -- who is gone -----------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [0, 4], ids=["A36 empty", "A37 shrunken"])
def test_a_list_that_is_empty_or_shrunken_is_held(read: Read, left: int) -> None:
    read.good()

    def shrink(_asked: Asked, reply: Reply) -> Reply:
        page = json.loads(reply.body)
        page["value"] = [one for one in page["value"] if one["id"] in kept]
        return Reply(200, json.dumps(page).encode())

    kept = list(read.troubled.users)[:left]
    read.world.graph_faults.altering("users/delta", shrink, tenant=read.troubled.id)
    for _ in range(2):
        outcome = read.sync(full=True)
        assert isinstance(outcome, Outcome)
        assert outcome.state in ("held", "partial")
        assert read.active(read.troubled) == PEOPLE
        read.desk.wait(hours=2)
    read.world.graph_faults.mend()
    before = read.dump()
    read.good(full=True)
    assert read.active(read.troubled) == PEOPLE
    assert read.dump() == before


@pytest.mark.parametrize("code", ["syncStateNotFound", "resyncRequired"])
def test_a_delta_that_expired_is_read_in_full_under_the_same_guards(read: Read, code: str) -> None:
    """A26"""
    read.good()
    expired = Reply(400, json.dumps({"error": {"code": code}}).encode())
    read.world.graph_faults.on("deltatoken", expired, times=len(read.tenants))
    outcome = read.good()
    assert outcome.counts["read people"] == PEOPLE * len(read.tenants)


# -- who may not -----------------------------------------------------------------------------------


def test_a_second_refusal_pauses_the_connection(read: Read) -> None:
    """A19"""
    read.good()
    read.world.graph_faults.on("", Reply(401, b'{"error": {"code": "InvalidAuthenticationToken"}}'))
    outcome = read.sync()
    assert isinstance(outcome, AuthFailed) or outcome.state in ("failed", "partial")
    row = read.desk.engine.runs.ensure_connection(read.reader.connection, "")
    assert row.state == "paused"
    assert [read.active(one) for one in read.tenants] == [PEOPLE] * len(read.tenants)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        ("invalid_grant", 50173, "was taken back"),  # A21
        ("interaction_required", 50076, "MFA"),  # A24
        ("invalid_client", 7000222, "secret has expired"),  # A25
    ],
)
def test_a_sign_in_that_is_refused_pauses_and_is_not_tried_again(
    read: Read, error: str, code: int, words: str
) -> None:
    read.good()
    read.world.service.refused[""] = (error, code, "")
    with pytest.raises(AuthFailed, match=words):
        read.reader.sync()
    assert len(read.world.asked("signin", "token")) == 1
    row = read.desk.engine.runs.ensure_connection(read.reader.connection, "")
    assert (row.state, words in str(row.reason)) == ("paused", True)
    assert [read.active(one) for one in read.tenants] == [PEOPLE] * len(read.tenants)


# -- records ---------------------------------------------------------------------------------------


def test_one_record_that_drifted_is_set_aside_and_what_is_unknown_is_ignored(read: Read) -> None:
    """A45"""
    odd, other, *_ = read.troubled.users
    read.troubled.change(odd, displayName={"now": "an object"})
    read.troubled.change(other, somethingNew={"a": 1}, userType="Unheard")
    outcome = read.sync()
    assert isinstance(outcome, Outcome)
    assert (outcome.state, outcome.counts["quarantined"]) == ("partial", 1)
    assert read.active(read.troubled) == PEOPLE - 1
    read.troubled.change(odd, displayName="Whole Again")
    assert read.sync().state == "succeeded"  # type: ignore[union-attr]
    assert read.active(read.troubled) == PEOPLE


def test_most_records_drifted_is_a_fault_of_the_mapping(read: Read) -> None:
    """A45"""
    for number in range(60):
        read.troubled.add(f"Odd {number}", displayName=["a", "list"])
    outcome = read.sync()
    assert isinstance(outcome, Outcome)
    assert read.code() == "mapping"
    assert [read.active(one) for one in read.tenants[1:]] == [PEOPLE] * (len(read.tenants) - 1)


# -- secrets ---------------------------------------------------------------------------------------


def test_canaries_are_nowhere(
    read: Read, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """E15, E17: nor after faults that repeat what was sent."""

    def echo(asked: Asked, _reply: Reply) -> Reply:
        said = json.dumps({"error": {"code": "x", "message": repr(asked)}})
        return Reply(400, said.encode())

    caplog.set_level("DEBUG")
    read.good()
    read.world.graph_faults.altering("users/delta", echo, tenant=read.troubled.id)
    outcome = read.sync()
    told = repr((outcome, read.desk.rows(*t.metadata.sorted_tables), read.desk.engine.settings))
    assert "canary-" not in told + caplog.text + "".join(capfd.readouterr())
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*.db*") if path.is_file())
    assert b"canary-" not in stored


def test_another_key_opens_nothing_and_overwrites_nothing(
    desk: Desk, microsoft: MicrosoftWorld
) -> None:
    """E19"""
    from syncd.sealing import new_key

    partner = Partner(desk, microsoft)
    partner.customers(1)
    partner.sync()
    (desk.folder / "syncd.keys").write_text(new_key())
    desk.reload()
    before = desk.rows(t.grant)
    with pytest.raises(SyncdError, match="key"):
        partner.sync()
    assert desk.rows(t.grant) == before
