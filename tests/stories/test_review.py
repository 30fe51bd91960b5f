"""A person's word about one record: acted on at once, standing afterwards, undone with its run."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
import sqlalchemy as sa

from syncd.connectors.base import Deletes, Page
from syncd.errors import Busy, UsageError
from syncd.records import Identity
from syncd.store import answers_likely, answers_review, leases
from syncd.store import tables as t
from syncd.store.answers_review import Record, Wanted
from syncd.store.database import Transaction
from syncd.store.dump import canonical_dump
from syncd.sync import reviewing, suggesting
from syncd.sync.reviewing import Answer
from syncd.sync.rulings import Case, Ruling, Verb
from tests.stories.desk import LASTING, Desk, person
from tests.stories.source import Source, gone, raw, who
from tests.stories.writes import count_writes

KEPT = (*LASTING, t.decision)


def record(desk: Desk, key: str, stream: str | None = None) -> Record:
    """The only record with this key."""
    found = answers_review.named(desk.database, Wanted(key=key, stream=stream))
    assert len(found) == 1, found
    return found[0]


def say(
    desk: Desk, verb: Verb, *keys: str, whom: UUID | None = None, reason: str | None = None
) -> Answer:
    """What `syncd review VERB KEY WHOM --actor tess` does."""
    cases = [Case(record(desk, key), whom) for key in keys]
    return reviewing.decide(desk.engine, Ruling(verb, "tess", reason), cases)


def run_of(answer: Answer) -> int:
    """The run of an answer that left nothing."""
    assert answer.left == []
    [(_, outcome)] = answer.outcomes
    assert outcome.state == "succeeded", outcome
    return outcome.run


def states_of(desk: Desk, mode: str) -> list[str]:
    """How the runs of a mode ended."""
    c = t.run.c
    with desk.database.read() as conn:
        return list(conn.execute(sa.select(c.state).where(c.mode == mode)).scalars())


def refused(answer: Answer) -> str:
    """Why the only record was left; nothing was begun."""
    assert answer.outcomes == []
    [(_, why)] = answer.left
    return why


def picture(desk: Desk) -> dict[str, list[tuple[object, ...]]]:
    """All that is kept, without what any run changes: who wrote it, when, and what is settled."""
    kept = desk.rows(*KEPT)
    dump = re.sub('"settled":(true|false)', "", canonical_dump(desk.database))
    kept["link"] = [(desk.links(), dump)]
    kept["quarantine"] = sorted(desk.quarantine().items())
    kept["item"] = []
    return kept


@pytest.fixture
def nina(desk: Desk) -> Desk:
    """Two users of Acme have Nina's address, so that her record waits."""
    desk.sync([person("Ada")])
    for name in ("Nina Hall", "Nina Holt"):
        desk.add_user("Acme", name=name, email="nina@acme.example")
    desk.sync([person("Ada"), person("Nina", Title="Pilot")])
    assert desk.quarantine() == {"nina": "ambiguous_user"}
    return desk


# -- link ------------------------------------------------------------------------------------------


def test_a_linked_record_is_tied_for_good_and_its_values_flow_at_once(nina: Desk) -> None:
    hall = nina.user("Nina Hall").id
    run = run_of(say(nina, Verb.LINK, "nina", whom=hall, reason="same badge"))

    tied = record(nina, "nina")
    assert tied.link is not None
    assert (tied.tied, tied.link.matched_by, tied.link.pinned) == (hall, "a person", True)
    assert tied.standing is not None
    assert tied.standing.word[1:] == (hall, "tess", "same badge")
    assert nina.user("Nina Hall").values["job_title"] == "Pilot"
    assert nina.quarantine() == {}
    assert nina.changes(run) == [
        ("update", "nina", "linked by tess: same badge"),
        ("decide", "nina", "linked by tess: same badge"),
    ]


def test_a_linked_record_is_planned_as_any_other_by_later_syncs(nina: Desk) -> None:
    hall = nina.user("Nina Hall").id
    say(nina, Verb.LINK, "nina", whom=hall)

    nina.sync([person("Ada"), person("Nina", Title="Captain")])
    assert nina.user("Nina Hall").values["job_title"] == "Captain"
    link = record(nina, "nina").link
    assert link is not None
    assert link.pinned
    with count_writes(nina.database, *KEPT) as written:
        nina.sync()
        assert written() == {}


def test_undo_takes_back_the_link_the_values_and_the_word(nina: Desk) -> None:
    before = picture(nina)
    run = run_of(say(nina, Verb.LINK, "nina", whom=nina.user("Nina Hall").id))
    assert picture(nina) != before

    undone = nina.undo(run)

    assert undone.state == "succeeded", undone
    assert record(nina, "nina").standing is None
    assert nina.quarantine() == {"nina": "ambiguous_user"}
    assert "job_title" not in nina.user("Nina Hall").values
    assert nina.connection_state()[0] == "active"  # no source was to blame
    nina.sync()
    assert nina.quarantine() == {"nina": "ambiguous_user"}


def test_a_link_is_refused_to_whom_it_cannot_go(nina: Desk) -> None:
    ada, acme = nina.user("Ada").id, nina.client("Acme")
    assert "another record of people: ada" in refused(say(nina, Verb.LINK, "nina", whom=ada))
    assert "is not one" in refused(say(nina, Verb.LINK, "nina", whom=acme))
    assert "is linked to Ada" in refused(say(nina, Verb.LINK, "ada", whom=ada))
    run = nina.add_user("Acme", name="Zed").run
    zed = nina.user("Zed").id
    nina.undo(run)
    assert "Zed is retired" in refused(say(nina, Verb.LINK, "nina", whom=zed)).replace(
        "Zed (Acme)", "Zed"
    )
    nina.mapping('[user]\nmatch = ["email"]\nscope = "job_title != \'Pilot\'"\n')
    hall = nina.user("Nina Hall").id
    assert "out of the mapping's scope" in refused(say(nina, Verb.LINK, "nina", whom=hall))
    assert nina.quarantine() == {"nina": "ambiguous_user"}


def test_a_record_that_cannot_be_read_yet_is_linked_as_soon_as_it_can(desk: Desk) -> None:
    desk.sync([person("Ada")])
    desk.add_user("Acme", name="Nina Hall")
    desk.sync([person("Ada"), person("Nina", Inactive="perhaps")])
    assert desk.quarantine() == {"nina": "bad_value"}
    hall = desk.user("Nina Hall").id

    answer = say(desk, Verb.LINK, "nina", whom=hall)
    assert [why for _, why in answer.waiting] == [record(desk, "nina").aside.message]  # type: ignore[union-attr]
    assert desk.quarantine() == {"nina": "bad_value"}

    desk.sync([person("Ada"), person("Nina", Inactive="no")])
    assert record(desk, "nina").tied == hall
    assert record(desk, "nina").link.pinned  # type: ignore[union-attr]
    assert desk.names() == ["Ada", "Nina Hall"]


def test_a_word_that_cannot_be_kept_any_more_sets_the_record_aside(desk: Desk) -> None:
    desk.sync([person("Ada")])
    run = desk.add_user("Acme", name="Nina Hall", email="nina@acme.example").run
    desk.sync([person("Ada"), person("Nina", Inactive="perhaps")])
    say(desk, Verb.LINK, "nina", whom=desk.user("Nina Hall").id)
    desk.undo(run)

    desk.sync([person("Ada"), person("Nina")])

    assert desk.quarantine() == {"nina": "decision_void"}
    run_of(say(desk, Verb.CREATE, "nina"))
    assert desk.names() == ["Ada", "Nina"]


def test_a_word_is_void_when_whom_it_names_got_another_record(desk: Desk) -> None:
    desk.sync([person("Ada")])
    desk.add_user("Acme", name="Nina Hall", email="hall@acme.example")
    desk.sync([person("Ada"), person("Nina", Inactive="perhaps")])
    say(desk, Verb.LINK, "nina", whom=desk.user("Nina Hall").id)
    desk.sync([person("Ada"), person("Nina", Inactive="perhaps"), person("Hall")])

    desk.sync([person("Ada"), person("Nina"), person("Hall")])

    assert desk.quarantine() == {"nina": "decision_void"}
    assert desk.names() == ["Ada", "Nina Hall"]


def test_a_word_follows_whom_it_names_into_a_merge(desk: Desk) -> None:
    desk.sync([person("Ada")])
    ids = []
    for name in ("Nina", "Nina Hall", "Nina Holt"):
        desk.add_user("Acme", name=name)
        ids.append(desk.user(name).id)
    desk.sync([person("Ada"), person("N", Inactive="perhaps")])
    say(desk, Verb.LINK, "n", whom=ids[0])
    merges = [{"entity_id": ids[0], "into_id": ids[1]}, {"entity_id": ids[1], "into_id": ids[2]}]

    def merge(conn: Transaction) -> None:
        conn.execute(sa.insert(t.merged).values(kind="user", step_id=0), merges)
        conn.execute(sa.update(t.user).where(t.user.c.id.in_(ids[:2])).values(retired=True))

    desk.database.transact(merge)

    desk.sync([person("Ada"), person("N")])

    assert record(desk, "n").tied == ids[2]


def test_an_undo_in_parts_takes_the_word_back_with_what_came_of_it(desk: Desk) -> None:
    desk.sync([person("Ada")])
    twins = [{**person("Nina"), "Name": name, "Staff no": name.lower()} for name in ("N1", "N2")]
    desk.sync([person("Ada"), *twins])
    run = run_of(say(desk, Verb.CREATE, "n1", "n2"))

    desk.undo(run, users=["N1"])

    assert desk.names() == ["Ada", "N2"]
    assert record(desk, "n1").standing is None
    assert record(desk, "n2").standing is not None
    assert desk.quarantine() == {"n1": "shared_key"}


def test_what_a_person_said_is_not_undone_with_keep(nina: Desk) -> None:
    run = run_of(say(nina, Verb.LINK, "nina", whom=nina.user("Nina Hall").id))
    with pytest.raises(UsageError, match="without --keep"):
        nina.undo(run, keep=True)


def test_an_undo_does_not_tie_again_what_was_untied_since(nina: Desk) -> None:
    first = run_of(say(nina, Verb.LINK, "nina", whom=nina.user("Nina Hall").id))
    say(nina, Verb.UNLINK, "nina")
    nina.undo(first)
    assert nina.links()["nina"] == "unlinked"
    assert nina.quarantine() == {"nina": "unlinked"}


# -- create ----------------------------------------------------------------------------------------


def test_a_record_is_created_although_others_have_its_keys(nina: Desk) -> None:
    run = run_of(say(nina, Verb.CREATE, "nina", reason="a third one"))

    assert nina.names() == ["Ada", "Nina", "Nina Hall", "Nina Holt"]
    assert nina.user("Nina").values["job_title"] == "Pilot"
    assert nina.quarantine() == {}
    assert ("create", "nina", "created by tess: a third one") in nina.changes(run)
    nina.sync()
    assert nina.names() == ["Ada", "Nina", "Nina Hall", "Nina Holt"]


def test_undo_of_a_creation_hides_it_and_the_record_waits_again(nina: Desk) -> None:
    run = run_of(say(nina, Verb.CREATE, "nina"))
    nina.undo(run)

    assert nina.names() == ["Ada", "Nina Hall", "Nina Holt"]
    assert record(nina, "nina").standing is None
    assert nina.quarantine() == {"nina": "ambiguous_user"}


def test_a_creation_is_refused_where_it_cannot_be(desk: Desk) -> None:
    desk.sync([person("Ada"), person("Bob", Inactive="perhaps"), {**person("Cid"), "Client": ""}])
    assert desk.quarantine() == {"bob": "bad_value", "cid": "no_client"}
    why = record(desk, "bob").aside.message  # type: ignore[union-attr]
    assert refused(say(desk, Verb.CREATE, "bob")) == why
    assert "names no client" in refused(say(desk, Verb.CREATE, "cid"))
    assert desk.rows(t.decision)["decision"] == []
    assert desk.names() == ["Ada"]


def test_a_new_client_of_a_known_name_is_created_and_its_people_follow(
    desk: Desk, source: Source
) -> None:
    desk.mapping('[client]\nmatch = ["ref"]\n')
    source.organizations = [raw("acme", name="Acme")]
    source.people = [who("Ada")]
    desk.sync()
    source.organizations = [raw("acme", name="Acme"), raw("other", name="ACME")]
    source.people = [who("Ada"), who("Zoe", "other")]
    desk.sync()
    assert desk.quarantine() == {"other": "same_name", "zoe": "unknown_client"}

    run_of(say(desk, Verb.CREATE, "other"))
    assert desk.quarantine() == {"zoe": "unknown_client"}
    assert ("ACME", "Main") in desk.sites()
    desk.sync()

    assert desk.quarantine() == {}
    assert [(user.name, user.client) for user in desk.users()] == [("Ada", "Acme"), ("Zoe", "ACME")]


def test_an_organization_is_linked_to_a_client_and_its_people_follow(
    desk: Desk, source: Source
) -> None:
    desk.mapping('[client]\nmatch = ["ref"]\ncreate = false\n')
    source.organizations, source.people = [], []
    desk.sync()
    desk.mapping('[client]\nmatch = ["ref"]\n')
    source.organizations = [raw("first", name="Acme Limited")]
    desk.sync()
    say(desk, Verb.UNLINK, "first")
    source.organizations = [raw("acme", name="Acme Limited", phone="12345")]
    source.people = [who("Ada")]
    desk.sync()
    assert desk.quarantine()["acme"] == "same_name"

    run_of(say(desk, Verb.LINK, "acme", whom=desk.client("Acme Limited")))
    desk.sync()

    assert [(user.name, user.client) for user in desk.users()] == [("Ada", "Acme Limited")]


# -- ignore and forget -----------------------------------------------------------------------------


def test_an_ignored_record_is_never_heard_of_again_whatever_it_says(nina: Desk) -> None:
    run = run_of(say(nina, Verb.IGNORE, "nina", reason="a shared phone"))
    assert nina.quarantine() == {}
    assert nina.links()["nina"] == "skipped"
    assert record(nina, "nina").link.note == "ignored by tess"  # type: ignore[union-attr]
    assert nina.changes(run) == [("decide", "nina", "ignored for ever by tess: a shared phone")]

    told = nina.sync([person("Ada"), person("Nina", "Bolt", Title="Captain")])
    assert told.state == "succeeded", told
    nina.sync([person("Ada"), person("Nina", Inactive="perhaps")])
    nina.mapping('[user]\nmatch = ["email"]\n')
    nina.sync()
    nina.sync([person("Ada")])
    nina.sync([person("Ada"), person("Nina")])

    assert nina.quarantine() == {}
    assert nina.names() == ["Ada", "Nina Hall", "Nina Holt"]
    assert nina.links()["nina"] == "skipped"
    with count_writes(nina.database, *KEPT) as written:
        nina.sync()
        assert written() == {}


def test_a_record_that_cannot_be_read_can_be_ignored_too(desk: Desk) -> None:
    rows = [person("Ada"), person("Bob", Inactive="perhaps"), person("Cid"), person("Cid", "Bolt")]
    desk.sync(rows)
    assert desk.quarantine() == {"bob": "bad_value", "cid": "duplicate_key"}
    run_of(say(desk, Verb.IGNORE, "bob", "cid"))

    assert desk.sync(rows).state == "succeeded"
    assert desk.quarantine() == {}
    assert desk.sync([person("Ada"), person("Bob"), person("Cid")]).state == "succeeded"
    assert desk.names() == ["Ada"]


def test_a_row_without_a_key_cannot_be_ignored(desk: Desk) -> None:
    desk.sync([person("Ada"), {**person("Bob"), "Staff no": ""}])
    [key] = desk.quarantine()
    assert "no key" in refused(say(desk, Verb.IGNORE, key))


def test_undo_of_ignoring_lets_the_record_wait_again(nina: Desk) -> None:
    run = run_of(say(nina, Verb.IGNORE, "nina"))
    nina.undo(run)

    assert record(nina, "nina").standing is None
    assert nina.quarantine() == {"nina": "ambiguous_user"}
    nina.sync()
    assert nina.quarantine() == {"nina": "ambiguous_user"}


def test_what_is_forgotten_is_planned_by_the_next_run_even_if_it_reads_changes_only(
    desk: Desk, source: Source
) -> None:
    source.deletes = Deletes.TOMBSTONE
    source.people, source.cursor = [who("Ada"), who("Bob", "nobody")], "c1"
    desk.sync()
    assert desk.quarantine() == {"bob": "unknown_client"}
    run_of(say(desk, Verb.IGNORE, "bob"))
    source.people, source.cursor = [], "c2"
    source.organizations.append(raw("nobody", name="Nobody"))
    desk.sync()
    assert desk.names() == ["Ada"]

    run = run_of(say(desk, Verb.FORGET, "bob"))
    assert desk.quarantine() == {"bob": "undecided"}
    desk.sync()

    assert desk.names() == ["Ada", "Bob"]
    assert desk.quarantine() == {}
    assert desk.changes(run) == [("decide", "bob", "what was said about it was taken back by tess")]


def test_undo_of_forgetting_restores_the_word(nina: Desk) -> None:
    run_of(say(nina, Verb.IGNORE, "nina", reason="a phone"))
    words = nina.rows(t.decision)
    run = run_of(say(nina, Verb.FORGET, "nina"))
    assert nina.rows(t.decision)["decision"] == []

    nina.undo(run)

    assert nina.rows(t.decision) == words  # with when and by which run it was said
    nina.sync()
    assert nina.quarantine() == {}


def test_an_undo_leaves_alone_a_word_that_was_replaced_since(nina: Desk) -> None:
    first = run_of(say(nina, Verb.IGNORE, "nina"))
    run_of(say(nina, Verb.LINK, "nina", whom=nina.user("Nina Hall").id))

    undone = nina.undo(first)

    assert undone.counts["stale"] == 1
    assert record(nina, "nina").tied == nina.user("Nina Hall").id
    assert record(nina, "nina").standing.word.verdict == "link"  # type: ignore[union-attr]


# -- unlink and pin --------------------------------------------------------------------------------


def test_an_unlinked_record_waits_and_is_matched_with_nobody_by_itself(desk: Desk) -> None:
    desk.sync([person("Ada", Title="Countess"), person("Bob")])
    ada = desk.user("Ada")

    run = run_of(say(desk, Verb.UNLINK, "ada", reason="two people"))

    assert desk.links()["ada"] == "unlinked"
    assert record(desk, "ada").link.note == "unlinked by tess"  # type: ignore[union-attr]
    assert desk.quarantine() == {"ada": "unlinked"}
    assert desk.user("Ada") == ada
    assert desk.changes(run) == [("unlink", "ada", "unlinked by tess: two people")]
    desk.sync()
    desk.sync([person("Ada", Title="Duchess"), person("Bob")])
    assert desk.quarantine() == {"ada": "unlinked"}
    assert desk.user("Ada") == ada  # neither changed nor a leaver
    desk.sync([person("Bob")])
    desk.sync([person("Ada"), person("Bob")])
    assert desk.quarantine() == {"ada": "unlinked"}


def test_an_unlinked_record_out_of_scope_is_not_linked_when_it_comes_into_scope(desk: Desk) -> None:
    desk.mapping('[user]\nmatch = ["email"]\nscope = "job_title != \'Robot\'"\n')
    desk.sync([person("Ada", Title="Countess")])
    say(desk, Verb.UNLINK, "ada")

    desk.sync([person("Ada", Title="Robot")])
    desk.sync([person("Ada", Title="Countess")])

    assert desk.links()["ada"] == "unlinked"
    assert desk.quarantine() == {"ada": "unlinked"}


@pytest.mark.parametrize("verb", [Verb.LINK, Verb.CREATE, Verb.IGNORE])
def test_a_person_says_what_becomes_of_an_unlinked_record(desk: Desk, verb: Verb) -> None:
    desk.sync([person("Ada")])
    ada = desk.user("Ada").id
    say(desk, Verb.UNLINK, "ada")

    run_of(say(desk, verb, "ada", whom=ada if verb is Verb.LINK else None))
    desk.sync()

    assert desk.quarantine() == {}
    names = {Verb.CREATE: ["Ada", "Ada"]}.get(verb, ["Ada"])
    assert desk.names() == names
    assert desk.links()["ada"] == ("skipped" if verb is Verb.IGNORE else "alive")


def test_undo_ties_an_unlinked_record_again_with_its_identities_and_its_pin(
    desk: Desk, source: Source
) -> None:
    source.people = [who("Ada", identities=[["https://idp.example", "a1"]]), who("Bob")]
    desk.sync()
    run_of(say(desk, Verb.PIN, "ada"))
    before, identities = desk.living(), desk.rows(t.identity)

    run = run_of(say(desk, Verb.UNLINK, "ada"))
    assert desk.rows(t.identity)["identity"] == []
    assert not record(desk, "ada").link.pinned  # type: ignore[union-attr]
    desk.undo(run)

    assert desk.rows(t.identity) == identities
    assert desk.living() == before
    ada = record(desk, "ada")
    assert ada.link is not None
    assert (ada.tied, ada.link.pinned) == (desk.user("Ada").id, True)
    assert desk.quarantine() == {}
    assert desk.sync().state == "succeeded"
    assert desk.links()["ada"] == "alive"


def test_unlinking_takes_off_only_the_identities_of_its_own_source(
    desk: Desk, source: Source
) -> None:
    source.people = [who("Ada", identities=[["https://idp.example", "a1"]])]
    desk.sync()
    other = (t.identity.insert().values(issuer="https://other", subject="x",
             user_id=desk.user("Ada").id, connection="other"))  # fmt: skip
    desk.database.transact(lambda conn: conn.execute(other))

    say(desk, Verb.UNLINK, "ada")

    assert [row[0] for row in desk.rows(t.identity)["identity"]] == ["https://other"]


def test_unlinking_leaves_the_identities_that_another_record_of_the_source_gives(
    desk: Desk, source: Source
) -> None:
    source.people = [
        who("Ada", identities=[["https://idp.example", "a1"]]),
        who("Bob", identities=[["https://idp.example", "b1"]]),
    ]
    desk.sync()
    ada, bob = desk.user("Ada").id, desk.user("Bob").id

    def merge(conn: Transaction) -> None:
        conn.execute(sa.insert(t.merged).values(entity_id=bob, into_id=ada, kind="user", step_id=0))
        for table, column in ((t.link, t.link.c.entity_id), (t.identity, t.identity.c.user_id)):
            conn.execute(sa.update(table).where(column == bob).values({column: ada}))

    desk.database.transact(merge)

    run_of(say(desk, Verb.UNLINK, "ada"))

    assert [row[1:3] for row in desk.rows(t.identity)["identity"]] == [("b1", ada)]


def test_an_unlinked_user_is_free_for_another_record(desk: Desk) -> None:
    desk.sync([person("Ada")])
    say(desk, Verb.UNLINK, "ada")
    twin = {**person("Ada"), "Staff no": "ada2"}

    desk.sync([person("Ada"), twin])

    assert record(desk, "ada2").tied == desk.user("Ada").id
    assert desk.quarantine() == {"ada": "unlinked"}


def test_an_unlinked_record_takes_what_it_gave_with_it(nina: Desk) -> None:
    hall = nina.user("Nina Hall").id
    before = picture(nina)["user_account"]
    say(nina, Verb.LINK, "nina", whom=hall)
    nina.sync([person("Ada"), person("Nina", Title="Captain", Phone="0123 456789")])
    given = nina.user("Nina Hall").values
    assert (given["job_title"], given["phone"]) == ("Captain", "0123 456789")

    run = run_of(say(nina, Verb.UNLINK, "nina"))

    assert picture(nina)["user_account"] == before
    nina.sync()
    assert picture(nina)["user_account"] == before
    nina.undo(run)
    assert nina.user("Nina Hall").values == given


def of_hr(
    desk: Desk, verb: Verb, key: str, stream: str = "people", whom: UUID | None = None
) -> int:
    """What is said of a record of hr; the run."""
    found = answers_review.named(desk.database, Wanted("hr", stream, key=key))[0]
    return run_of(reviewing.decide(desk.engine, Ruling(verb, "tess"), [Case(found, whom)]))


def test_what_an_unlinked_record_gave_is_what_the_other_sources_say(
    desk: Desk, sources: dict[str, Source]
) -> None:
    desk.prefer(default=["hr", "entra", "xero"])
    sources["entra"].people = [who("Ada", job_title="Chef", department="Food")]
    sources["xero"].people = [who("Ada", mobile="2")]
    sources["hr"].people = [who("Ada", job_title="Boss", department="Bar", mobile="7", city="X")]
    desk.sync_each("entra", "xero", "hr")
    sources["entra"].people = [who("Ada", job_title="Cook")]  # of departments nothing any more
    desk.sync_each("entra")

    run = of_hr(desk, Verb.UNLINK, "ada")

    user, owners = desk.user("Ada").values, desk.owners("Ada")
    assert [(user[name], owners[name]) for name in ("job_title", "department", "mobile")] == [
        ("Cook", "entra"),
        ("Food", "entra"),  # as it was before
        ("2", "xero"),
    ]
    for outcome in desk.sync_each("entra", "xero"):
        assert desk.changes(outcome.run) == []
    desk.undo(run)
    assert desk.user("Ada").values["job_title"] == "Boss"


def test_a_record_that_is_linked_again_gives_again_what_it_gave(
    desk: Desk, sources: dict[str, Source]
) -> None:
    desk.prefer(default=["hr", "entra"])
    sources["entra"].people = [who("Ada", job_title="Chef")]
    sources["hr"].people = [who("Ada", job_title="Boss", department="Bar")]
    desk.sync_each("entra", "hr")
    before = desk.user("Ada").values, desk.owners("Ada")

    of_hr(desk, Verb.UNLINK, "ada")
    assert "department" not in desk.user("Ada").values
    of_hr(desk, Verb.LINK, "ada", whom=desk.user("Ada").id)

    assert (desk.user("Ada").values, desk.owners("Ada")) == before


def test_who_left_by_the_word_of_an_unlinked_record_returns_with_the_next_sync(
    desk: Desk, sources: dict[str, Source]
) -> None:
    desk.prefer(user_active=["hr"])
    sources["entra"].people = [who("Ada", active=True), who("Bob")]
    sources["hr"].people = [who("Ada", active=False), who("Bob")]
    desk.sync_each("entra", "hr")
    assert desk.names(active=False) == ["Ada"]

    of_hr(desk, Verb.UNLINK, "ada")
    desk.sync_each("entra")

    assert desk.names(active=False) == []


def test_an_unlinked_organization_takes_what_it_gave_with_it(
    desk: Desk, sources: dict[str, Source]
) -> None:
    desk.prefer(default=["hr", "entra"])
    for name, said in (("entra", {}), ("hr", {"currency": "EUR"})):
        desk.mapping('[client]\nmatch = ["name"]\n', name)
        acme = raw("acme", name="Acme", website=f"{name}.example", **said)
        sources[name].organizations, sources[name].people = [acme], [who("Ada")]
    desk.sync_each("entra", "hr")
    before = desk.living()

    run = of_hr(desk, Verb.UNLINK, "acme", "organizations")

    with desk.database.read() as conn:
        c = t.client.c
        (client,) = conn.execute(sa.select(c.website, c.currency).where(sa.not_(c.retired)))
    assert (client.website, client.currency) == ("entra.example", None)
    desk.undo(run)
    assert desk.living() == before


def test_a_user_whom_an_unlinked_record_brought_to_another_client_goes_back(
    desk: Desk, sources: dict[str, Source]
) -> None:
    desk.prefer(default=["hr", "entra"])
    shared = Identity("idp", "a")
    sources["entra"].people = [who("Ada", identities=[shared])]
    sources["hr"].people = [who("Ada", "bolt", identities=[shared])]
    desk.sync_each("entra")
    (outcome,) = desk.sync_each("hr")
    desk.approve(outcome.holds[0])
    assert desk.user("Ada").client == "Bolt"

    of_hr(desk, Verb.UNLINK, "ada")

    assert (desk.user("Ada").client, desk.user("Ada").site) == ("Acme", "Main")


def test_unlinking_takes_back_the_word_that_linked(nina: Desk) -> None:
    say(nina, Verb.LINK, "nina", whom=nina.user("Nina Hall").id)
    say(nina, Verb.UNLINK, "nina")
    assert record(nina, "nina").standing is None
    nina.sync()
    assert nina.quarantine() == {"nina": "unlinked"}


def test_a_pin_stays_through_every_later_sync_until_it_is_taken_off(desk: Desk) -> None:
    desk.sync([person("Ada"), person("Bob")])
    run = run_of(say(desk, Verb.PIN, "ada"))
    assert "pinned already" in refused(say(desk, Verb.PIN, "ada"))

    desk.sync([person("Ada", Title="Duchess"), person("Bob")])
    desk.sync([person("Bob")])
    desk.sync([person("Ada"), person("Bob")])
    assert record(desk, "ada").link.pinned  # type: ignore[union-attr]
    run_of(say(desk, Verb.UNPIN, "ada"))
    assert not record(desk, "ada").link.pinned  # type: ignore[union-attr]
    assert "tied to nobody" in refused(_ignored_then_pinned(desk))
    assert desk.changes(run) == [("decide", "ada", "pinned by tess")]


def _ignored_then_pinned(desk: Desk) -> Answer:
    desk.sync([person("Ada"), person("Bob"), person("Cid", Inactive="perhaps")])
    say(desk, Verb.IGNORE, "cid")
    return say(desk, Verb.PIN, "cid")


def test_undo_of_a_pin_takes_it_off(desk: Desk) -> None:
    desk.sync([person("Ada")])
    before = picture(desk)
    run = run_of(say(desk, Verb.PIN, "ada"))
    desk.undo(run)
    assert picture(desk) == before


# -- re-created accounts ---------------------------------------------------------------------------


def hints(desk: Desk) -> list[tuple[str, list[str]]]:
    found = answers_likely.recreated(desk.database, Wanted())
    return [(one.key, [label for _, label in one.rivals]) for one in found]


@pytest.fixture
def again(desk: Desk) -> Desk:
    """Ada's record is gone, and another with her address is there."""
    desk.sync([person("Ada"), person("Bob"), person("Cid")])
    desk.sync([person("Bob"), person("Cid")])
    desk.sync([person("Bob"), person("Cid"), {**person("Ada"), "Staff no": "ada2"}])
    return desk


def test_a_re_created_account_is_hinted_at_until_it_is_dismissed(again: Desk) -> None:
    assert hints(again) == [("ada2", ["Ada <ada@acme.example> (Acme)"])]
    again.sync()
    assert len(hints(again)) == 1

    run = run_of(say(again, Verb.DISMISS, "ada2"))
    assert hints(again) == []
    assert again.changes(run) == [("decide", "ada2", "rightly one of its own, said tess")]
    again.undo(run)
    assert len(hints(again)) == 1


def test_nobody_is_hinted_at_whose_creation_was_undone(again: Desk) -> None:
    again.undo(answers_likely.recreated(again.database, Wanted())[0].run)
    assert hints(again) == []


# -- many at once, and what may come between ----------------------------------------------------


def test_many_are_created_in_one_run_and_undone_together(desk: Desk) -> None:
    desk.sync([person("Ada")])
    twins = [{**person("Nina"), "Staff no": f"n{number}"} for number in range(3)]
    desk.sync([person("Ada"), *twins])
    assert set(desk.quarantine().values()) == {"shared_key"}

    run = run_of(say(desk, Verb.CREATE, "n0", "n1", "n2"))
    assert desk.names() == ["Ada", "Nina", "Nina", "Nina"]
    assert desk.quarantine() == {}
    desk.undo(run)

    assert desk.names() == ["Ada"]
    assert set(desk.quarantine().values()) == {"shared_key"}


def test_what_cannot_be_is_left_and_the_rest_is_done(desk: Desk) -> None:
    desk.sync([person("Ada"), person("Bob", Inactive="perhaps")])
    say(desk, Verb.UNLINK, "ada")
    answer = say(desk, Verb.CREATE, "ada", "bob")

    assert [one.key for one, _ in answer.left] == ["bob"]
    assert desk.names() == ["Ada", "Ada"]


def test_records_of_several_partitions_are_decided_in_one_run(desk: Desk, source: Source) -> None:
    source.partitions = ["acme", "bolt"]
    source.people = [who("Ada"), who("Zoe", "bolt")]
    desk.sync()

    run = run_of(say(desk, Verb.UNLINK, "ada", "zoe"))
    assert desk.quarantine() == {"ada": "unlinked", "zoe": "unlinked"}
    desk.undo(run)

    assert desk.links() == {"ada": "alive", "zoe": "alive"}
    assert desk.quarantine() == {}


def test_a_tombstone_ends_the_waiting_of_an_unlinked_record(desk: Desk, source: Source) -> None:
    source.deletes = Deletes.TOMBSTONE
    source.people = [who("Ada"), who("Bob")]
    desk.sync()
    say(desk, Verb.UNLINK, "ada")
    source.pages = [Page([], tombstones=gone("ada"))]
    desk.sync()
    assert desk.quarantine() == {}


def test_what_a_sync_did_since_the_record_was_looked_at_counts(nina: Desk) -> None:
    seen = record(nina, "nina")
    hall = nina.user("Nina Hall").id
    run_of(say(nina, Verb.LINK, "nina", whom=hall))

    answer = reviewing.decide(nina.engine, Ruling(Verb.IGNORE, "max"), [Case(seen)])

    assert "it is linked to Nina" in refused(answer)


def test_a_decision_waits_for_nobody_and_says_that_a_sync_runs(desk: Desk) -> None:
    desk.sync([person("Ada")])
    partition = record(desk, "ada").partition
    lease = desk.database.transact(lambda conn: leases.claim(desk.database, conn, partition, 60))
    with pytest.raises(Busy):
        say(desk, Verb.UNLINK, "ada")
    desk.database.transact(lease.release)
    run_of(say(desk, Verb.UNLINK, "ada"))


@pytest.mark.parametrize("verb", [Verb.LINK, Verb.CREATE])
@pytest.mark.parametrize("point", ["apply.started", "apply.batch.written", "apply.batch.committed"])
def test_a_decision_that_was_interrupted_is_finished_by_the_next_command(
    nina: Desk, point: str, verb: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    def die(name: str) -> None:
        if name == point:
            raise Died

    hall = nina.user("Nina Hall").id
    with monkeypatch.context() as patched:
        patched.setattr("syncd.sync.applying.reach", die)
        patched.setattr("syncd.store.target.apply.reach", die)
        with pytest.raises(Died):
            say(nina, verb, "nina", whom=hall if verb is Verb.LINK else None)

    assert nina.sync().state == "succeeded"

    assert states_of(nina, "review") == ["succeeded"]
    tied = record(nina, "nina").tied
    assert tied == hall if verb is Verb.LINK else tied == nina.user("Nina").id
    assert nina.quarantine() == {}


# -- the queue, and many by a filter ---------------------------------------------------------------


def offers(desk: Desk, key: str) -> list[tuple[str, str, bool]]:
    """(label, why, whether it is proof) of whom the record may be."""
    queue = suggesting.queue(desk.engine, Wanted(), None, 0)
    [entry] = [one for one in queue.entries if one.record.key == key]
    return [(one.label, one.why, one.proof) for one in entry.offers]


def test_organizations_are_suggested_by_domain_then_key_then_name(
    desk: Desk, source: Source
) -> None:
    desk.mapping('[client]\nmatch = ["tenant_id"]\n')
    source.organizations = [
        raw("a", name="Acme Ltd", domain="acme.example"),
        raw("b", name="Bolt GmbH", reference="B-1"),
        raw("c", name="Cogs"),
    ]
    desk.sync()
    say(desk, Verb.UNLINK, "a", "b")
    desk.mapping('[client]\nmatch = ["tenant_id"]\ncreate = false\n')
    source.organizations += [
        raw("x", name="Cogs Inc", website="https://www.acme.example/", reference="B-1"),
        raw("y", name="Acme Holding Limited"),
        raw("z", name="Zzz", domain="acme.example"),
    ]
    source.people = [who("Zoe", "y", mail="zoe@acme.example")]
    desk.sync()

    assert offers(desk, "x") == [
        ("Acme Ltd", "its website is their domain", False),
        ("Bolt GmbH", "same reference", True),
        ("Cogs", "name 100 %", False),
    ]
    assert offers(desk, "y")[0][:2] == ("Acme Ltd", "its people's mail is their domain, name 90 %")
    assert offers(desk, "z") == [("Acme Ltd", "same domain", True)]
    assert desk.names() == []  # suggestions link nothing


def test_people_are_suggested_by_key_and_by_name_within_their_client(nina: Desk) -> None:
    nina.add_user("Acme", name="Nina", email="other@acme.example")
    nina.sync([person("Ada"), person("Nina"), person("Zoe", "Bolt")])
    nina.add_user("Bolt", name="Nina")
    assert offers(nina, "nina") == [
        ("Nina Hall <nina@acme.example> (Acme)", "same e-mail, name 90 %", False),
        ("Nina Holt <nina@acme.example> (Acme)", "same e-mail, name 90 %", False),
        ("Nina <other@acme.example> (Acme)", "name 100 %", False),
    ]


def test_a_filter_finds_what_belongs_to_a_client_or_may_be_it(nina: Desk) -> None:
    nina.sync([person("Ada"), person("Nina"), person("Zoe", "Bolt")])
    for name in ("Pia Hall", "Pia Holt"):
        nina.add_user("Bolt", name=name, email="pia@bolt.example")
    nina.sync([person("Ada"), person("Nina"), person("Zoe", "Bolt"), person("Pia", "Bolt")])

    found = suggesting.queue(nina.engine, Wanted(), nina.client("Bolt"), 0)
    assert ([one.record.key for one in found.entries], found.total) == (["pia"], 1)
    chosen = suggesting.chosen(nina.engine, Wanted(code="ambiguous_user"), None)
    assert sorted(one.key for one in chosen) == ["nina", "pia"]
    assert list(suggesting.chosen(nina.engine, Wanted(connection="other"), None)) == []


def test_many_are_linked_only_where_a_key_proves_whom(desk: Desk) -> None:
    desk.sync([person("Ada"), person("Bob")])
    desk.mapping('[user]\nmatch = ["email"]\nadopt = false\n')
    desk.add_user("Acme", name="Cid", email="cid@acme.example")
    desk.add_user("Acme", name="Dee", email="dee@acme.example")
    twin = {**person("Dee"), "Staff no": "dee2"}
    also = {**person("Bob"), "Staff no": "bob2"}  # Bob has a record of this source already
    desk.sync([person("Ada"), person("Bob"), person("Cid"), person("Dee"), twin, also])
    codes = {"cid": "exists_locally", "dee": "exists_locally", "dee2": "exists_locally"}
    assert desk.quarantine() == {**codes, "bob2": "ambiguous_user"}

    cases, left = suggesting.choose(desk.engine, Verb.LINK, Wanted(stream="people"), None)

    assert [(case.record.key, case.entity) for case in cases] == [("cid", desk.user("Cid").id)]
    why = {one.key: told for one, told in left}
    assert why["dee"] == why["dee2"] == "several of these records would be linked to the same one"
    assert "another record of this source: bob" in why["bob2"]
    run_of(reviewing.decide(desk.engine, Ruling(Verb.LINK, "tess"), cases))
    assert record(desk, "cid").tied == desk.user("Cid").id


def test_nobody_is_linked_by_a_name_alone(desk: Desk, source: Source) -> None:
    desk.mapping('[client]\nmatch = ["ref"]\n')
    desk.sync()
    say(desk, Verb.UNLINK, "acme")
    source.organizations.append(raw("acme2", name="Acme"))
    desk.sync()
    assert desk.quarantine()["acme2"] == "same_name"

    cases, left = suggesting.choose(desk.engine, Verb.LINK, Wanted(code="same_name"), None)

    assert cases == []
    assert [why for _, why in left] == ["no key proves whom it is"]


def test_suggestions_read_each_table_once_however_long_the_queue(
    desk: Desk, source: Source
) -> None:
    desk.mapping('[client]\nmatch = ["ref"]\ncreate = false\n')
    source.organizations = [raw(f"o{number}", name=f"Org {number}") for number in range(30)]
    desk.sync()
    asked: list[str] = []

    def listen(_conn: object, _cursor: object, sql: str, *_rest: object) -> None:
        asked.append(sql)

    sa.event.listen(desk.database.engine, "before_cursor_execute", listen)
    suggesting.queue(desk.engine, Wanted(), None, 0)
    assert len([sql for sql in asked if "trading_name" in sql]) == 1
    assert len(asked) < 25
