"""Whatever an edit of the mapping is, stored items tell what a read of the same directory would."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.changes import JOINED_SCOPE, LEFT_SCOPE
from syncd.sync import flow, replanning
from syncd.sync.flow import Outcome
from tests.properties.directory import Directory, histories
from tests.properties.states import contents, difference, plan, state
from tests.properties.worlds import NAME, TIGHT, WIDE, Worlds, serve, sync

settings.load_profile("sameness")

EDITS = (
    "",
    '[user.fields]\njob_title = "{display_name}, {job_title}"\nphone = "mail"\n',
    '[user.fields]\nlogin = false\nother1 = { expr = "length(mail) > `7` && abs(mail)" }\n',
    "[user]\nscope = \"display_name != 'Ann'\"\n",
    "[user]\nscope = \"user_type == 'Guest'\"\n[gone]\nout_of_scope = { action = 'keep' }\n",
    "[user]\nscope = ''\nmatch = ['login']\n",
    "[user]\nmatch = [['email', 'name']]\n[client]\nmatch = ['ref']\n",
    "[client]\nmatch = ['name']\ncreate = false\n[client.fields]\nnotes = 'name'\n",
    "[site]\nfrom = 'job_title'\nby_email_domain = true\notherwise = 'holding'\n",
    "[site]\ncreate = false\n[site.fields]\nnotes = '{name} {name}'\n[user]\nadopt = false\n",
    "[gone]\ndisabled = { action = 'keep' }\nout_of_scope = { after = '2 reads' }\n",
)


@given(histories(least=1), st.sampled_from(EDITS), st.sampled_from((WIDE, TIGHT)))
def test_an_edit_is_planned_from_stored_items_as_from_the_directory_itself(
    worlds: Worlds, days: list[Directory], edit: str, limit: str
) -> None:
    engine = worlds.new(limit)
    for day in days:
        sync(engine, day)
    file = worlds.folder / "edit.toml"
    file.write_text(f'extends = "{NAME}"\n{edit}', encoding="utf-8")
    before, dump = contents(engine.database), state(engine.database)

    stored = replanning.plan_under(engine, NAME, file, "me")

    said = plan(engine.database, stored.run)
    serve(days[-1])
    read = flow.sync(engine.under(NAME, file), NAME, mode="plan")
    assert difference(plan(engine.database, read.run), said) == ""
    assert counted(stored) == counted(read)
    assert stored.overruns == read.overruns
    assert difference(dump, state(engine.database)) == ""
    assert {**contents(engine.database), "change": []} == {**before, "change": []}


def counted(outcome: Outcome) -> dict[str, int]:
    """How many records an edit moves into the scope, the quarantine, or out of them."""
    wanted = ("quarantined", JOINED_SCOPE, LEFT_SCOPE)
    return {name: n for name, n in outcome.counts.items() if n and name.startswith(wanted)}
