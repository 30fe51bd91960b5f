"""REVIEW: a person's word about single records. It stands from now on, and is acted on at once.

    may it be? -> one run: these records alone are planned, by their stored bytes -> apply

The provider is not asked and no limit holds it, but it is a stored plan like any other: explained,
in the ledger, and taken back by an undo together with the word.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from syncd.changes import Decisions, LinkState, Word
from syncd.connectors.base import Stream
from syncd.entities import Entity
from syncd.mapping.items import Item
from syncd.mapping.planner import Planner
from syncd.store import answers, answers_likely, answers_review
from syncd.store.answers_review import Record, Wanted
from syncd.store.database import Transaction
from syncd.store.draft import Draft
from syncd.store.entities import load_entities
from syncd.store.facts import StoreFacts
from syncd.store.leases import Lease
from syncd.store.runs import StepRow
from syncd.store.target import words
from syncd.sync import rulings
from syncd.sync.closing import Outcome, close
from syncd.sync.engine import Engine
from syncd.sync.rulings import Case, Ledger, Ruling, Verb
from syncd.sync.settling import resolve_conflicts, settle
from syncd.sync.step import PAGE_OF_SETTLING, Step
from syncd.sync.untying import Untying
from syncd.sync.walking import apply_stored, claim, planning_context, prepare, release, work_on

MODE = "review"
_TRIED = (Verb.LINK, Verb.CREATE)
_PLANNED = (*_TRIED, Verb.IGNORE)
"""What makes a record be planned anew; what of it is tried first."""


@dataclass(slots=True)
class Answer:
    """What came of a ruling: a run for each connection; what it left alone, and what waits although
    the word about it stands; each with why.
    """

    outcomes: list[tuple[str, Outcome]] = field(default_factory=list)
    left: list[tuple[Record, str]] = field(default_factory=list)
    waiting: list[tuple[Record, str]] = field(default_factory=list)


def decide(engine: Engine, ruling: Ruling, cases: Sequence[Case]) -> Answer:
    """Say it about each of the records where that can be. Raises Busy while a sync runs."""
    answer = Answer()
    by_connection: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_connection[case.record.connection].append(case)
    for name, some in by_connection.items():
        _decide(engine, name, ruling, some, answer)
    return answer


def _decide(
    engine: Engine, name: str, ruling: Ruling, cases: Sequence[Case], answer: Answer
) -> None:
    finish_left_over(engine, name)
    leases: dict[int, Lease] = {}
    try:
        for partition in sorted({case.record.partition for case in cases}):
            leases[partition] = claim(engine, partition)
        cases = _as_they_stand(engine, cases)
        accepted = {
            partition: list(_accepted(engine, name, ruling, _of(cases, partition), answer))
            for partition in leases
        }
        if not any(accepted.values()):
            return
        run, steps = _open(engine, name, ruling, [one for one in leases if accepted[one]])
        for step in steps:
            assert step.partition is not None
            lease = leases[step.partition]
            _rule(engine, name, step, lease, ruling, accepted[step.partition], answer)
    finally:
        for lease in leases.values():
            release(engine, lease)
    answer.outcomes.append((name, close(engine, run)))


def _as_they_stand(engine: Engine, cases: Sequence[Case]) -> list[Case]:
    """The cases with what stands about their records now that nobody else writes to them."""
    found = []
    for partition in dict.fromkeys(case.record.partition for case in cases):
        for some in _pages(_of(cases, partition)):
            records = answers_review.again(engine.database, [case.record for case in some])
            found += [Case(new, case.entity) for new, case in zip(records, some, strict=True)]
    return found


def _of(cases: Sequence[Case], partition: int) -> list[Case]:
    return [case for case in cases if case.record.partition == partition]


def _open(
    engine: Engine, name: str, ruling: Ruling, partitions: Sequence[int]
) -> tuple[int, list[StepRow]]:
    connection = engine.runs.ensure_connection(name, "")

    def work(conn: Transaction) -> int:
        run = engine.runs.insert_run(conn, connection.id, MODE, ruling.actor)
        for partition in partitions:
            engine.runs.add_step(conn, run, partition)
        return run

    run = engine.runs.opened(work)
    return run, engine.database.query(lambda conn: engine.runs.steps(conn, run))


def finish_left_over(engine: Engine, name: str) -> None:
    """What a person said stands although the process ended before all of it was done: do the rest.
    What was not yet planned was not said.
    """
    connection = engine.runs.ensure_connection(name, "")
    left = engine.database.query(lambda conn: engine.runs.open_run_of(conn, connection.id))
    if left is None or left[1] != MODE:
        return
    run = left[0]
    for step in engine.database.query(lambda conn: engine.runs.steps(conn, run)):
        if step.state != "due":
            continue
        if step.phase == "apply":
            work_on(engine, name, step)
        elif step.partition is not None:
            _lay_aside(engine, step, step.partition)
    close(engine, run)


def _lay_aside(engine: Engine, step: StepRow, partition: int) -> None:
    lease = claim(engine, partition)  # Busy while whoever began it lives

    def work(conn: Transaction) -> None:
        lease.hold(engine.database, conn)
        Draft(engine.database, step.id).clear(conn)
        reason = "the process ended before it was planned; nothing was changed"
        engine.runs.update_step(conn, step.id, state="cancelled", code="interrupted", reason=reason)

    try:
        engine.database.transact(work)
    finally:
        release(engine, lease)


# -- may it be? ------------------------------------------------------------------------------------


def _accepted(
    engine: Engine, name: str, ruling: Ruling, cases: Sequence[Case], answer: Answer
) -> Iterator[Case]:
    """The cases in which it can be said; the others go to `answer.left` with why."""
    trial = _Trial(engine, name, cases[0].record.partition) if ruling.verb in _TRIED else None
    for some in _pages(cases):
        refused = _refusals(engine, ruling, some)
        if trial:
            tried = [case for case in some if case.record.key not in refused]
            refused |= trial.refusals(ruling, tried)
        for case in some:
            if why := refused.get(case.record.key):
                answer.left.append((case.record, why))
            else:
                yield case


def _pages(cases: Sequence[Case]) -> Iterator[Sequence[Case]]:
    """Cases of one stream, so many at a time, in the order in which streams are planned."""
    for stream in answers_review.STREAMS:
        these = [case for case in cases if case.record.stream == stream]
        for start in range(0, len(these), answers_review.AT_ONCE):
            yield these[start : start + answers_review.AT_ONCE]


def _refusals(engine: Engine, ruling: Ruling, cases: Sequence[Case]) -> dict[str, str]:
    """Why it cannot be said, by key. `cases` are of one connection and stream."""
    record, database = cases[0].record, engine.database
    wanted = {case.entity for case in cases if case.entity}
    tied = {case.record.tied for case in cases if case.record.tied}

    def look(conn: Transaction) -> tuple[dict[UUID, str], dict[UUID, Entity], dict[UUID, str]]:
        labels = answers.labels(database, conn, wanted | tied)
        entities = load_entities(database, conn, record.kind, wanted)
        ties = answers_review.living_ties(database, conn, record.connection, record.stream, wanted)
        return labels, entities, ties

    found, hinted = database.query(look), set()
    if ruling.verb is Verb.DISMISS:
        wanted_hints = Wanted(record.connection, record.stream)
        hinted = {one.key for one in answers_likely.recreated(database, wanted_hints)}
    return {
        case.record.key: why
        for case in cases
        if (why := rulings.refusal(ruling, case, *found, hinted)) is not None
    }


class _Trial:
    """Planning records as they would be planned, to see what comes of them; nothing is stored."""

    def __init__(self, engine: Engine, name: str, partition: int) -> None:
        self.database = engine.database
        self.partition = partition
        self.streams = {one.name: one for one in engine.connector(name).streams()}
        connection = engine.runs.ensure_connection(name, "").id
        self.facts = StoreFacts(engine.database, connection, partition, 0)
        self.planner = Planner(planning_context(engine, name, self.facts, engine.rules(name)))

    def refusals(self, ruling: Ruling, cases: Sequence[Case]) -> dict[str, str]:
        """Which records cannot be created, or are none of ours to be linked, and why."""
        self.facts.new_words = _new_words(ruling, cases)
        keys = [case.record.key for case in cases]
        raws: dict[str, bytes] = {}
        decisions = Decisions()
        if cases and (stream := self.streams.get(cases[0].record.stream)):
            with self.facts.open():
                raws = answers_review.raws(
                    self.database, self.facts.conn, self.partition, stream.name, keys
                )
                items = [Item(key, raw, b"") for key, raw in raws.items()]
                links = self.facts.links(stream.name, list(raws))
                decisions = self.planner.plan(
                    stream.name, stream.parse, items, links, quarantined=False
                )
        skipped = [one.key for one in decisions.links if one.state == LinkState.SKIPPED]
        refused = dict.fromkeys(skipped, "it is out of the mapping's scope")
        if ruling.verb is Verb.CREATE:
            refused |= {one.key: one.message for one in decisions.quarantined}
            unread = [key for key in keys if key not in raws]
            refused |= dict.fromkeys(unread, "nothing that could be read is stored of it")
        return refused


def _new_words(ruling: Ruling, cases: Sequence[Case]) -> dict[tuple[str, str], Word]:
    said = {(case.record.stream, case.record.key): ruling.word(case) for case in cases}
    return {record: word for record, word in said.items() if word}


# -- doing it --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Fates:
    """What the plan makes of records, by stream and key."""

    settled: dict[tuple[str, str], UUID | None] = field(default_factory=dict)
    """Whom they are tied to; None for nobody: they are ignored."""
    aside: dict[tuple[str, str], str] = field(default_factory=dict)
    """Why they still wait."""


def _rule(
    engine: Engine,
    name: str,
    row: StepRow,
    lease: Lease,
    ruling: Ruling,
    cases: Sequence[Case],
    answer: Answer,
) -> None:
    """One partition's part: the plan is stored, with the word in the ledger, then applied."""
    step = prepare(engine, name, row, lease)
    fates = _plan(step, ruling, cases) if ruling.verb in _PLANNED else _Fates()
    for some in _pages(cases):
        _store_words(step, ruling, some, fates)

    def ready(conn: Transaction) -> None:
        engine.runs.update_step(
            conn,
            step.id,
            phase="apply",
            pages=step.draft.next_page,
            mapping_version=step.digest_key.hex(),
            counts=dict(step.counts),
            notices=step.notices,
        )

    step.write(ready)
    apply_stored(engine, name, row, lease)
    if ruling.verb in _TRIED:
        answer.waiting += _still_waiting(cases, fates)


def _plan(step: Step, ruling: Ruling, cases: Sequence[Case]) -> _Fates:
    """Plan these records and nobody else, as the word about them says."""
    step.facts.new_words = _new_words(ruling, cases)
    for stream in step.connector.streams():
        keys = [case.record.key for case in cases if case.record.stream == stream.name]
        for start in range(0, len(keys), step.batch):
            _plan_some(step, stream, keys[start : start + step.batch])
        resolve_conflicts(step, stream)
    settle(step)  # the main sites of new clients; nobody is missing where nothing was read
    fates = _Fates()
    with step.facts.open():
        for page in step.draft.pages(step.facts.conn):
            settled = (LinkState.ALIVE, LinkState.SKIPPED)
            links = [one for one in page.body.links if one.state in settled]
            fates.settled |= {(one.stream, one.key): one.entity for one in links}
            fates.aside |= {(one.stream, one.key): one.message for one in page.body.quarantined}
    return fates


def _plan_some(step: Step, stream: Stream, keys: Sequence[str]) -> None:
    with step.facts.open():
        conn, partition = step.facts.conn, step.lease.partition
        raws = answers_review.raws(step.database, conn, partition, stream.name, keys)
        items = step.items(list(raws.items()))
        links = step.facts.links(stream.name, list(raws))
        decisions = step.planner.plan(stream.name, stream.parse, items, links)
    step.store(stream.name, PAGE_OF_SETTLING, decisions)


def _store_words(step: Step, ruling: Ruling, cases: Sequence[Case], fates: _Fates) -> None:
    """Add to the draft what the ruling says about records of one stream."""
    stream = cases[0].record.stream
    keys = [case.record.key for case in cases]
    with step.facts.open():
        known, out = _ledger(step, ruling, cases, stream, keys, fates)
    for case in cases:
        rulings.rule(ruling, case, known, out)
    step.store(stream, PAGE_OF_SETTLING, out)


def _ledger(
    step: Step,
    ruling: Ruling,
    cases: Sequence[Case],
    stream: str,
    keys: Sequence[str],
    fates: _Fates,
) -> tuple[Ledger, Decisions]:
    """What stands about them, and what must be made before it is changed."""
    database, conn, partition = step.database, step.facts.conn, step.lease.partition
    kind = cases[0].record.kind
    concerned = {one for case in cases if (one := case.entity or case.record.tied)}
    stored = load_entities(database, conn, kind, concerned)
    ties = (
        {}
        if ruling.verb is not Verb.UNLINK
        else {
            case.record.key: stored[case.record.tied]
            for case in cases
            if case.record.tied in stored
        }
    )
    untying = Untying(step, kind, stream, ties)
    ledger = Ledger(
        words.stored(database, conn, partition, stream, keys),
        stored,
        untying.by_key(),
        {key: entity for (of, key), entity in fates.settled.items() if of == stream},
        frozenset(answers_review.raws(database, conn, partition, stream, keys)),
    )
    return ledger, untying.page.out


def _still_waiting(cases: Sequence[Case], fates: _Fates) -> Iterator[tuple[Record, str]]:
    for record, _ in cases:
        place = (record.stream, record.key)
        if place not in fates.settled:
            waits = record.aside.message if record.aside else "it is to be read again first"
            yield record, fates.aside.get(place, waits)
