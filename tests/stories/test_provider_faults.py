"""What a provider can do to us, and that nobody is harmed by it."""

from __future__ import annotations

import threading
import time

import pytest
import sqlalchemy as sa

from syncd.cli import exits
from syncd.cli.exits import Exit
from syncd.connectors import base
from syncd.connectors.base import Deletes, Page, RawItem, Repeats
from syncd.errors import (
    AccessLost,
    AuthFailed,
    BadResponse,
    Interrupted,
    PermissionDenied,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    UsageError,
)
from syncd.records import Reject
from syncd.store import tables as t
from syncd.sync import flow, walking
from tests.stories.desk import Desk
from tests.stories.source import Source, crowd, gone, raw, who


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking.time, "sleep", lambda _seconds: None)


# -- reads that break off --------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [ProviderUnavailable("503"), BadResponse("half a page")])
def test_a_read_that_breaks_off_is_read_again_as_if_nothing_had_been(
    desk: Desk, source: Source, fault: ProviderError
) -> None:
    """A06, A10, R7"""
    source.people, source.page_size, source.faults = crowd(6), 2, [fault, fault]

    outcome = desk.sync()

    assert outcome.state == "succeeded"
    assert len(desk.users()) == 6
    assert outcome.counts["read people"] == 6
    assert len(source.asked) == 3


@pytest.mark.parametrize(
    ("fault", "code", "reads"),
    [
        (ProviderUnavailable("503"), "unavailable", 3),
        (BadResponse("half a page"), "bad_response", 3),
        (PermissionDenied("no User.Read.All"), "permission_denied", 1),
        (AccessLost("the relationship ended"), "access_lost", 1),
    ],
)
def test_a_read_that_cannot_end_changes_nothing_and_misses_nobody(
    desk: Desk, source: Source, fault: ProviderError, code: str, reads: int
) -> None:
    """A07, A12, A39, A40, R1, R3"""
    source.people, source.page_size, source.cursor = crowd(6), 2, "c1"
    desk.sync()
    before = desk.rows()

    source.people, source.cursor = [who("P0", job_title="new"), who("P9")], "c2"
    source.page_size, source.faults, source.asked = 1, [fault] * 9, []
    outcome = desk.sync(full=True)

    assert (outcome.state, outcome.code) == ("failed", code)
    assert desk.rows() == before
    assert len(source.asked) == reads
    assert str(fault) in (outcome.reason or "")


def test_refused_credentials_pause_the_connection_until_someone_resumes_it(
    desk: Desk, source: Source
) -> None:
    """A21, A24: no vendor call is made while it is paused."""
    source.people = crowd(2)
    desk.sync()
    before = desk.rows()
    source.refusal, source.asked = AuthFailed("AADSTS50076: a second factor is needed"), []

    outcome = desk.sync()

    assert (outcome.state, outcome.code) == ("failed", "auth_failed")
    assert desk.connection_state() == (
        "paused",
        "reconnect: AADSTS50076: a second factor is needed",
    )
    with pytest.raises(UsageError, match="paused"):
        desk.sync()
    assert (source.asked, desk.rows()) == ([], before)

    source.refusal = None
    desk.resume()
    assert desk.sync().state == "succeeded"


def test_credentials_that_are_refused_before_any_step_is_known_pause_the_connection_too(
    desk: Desk, source: Source
) -> None:
    """A21, R4: what could be a token stays out of what is kept and of what is said."""
    source.hidden = AuthFailed("invalid_grant, refresh_token=canary-7f3a91")

    with pytest.raises(AuthFailed, match="invalid_grant") as refused:
        desk.sync()

    state, reason = desk.connection_state()
    assert (state, str(reason).partition(",")[0]) == ("paused", "reconnect: invalid_grant")
    assert "canary-7f3a91" not in f"{reason} {refused.value}"
    assert exits.of_error(refused.value) is Exit.UNREACHABLE
    with pytest.raises(UsageError, match="paused"):
        desk.sync()
    source.hidden = None
    desk.resume()
    assert desk.sync().code == "read_nobody"


def test_a_source_that_cannot_list_its_partitions_is_told_without_secrets(
    desk: Desk, source: Source
) -> None:
    source.hidden = ProviderUnavailable("GET https://x.example/?access_token=canary-7f3a91: 503")

    with pytest.raises(ProviderUnavailable, match="503") as refused:
        desk.sync()

    assert "canary-7f3a91" not in str(refused.value)
    assert desk.connection_state()[0] == "active"


def test_a_throttled_read_ends_as_throttled_and_keeps_its_place(desk: Desk, source: Source) -> None:
    """A04"""
    source.people, source.cursor = crowd(2), "c1"
    desk.sync()
    before = desk.rows()

    source.faults = [RateLimited("too many calls", 3600)]
    outcome = desk.sync()

    assert (outcome.state, outcome.code) == ("throttled", "throttled")
    assert desk.rows() == before
    assert desk.sync().state == "succeeded"


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_read_that_comes_back_after_a_fault_equals_one_that_never_failed(
    desk: Desk, source: Source
) -> None:
    """R7"""
    source.people, source.page_size = crowd(5), 2
    source.faults = [ProviderUnavailable("503")] * 3
    assert desk.sync().state == "failed"

    source.faults = []
    desk.sync()

    assert len(desk.users()) == 5
    assert desk.quarantine() == {}


# -- cursors ---------------------------------------------------------------------------------------


def test_a_cursor_is_kept_only_with_the_rows_that_it_covers(desk: Desk, source: Source) -> None:
    """R2"""
    source.people, source.cursor = crowd(2), "c1"
    desk.plan()
    desk.sync()
    source.cursor, source.page_size, source.people = "c2", 1, [who("P7"), who("P8")]
    source.faults = [AccessLost("gone")]
    desk.sync()
    source.cursor = "c3"
    desk.sync()
    desk.sync()

    assert source.asked == [None, None, "c1", "c1", "c3"]


def test_a_held_plan_keeps_the_cursor(desk: Desk, source: Source) -> None:
    """R2"""
    source.deletes = Deletes.TOMBSTONE
    source.people, source.cursor = crowd(10), "c1"
    desk.sync()
    source.pages = [Page([], tombstones=gone(*(f"p{n}" for n in range(6))), cursor="c2")]

    held = desk.sync()
    assert held.state == "held"
    desk.sync()
    assert source.asked == [None, "c1", "c1"]

    desk.approve(desk.holds()[0].id)
    source.pages = [Page([])]
    desk.sync()
    assert source.asked[-1] == "c2"
    assert len(desk.names(active=True)) == 4


def test_an_expired_cursor_leads_to_a_full_read_once(desk: Desk, source: Source) -> None:
    """A26"""
    source.people, source.cursor = crowd(3), "c1"
    desk.sync()
    source.expired, source.people = {"c1"}, crowd(4)

    outcome = desk.sync()

    assert outcome.state == "succeeded"
    assert source.asked == [None, "c1", None]
    assert len(desk.users()) == 4


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_after_an_expired_cursor_the_brake_still_holds(desk: Desk, source: Source) -> None:
    """A26"""
    source.people, source.cursor = crowd(10), "c1"
    desk.sync()
    source.expired, source.people = {"c1"}, crowd(4)

    assert desk.sync().state == "held"
    assert len(desk.names(active=True)) == 10


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_an_incremental_read_proves_no_absence(desk: Desk, source: Source) -> None:
    """R1"""
    source.people, source.cursor = crowd(10), "c1"
    desk.sync()

    source.people = [who("P0", job_title="new")]
    outcome = desk.sync()

    assert outcome.state == "succeeded"
    assert len(desk.names(active=True)) == 10


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_cursor_made_with_other_settings_is_not_used(desk: Desk, source: Source) -> None:
    source.people, source.cursor = crowd(2), "c1"
    desk.sync()

    desk.connect("people", "memory", {"folder": "another"})
    desk.reload()
    desk.sync()
    desk.connect("people", "memory", {"folder": "another", "secret": "another"})
    desk.reload()
    desk.sync()

    assert source.asked == [None, None, "c1"]  # a secret says nothing of what is read


# -- repeats ---------------------------------------------------------------------------------------

LATE = who("Ada", job_title="late")
EARLY = who("Ada", job_title="early")


@pytest.mark.parametrize("dialect", ["sqlite"])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("pages", "wanted"),
    [
        ([[EARLY, LATE]], "late"),
        ([[EARLY], [LATE]], "late"),
        ([[LATE], [EARLY], [LATE]], "late"),
        ([[LATE], [EARLY]], "early"),
    ],
)
def test_of_several_states_of_one_record_the_last_one_counts(
    desk: Desk, source: Source, known: bool, pages: list[list[RawItem]], wanted: str
) -> None:
    """A28, A31"""
    if known:
        source.people = [EARLY, who("Bob")]
        desk.sync()
    source.pages = [*map(Page, pages), Page([who("Bob")])]

    outcome = desk.sync()

    assert desk.user("Ada").values["job_title"] == wanted
    assert len(desk.changes(outcome.run)) <= 2
    assert desk.quarantine() == {}
    assert outcome.state == "succeeded"


@pytest.mark.parametrize("first", [{"mail": "x@acme.example"}, {"job_title": "early"}])
def test_the_last_state_of_a_record_says_which_keys_others_may_have(
    desk: Desk, source: Source, first: dict[str, str]
) -> None:
    """A28: Zoe takes over the address that Ada gives up, however often Ada is told."""
    source.people, bob = [who("Ada"), who("Bob")], who("Bob", mail="bobby@acme.example")
    desk.sync()
    zoe = who("Zoe", mail="ada@acme.example")
    last = who("Ada", mail="byron@acme.example")
    source.pages = [Page([who("Ada", **first), bob]), Page([last]), Page([zoe])]

    outcome = desk.sync()

    assert desk.quarantine() == {}
    assert desk.user("Ada").values["email"] == "byron@acme.example"
    assert desk.user("Zoe").values["email"] == "ada@acme.example"
    assert outcome.state == "succeeded"


def test_a_key_that_a_record_gave_up_only_for_a_while_is_not_free(
    desk: Desk, source: Source
) -> None:
    """A28"""
    source.people = [who("Ada")]
    desk.sync()
    for_a_while = who("Ada", mail="byron@acme.example")
    last = who("Ada", job_title="last")
    source.pages = [Page([for_a_while]), Page([last]), Page([who("Zoe", mail="ada@acme.example")])]

    desk.sync()

    assert desk.quarantine() == {"zoe": "ambiguous_user"}
    assert desk.user("Ada").values["email"] == "ada@acme.example"


def test_a_record_that_changed_and_changed_back_is_not_touched(desk: Desk, source: Source) -> None:
    """A28"""
    source.people = [EARLY]
    desk.sync()
    before = desk.rows()
    source.pages = [Page([LATE]), Page([EARLY])]

    desk.sync()

    assert desk.rows() == before


def test_where_no_key_may_repeat_different_content_is_not_believed(
    desk: Desk, source: Source
) -> None:
    """B01 over pages"""
    source.repeats = Repeats.CONFLICT
    source.pages = [Page([EARLY, who("Bob")]), Page([who("Cy")]), Page([LATE, who("Bob")])]

    desk.sync()

    assert desk.names() == ["Bob", "Cy"]
    assert desk.quarantine() == {"ada": "duplicate_key"}


REFUSED = Page([], rejects=[Reject("ada", "bad_value", "cannot be cut into an item")])
BROKEN = Page([raw("ada", display_name=5)])
GOOD = Page([who("Ada")])


def _one_page(*pages: Page) -> list[Page]:
    items = [item for page in pages for item in page.items]
    return [Page(items, rejects=[one for page in pages for one in page.rejects])]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("bad", [REFUSED, BROKEN], ids=["refused", "broken"])
@pytest.mark.parametrize("same_page", [True, False])
@pytest.mark.parametrize("good_first", [True, False])
def test_a_key_that_stands_beside_something_unreadable_is_not_believed(
    desk: Desk, source: Source, known: bool, bad: Page, same_page: bool, good_first: bool
) -> None:
    """B01, R7: what cannot be read may be anybody, whether it comes before or after."""
    source.repeats = Repeats.CONFLICT
    source.people = [who("Ada"), who("Bob")] if known else [who("Bob")]
    desk.sync()
    both = [GOOD, bad] if good_first else [bad, GOOD]
    source.pages = [*(_one_page(*both) if same_page else both), Page([who("Bob")])]

    first = desk.sync()

    assert desk.names() == (["Ada", "Bob"] if known else ["Bob"])
    assert desk.quarantine() == {"ada": "duplicate_key"}
    assert first.counts["quarantined"] == 1
    before = desk.rows()
    again = desk.sync()
    assert desk.rows() == before
    assert again.counts["quarantined"] == 0
    source.pages = [GOOD, Page([who("Bob")])]
    assert desk.sync().state == "succeeded"
    assert desk.names() == ["Ada", "Bob"]
    assert desk.quarantine() == {}


@pytest.mark.parametrize("was_bad_before", [True, False])
def test_a_key_that_is_unreadable_twice_is_told_once(
    desk: Desk, source: Source, was_bad_before: bool
) -> None:
    """A31: the same bytes on two pages are one item, whatever they hold."""
    source.repeats, source.people = Repeats.CONFLICT, [who("Ada"), who("Bob")]
    desk.sync()
    if was_bad_before:
        source.pages = [BROKEN, Page([who("Bob")])]
        desk.sync()
    source.pages = [BROKEN, Page([who("Bob")]), BROKEN]

    outcome = desk.sync()

    assert desk.quarantine() == {"ada": "bad_value"}
    assert outcome.counts["quarantined"] == (0 if was_bad_before else 1)


def test_a_key_that_one_page_both_refuses_and_holds_broken_is_told_once(
    desk: Desk, source: Source
) -> None:
    source.repeats, source.people = Repeats.CONFLICT, [who("Ada"), who("Bob")]
    desk.sync()
    source.pages = [*_one_page(REFUSED, BROKEN), Page([who("Bob")])]

    outcome = desk.sync()

    assert desk.quarantine() == {"ada": "duplicate_key"}
    assert outcome.counts["quarantined"] == 1
    assert desk.sync().counts["quarantined"] == 0


@pytest.mark.parametrize("was_bad_before", [True, False])
def test_what_a_page_both_refuses_and_holds_changed_stays_in_quarantine(
    desk: Desk, source: Source, was_bad_before: bool
) -> None:
    source.people = [who("Ada"), who("Bob")]
    desk.sync()
    refused = Page([], rejects=[Reject("ada", "bad_value", "cannot be cut into an item")])
    if was_bad_before:
        source.pages = [Page([who("Bob")], rejects=refused.rejects)]
        desk.sync()
        assert desk.quarantine() == {"ada": "bad_value"}
    source.pages = [Page([LATE, who("Bob")], rejects=refused.rejects)]
    for _ in range(2):
        desk.sync()
        assert desk.user("Ada").values["job_title"] == "late"
        assert desk.quarantine() == {"ada": "bad_value"}


@pytest.mark.parametrize("good_first", [True, False])
def test_what_was_unreadable_before_makes_its_key_no_more_believable(
    desk: Desk, source: Source, good_first: bool
) -> None:
    source.repeats, source.people = Repeats.CONFLICT, [who("Ada"), who("Bob")]
    desk.sync()
    source.pages = [REFUSED, Page([who("Bob")])]
    desk.sync()
    assert desk.quarantine() == {"ada": "bad_value"}
    both = [GOOD, REFUSED] if good_first else [REFUSED, GOOD]
    source.pages = [*both, Page([who("Bob")])]

    desk.sync()

    assert desk.quarantine() == {"ada": "duplicate_key"}


def test_where_a_key_may_repeat_its_last_readable_state_leaves_no_quarantine(
    desk: Desk, source: Source
) -> None:
    """A28"""
    source.people = [who("Ada")]
    desk.sync()
    source.pages = [BROKEN, Page([LATE])]

    outcome = desk.sync()

    assert desk.user("Ada").values["job_title"] == "late"
    assert desk.quarantine() == {}
    assert outcome.state == "succeeded"


def test_a_record_that_is_again_what_it_was_before_it_broke_leaves_quarantine(
    desk: Desk, source: Source
) -> None:
    """R7"""
    source.people = [who("Ada"), who("Bob")]
    desk.sync()
    source.pages = [BROKEN, Page([who("Bob")])]
    desk.sync()
    assert desk.quarantine() == {"ada": "bad_value"}
    source.pages = [GOOD, Page([who("Bob")])]

    outcome = desk.sync()

    assert desk.quarantine() == {}
    assert outcome.state == "succeeded"


@pytest.mark.parametrize("same_page", [True, False])
def test_a_record_that_went_away_and_returned_stays(
    desk: Desk, source: Source, same_page: bool
) -> None:
    """A28: nobody is deactivated by the first half of the story."""
    source.deletes = Deletes.TOMBSTONE
    source.people = [who("Ada"), who("Bob")]
    desk.sync()
    before = desk.living()
    both = [Page([who("Ada")], tombstones=gone("ada"))]
    source.pages = both if same_page else [Page([], tombstones=gone("ada")), Page([who("Ada")])]

    outcome = desk.sync()

    assert desk.living() == before
    assert desk.links() == {"ada": "alive", "bob": "alive"}
    assert outcome.state == "succeeded"


@pytest.mark.parametrize("returns_first", [True, False])
def test_a_newcomer_with_the_address_of_one_who_returns_is_no_new_user(
    desk: Desk, source: Source, returns_first: bool
) -> None:
    """Somebody whose record was gone is linked again by the very read that holds the newcomer."""
    source.deletes = Deletes.TOMBSTONE
    source.people = [who("Ada"), who("Bob")]
    desk.sync()
    source.pages = [Page([who("Bob")], tombstones=gone("ada"))]
    desk.sync()
    assert desk.links()["ada"] == "gone"
    both = [Page([who("Ada")]), Page([who("Ada", key="new")])]
    source.pages = [*(both if returns_first else reversed(both)), Page([who("Bob")])]

    for _ in range(2):
        desk.sync()
        assert desk.links() == {"ada": "alive", "bob": "alive"}
        assert desk.quarantine() == {"new": "ambiguous_user"}
        assert desk.names() == ["Ada", "Bob"]


def test_a_record_that_came_and_went_away_in_one_read_is_not_created(
    desk: Desk, source: Source
) -> None:
    """A28: the last state wins."""
    source.deletes = Deletes.TOMBSTONE
    source.pages = [Page([who("Ada"), who("Bob")]), Page([], tombstones=gone("ada"))]

    desk.sync()

    assert desk.names() == ["Bob"]


def test_a_record_that_changed_and_then_went_away_leaves(desk: Desk, source: Source) -> None:
    """A28"""
    source.deletes = Deletes.TOMBSTONE
    source.people = [who("Ada"), who("Bob")]
    desk.sync()
    source.pages = [Page([who("Ada", job_title="new")]), Page([], tombstones=gone("ada"))]

    desk.sync()

    assert desk.names(active=True) == ["Bob"]
    assert desk.links()["ada"] == "gone"


def test_a_tombstone_takes_its_record_out_of_quarantine(desk: Desk, source: Source) -> None:
    source.deletes = Deletes.TOMBSTONE
    source.people, source.cursor = [who("Ada"), who("Bob", "nowhere")], "c1"
    desk.sync()
    assert desk.quarantine() == {"bob": "unknown_client"}

    source.pages = [Page([], tombstones=gone("bob", "stranger"))]
    desk.sync()

    assert desk.quarantine() == {}
    assert desk.names() == ["Ada"]


def test_what_waits_in_quarantine_is_remembered_as_it_was_said_last(
    desk: Desk, source: Source
) -> None:
    """A source that sends only what changed does not say it once more when its client arrives."""
    source.deletes, source.cursor = Deletes.UNKNOWN, "c1"
    source.people = [who("Ada"), who("Bob", "cedar", job_title="Clerk")]
    desk.sync()
    source.people, source.cursor = [who("Bob", "cedar", job_title="Head")], "c2"
    outcome = desk.sync()
    assert desk.quarantine() == {"bob": "unknown_client"}
    assert outcome.counts["quarantined"] == 1
    assert desk.sync().counts["quarantined"] == 0  # it says nothing new

    source.organizations.append(raw("cedar", name="Cedar"))
    source.people = []
    desk.sync()

    assert desk.quarantine() == {}
    assert desk.user("Bob").values["job_title"] == "Head"


# -- what proves nothing ---------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["sqlite"])
@pytest.mark.parametrize(
    "page",
    [
        Page([who("P0")], rejects=[Reject(None, "ragged_row", "too few cells", where="line 2")]),
        Page([who("P0"), RawItem("", b"{}")]),
        Page([who("P0"), RawItem("p\x001", b"{}")]),
    ],
)
def test_a_read_with_an_item_without_a_key_misses_nobody(
    desk: Desk, source: Source, page: Page
) -> None:
    """R1: the item could be about anybody."""
    source.people = crowd(3)
    desk.sync()
    source.pages = [page]

    outcome = desk.sync()

    assert desk.names(active=True) == ["P0", "P1", "P2"]
    assert outcome.state == "partial"
    assert [one for one in outcome.notices if "nobody counts as gone" in one]
    assert not desk.step(outcome.run).proven


def test_a_first_read_with_an_item_without_a_key_says_nothing_of_who_is_gone(
    desk: Desk, source: Source
) -> None:
    """Nobody was here who could be."""
    source.pages = [Page([who("P0"), RawItem("", b"{}")])]

    outcome = desk.sync()

    assert outcome.counts["quarantined"] == 1
    assert not [one for one in outcome.notices if "nobody counts as gone" in one]


def test_a_key_is_seen_even_if_its_item_is_rejected(desk: Desk, source: Source) -> None:
    """A45, R3: it is not absent because it cannot be read."""
    source.people = crowd(3)
    desk.sync()

    source.people = [who("P0"), RawItem("p1", b"not json"), who("P2", active="perhaps")]
    desk.sync()

    assert desk.names(active=True) == ["P0", "P1", "P2"]
    assert desk.quarantine() == {"p1": "bad_value", "p2": "bad_value"}


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_faults_of_one_stream_do_not_count_against_the_next(desk: Desk, source: Source) -> None:
    """B33: 25 clients without a name are no reason to distrust two people."""
    nameless = [raw(f"o{number}", website="x.example") for number in range(25)]
    named = [raw(f"k{number}", name=f"K{number}") for number in range(30)]
    source.organizations = [raw("acme", name="Acme"), *nameless, *named]
    source.people = [who("Ada"), who("Bob")]

    outcome = desk.sync()

    assert outcome.state == "partial"
    assert desk.names() == ["Ada", "Bob"]


def test_old_quarantine_does_not_fail_a_read_of_what_changed(desk: Desk, source: Source) -> None:
    """B33"""
    source.deletes = Deletes.TOMBSTONE
    source.people = [*crowd(30), *(who(f"Q{n}", active="perhaps") for n in range(25))]
    source.cursor = "c1"
    assert desk.sync().state == "partial"

    source.pages = [Page([who("Ada")], cursor="c2")]
    outcome = desk.sync()

    assert outcome.state == "partial"
    assert "Ada" in desk.names()
    assert len(desk.quarantine()) == 25


# -- reads that go on where they were --------------------------------------------------------------


@pytest.fixture
def pages(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Source:
    """A provider whose pages can be asked for one by one, which has six people on three of them."""
    made = Source()
    made.people, made.page_size = crowd(6), 2
    monkeypatch.setattr(base, "find", lambda _name: made.resumable_connector())
    desk.connect("people", "memory", {})
    desk.reload()
    return made


@pytest.mark.parametrize("fault", [ProviderUnavailable("503"), BadResponse("half a page")])
def test_a_read_that_breaks_off_between_pages_goes_on_with_the_next_one(
    desk: Desk, pages: Source, fault: ProviderError
) -> None:
    """A06, A10"""
    pages.faults = [fault, fault]

    outcome = desk.sync()

    assert outcome.state == "succeeded"
    assert [place for _, place in pages.resumed] == [None, "1", "1"]
    assert outcome.counts["read people"] == 6
    assert len(desk.users()) == 6


def test_a_long_read_may_break_off_as_often_as_it_comes_further(desk: Desk, pages: Source) -> None:
    pages.people, pages.page_size = crowd(12), 1
    pages.stumbles = True

    outcome = desk.sync()

    assert outcome.state == "succeeded"
    assert len(pages.resumed) == 13
    assert len(desk.users()) == 12


def test_a_read_that_does_not_come_further_fails(desk: Desk, pages: Source) -> None:
    pages.faults = [ProviderUnavailable("503")] * 3

    outcome = desk.sync()

    assert (outcome.state, outcome.code) == ("failed", "unavailable")
    assert desk.users() == []


def test_a_throttled_step_waits_without_a_thread_and_goes_on_where_it_was(
    desk: Desk, pages: Source
) -> None:
    """A01"""
    pages.partitions = ["acme", "bolt"]
    pages.people = [*crowd(4), *(who(f"B{number}", "bolt") for number in range(4))]
    pages.faults = [RateLimited("too many calls", 1.5)]
    begun = time.monotonic()

    outcome = flow.sync(desk.engine, "people", mode="apply")

    assert outcome.state == "succeeded"
    assert time.monotonic() - begun >= 1.5
    assert sorted(pages.resumed[:2]) == [("acme", None), ("bolt", None)]
    assert [resume for _, resume in pages.resumed[2:]] == ["1"]
    assert len(desk.users()) == 8


def test_a_throttled_step_costs_no_attempt(desk: Desk, pages: Source) -> None:
    pages.faults = [RateLimited("too many calls", 0.01)] * 7

    outcome = desk.sync()

    assert outcome.state == "succeeded"
    assert desk.step(outcome.run).attempts == 1


def test_a_provider_that_throttles_for_too_long_ends_the_run_as_throttled(
    desk: Desk, pages: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A04"""
    monkeypatch.setenv("SYNCD_ENGINE_PATIENCE_SECONDS", "1")
    desk.reload()
    pages.faults = [RateLimited("too many calls", 0.4)] * 9

    outcome = desk.sync()

    assert (outcome.state, outcome.code) == ("throttled", "throttled")
    assert len(pages.resumed) == 3
    assert desk.users() == []
    pages.faults = []
    assert desk.sync().state == "succeeded"


def test_a_step_that_waits_ends_when_the_process_is_to_stop(desk: Desk, pages: Source) -> None:
    """D04"""
    pages.faults = [RateLimited("too many calls", 300)]
    threading.Timer(0.5, desk.engine.stop.set).start()
    begun = time.monotonic()

    with pytest.raises(Interrupted):
        desk.sync()

    assert time.monotonic() - begun < 10
    desk.reload()
    assert desk.sync().state == "succeeded"


def test_a_step_that_was_taken_by_another_while_it_waited_begins_anew(
    desk: Desk, pages: Source
) -> None:
    """D05"""

    def meanwhile() -> None:
        other = desk.open()
        with other.database.read() as conn:
            partition = conn.execute(sa.select(t.partition.c.id)).scalar_one()
        walking.release(other, walking.claim(other, partition))
        other.database.close()

    pages.faults = [RateLimited("too many calls", 2)]
    threading.Timer(0.7, meanwhile).start()

    assert desk.sync().state == "succeeded"
    assert [place for _, place in pages.resumed] == [None, None]
    assert len(desk.users()) == 6
