"""Runs, changes and quarantined records in words: the same in every command that shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from syncd.changes import (
    ASIDE,
    DECISION,
    HEALED,
    JOINED_SCOPE,
    LEFT_SCOPE,
    LICENSES,
    MERGED,
    OVERRIDES,
    OWNERS,
    PINNED,
    RIVALS,
    Action,
)
from syncd.cli.advice import advice
from syncd.cli.console import plain, quoted, say, some
from syncd.cli.exits import is_change

if TYPE_CHECKING:
    from syncd.store.answers_runs import AsideLine, ChangeLine
    from syncd.sync.closing import Edit, FileTold, Outcome


def summary(name: str, outcome: Outcome) -> Iterator[str]:
    """How a run went, in a few lines."""
    counts = outcome.counts
    yield f"{name}: run {outcome.run} {_ending(outcome)}"
    yield from file_lines(outcome.file)
    if outcome.edit:
        yield f"  {_edit(outcome.edit)}"
    if reads := _reads(counts):
        yield f"  {'stored' if outcome.edit else 'read':<12}{reads}"
    undoes = outcome.mode == "undo"
    yield f"  {_verb(outcome)}  {_changes(counts, but='link' if undoes else '') or 'nothing'}"
    if undoes and (stays := _counted(counts, "link")):
        yield f"  stays       {', '.join(stays)}"
    if counts.get("stale"):
        yield f"  left out    {some(counts['stale'], 'change')} that no longer fitted"
    for told in _scope(counts, done=not _waits(outcome)):
        yield f"  scope       {told}"
    if aside := _aside(counts, outcome.mode):
        yield f"  quarantine  {aside}"
    if gaps := _gaps(counts):
        yield f"  gaps        {gaps}: syncd gaps"
    if outcome.mode in ("plan", "apply") and counts.get("read people") == 0:
        yield "  nobody      not a single person was read"
    for notice in outcome.notices:
        yield f"  note        {plain(notice)}"
    for overrun in outcome.overruns:
        yield f"  limit       {plain(overrun)}"


def file_summary(name: str, outcome: Outcome) -> Iterator[str]:
    """What became of a dropped file of which no run was made."""
    yield f"{name}: {plain(outcome.reason or outcome.state)}"
    yield from file_lines(outcome.file)


def file_lines(file: FileTold | None) -> Iterator[str]:
    """Where a dropped file was put, and the answers that lie beside it."""
    if file is None:
        return
    went = f" -> {plain(file.went)}" if file.went else ""
    yield f"  file        {plain(file.name)}{went}"
    for answer in file.answers:
        yield f"  answer      {plain(answer)}"


def _ending(outcome: Outcome) -> str:
    if outcome.state == "planned":
        by = f" from stored items, under {plain(outcome.edit.mapping)}" if outcome.edit else ""
        held = "; a sync would be held" if outcome.overruns else ""
        return f"planned{by}; nothing was changed{held}"
    said = {"held": "held: nothing is changed until someone approves it"}
    reason = f": {plain(outcome.reason)}" if outcome.reason else ""
    return said.get(outcome.state, outcome.state + reason)


def _edit(edit: Edit) -> str:
    if not edit.users:
        return "this edit changes no user"
    return f"this edit changes {some(edit.users, 'user')} in {some(edit.clients, 'client')}"


def _scope(counts: Mapping[str, int], *, done: bool) -> Iterator[str]:
    """How many left the scope or came into it, and the rule for those who left."""
    left_it, came = ("went", "came") if done else ("would be", "would come")
    for name, count in counts.items():
        left, _, rule = name.partition(LEFT_SCOPE)
        if count and rule and not left:
            yield f"{some(count, 'user')} {left_it} out of scope; their rule is to {rule} them"
    if joined := counts.get(JOINED_SCOPE):
        yield f"{some(joined, 'record')} {came} into scope"


def _verb(outcome: Outcome) -> str:
    if _waits(outcome):
        return "would do  "
    return "took back " if outcome.mode == "undo" else "did       "


def _waits(outcome: Outcome) -> bool:
    return outcome.state in ("planned", "held") or outcome.code == "rejected"


def _reads(counts: Mapping[str, int]) -> str:
    reads = [f"{n} {k.removeprefix('read ')}" for k, n in counts.items() if k.startswith("read ")]
    if unchanged := counts.get("unchanged"):
        reads.append(f"{unchanged} of them unchanged")
    return ", ".join(reads)


def _changes(counts: Mapping[str, int], *, but: str = "") -> str:
    """`create 5 clients, 40 users; update 3 users`, without one kind of action."""
    actions = dict.fromkeys(name.partition(" ")[0] for name in counts if is_change(name))
    done = {action: _counted(counts, action) for action in actions if action != but}
    return "; ".join(f"{action} {', '.join(parts)}" for action, parts in done.items() if parts)


def _counted(counts: Mapping[str, int], action: str) -> list[str]:
    """`5 clients`, `40 users`: what was done to each kind of entity."""
    return [
        some(count, name.partition(" ")[2])
        for name, count in counts.items()
        if count and is_change(name) and name.startswith(f"{action} ")
    ]


def _aside(counts: Mapping[str, int], mode: str) -> str:
    fresh, healed = counts.get("quarantined", 0), counts.get(HEALED, 0)
    waiting = counts.get("in quarantine", 0) - healed
    parts = []
    if fresh:
        parts.append(f"{fresh} {'would be ' if mode == 'plan' else ''}set aside")
    if healed:
        parts.append(f"{healed} would come out")
    if waiting:
        parts.append(f"{waiting} {'now waiting' if fresh else 'still waiting'}")
    return ", ".join(parts)


def _gaps(counts: Mapping[str, int]) -> str:
    people, users = counts.get("people not on the desk", 0), counts.get("users in no source", 0)
    missing = "1 person of the source is" if people == 1 else f"{people} people of the source are"
    alone = "1 user on the desk is" if users == 1 else f"{users} users on the desk are"
    parts = [f"{missing} not on the desk"] if people else []
    return ", ".join([*parts, f"{alone} in no source"] if users else parts)


# -- changes ---------------------------------------------------------------------------------------


def change_lines(change: ChangeLine) -> Iterator[str]:
    """One change: what, who and why, then each field before and after."""
    yield f"{_action(change)} {change.kind}  {who(change)}: {plain(change.reason)}"
    for field, before, after in fields(change):
        yield f"    {field}: {quoted(before)} -> {quoted(after)}"
    gives = "gives back" if change.mode == "undo" else "assigns"
    for verb, side in (("releases", change.after), (gives, change.before)):
        if pools := side.get(LICENSES):
            yield f"    {verb} {_licenses(pools)}"


def _licenses(pools: Sequence[tuple[str, int]]) -> str:
    """`3 licenses: Office, Visio (2)`."""
    pools = sorted(pools)
    names = [plain(name) if count == 1 else f"{plain(name)} ({count})" for name, count in pools]
    return f"{some(sum(count for _, count in pools), 'license')}: {', '.join(names)}"


def _action(change: ChangeLine) -> str:
    if change.status == "left out":
        return f"left out: {change.action}"
    return "leave" if change.mode == "undo" and change.action == Action.LINK else change.action


def origin(change: ChangeLine) -> str:
    """The run that a change belongs to, by whom, and what became of it."""
    source = f"{change.connection}, " if change.connection else ""
    status = "" if change.status == "done" else f", {change.status}"
    return f"run {change.run} ({source}{change.mode} by {change.actor}){status}"


def who(change: ChangeLine) -> str:
    """The entity, and the client (of a new user the site too) that it belongs to."""
    place = [change.client] if change.client and change.kind != "client" else []
    if change.action == "create" and change.after.get("site"):
        place.append(change.after["site"])
    return ", ".join(filter(None, (plain(change.label), " / ".join(map(plain, place)))))


def fields(change: ChangeLine) -> Iterator[tuple[str, Any, Any]]:
    """(field, before, after); none of a creation, whose values are all new."""
    if change.action == "create":
        return
    for name in _names(change.before, change.after):
        if name == OVERRIDES:
            yield from _overrides(change)
        elif name == "identities":
            before, after = (len(side.get(name) or ()) for side in (change.before, change.after))
            yield "identities", before, after
        elif name in _ABOUT_RECORDS:
            told, part = _ABOUT_RECORDS[name]
            before, after = (_part(side.get(name), part) for side in (change.before, change.after))
            yield told, before, after
        elif name == OWNERS:
            yield from _new_owners(change)
        elif name == MERGED:
            yield from _carried(change)
        elif name != LICENSES:
            yield name, change.before.get(name), change.after.get(name)


def _carried(change: ChangeLine) -> Iterator[tuple[str, Any, Any]]:
    """How much went from an entity to the one that it was merged into, or came back from there."""
    gone, back = (side.get(MERGED) or {} for side in (change.after, change.before))
    for name, told in _CARRIED.items():
        before, after = (_count(side.get(name)) for side in (gone, back))
        if before != after:
            yield told, before, after


_CARRIED = {"links": "records", **{name: name for name in ("identities", "pools", "subscriptions")}}


def _count(many: Any) -> int:
    return many if isinstance(many, int) else len(many or ())


def _new_owners(change: ChangeLine) -> Iterator[tuple[str, Any, Any]]:
    """Values that stay what they are, and are another source's from now on."""
    before, after = (side.get(OWNERS) or {} for side in (change.before, change.after))
    for name in _names(before, after):
        if name not in change.after:
            yield f"source of {name}", before.get(name), after.get(name)


_ABOUT_RECORDS = {
    DECISION: ("standing word", "verdict"),
    ASIDE: ("waits as", "code"),
    PINNED: ("pinned", ""),
}
"""What a change says of its record: as what it is told, and which part of it."""


def _part(value: Any, part: str) -> Any:
    return value[part] if part and value else value


def _overrides(change: ChangeLine) -> Iterator[tuple[str, Any, Any]]:
    before, after = (side.get(OVERRIDES) or {} for side in (change.before, change.after))
    for name in _names(before, after):
        was, word = before.get(name), after.get(name)
        if was == word:
            continue
        if name in ("identities", LICENSES):  # that they are not to change says enough
            yield f"{name} set by hand", was is not None, word is not None
        elif (was, word) in ((None, ""), ("", None)):  # both would read as empty
            yield f"{name} blank by hand", was == "", word == ""
        else:
            yield f"{name} set by hand", was, word


def _names(*sides: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for side in sides for name in side))


def change_json(change: ChangeLine) -> dict[str, Any]:
    """One change for programs; a creation with all its values."""
    told = change._asdict()
    before, after = told.pop("before"), told.pop("after")
    owners = [side.pop(OWNERS, None) or {} for side in (before, after)]
    before.pop(RIVALS, None)
    named = _names(before, after)
    told["fields"] = {
        name.removeprefix("@"): {"before": before.get(name), "after": after.get(name)}
        for name in named
    }
    told["owners"] = {
        name: {"before": owners[0].get(name), "after": owners[1].get(name)}
        for name in _names(*owners)
    }
    return told


# -- quarantine ------------------------------------------------------------------------------------


def say_quarantine(lines: Sequence[AsideLine]) -> None:
    """What was set aside, why, and what to repair."""
    for one in lines:
        say(f"{one.code}  {plain(one.key)}  ({one.stream} of {one.connection})")
        for told in aside_details(one):
            say(f"    {told}")


def aside_details(one: AsideLine) -> Iterable[str]:
    """Why a record was set aside, who it may be, since when, and what to repair."""
    about = f" ({', '.join(one.fields)})" if one.fields and one.fields != [""] else ""
    yield plain(one.message) + about
    if one.rivals:
        yield "perhaps: " + "; ".join(plain(rival) for rival in one.rivals)
    if repair := advice(one.code):
        yield f"repair: {repair}"
    if one.since:
        yield f"since {plain(one.since)} (run {one.run})"


def aside_json(one: AsideLine) -> dict[str, Any]:
    """A quarantined record for programs, with what to repair."""
    return {**one._asdict(), "repair": advice(one.code)}
