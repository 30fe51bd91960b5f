"""A process that dies while it renews what authorizes a connection: no grant is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from syncd import failpoints
from syncd.sealing import new_key
from syncd.store.dump import canonical_dump
from syncd.sync import flow
from syncd.sync.engine import Engine
from syncd.sync.granting import vault
from tests.chaos.desk import Desk
from tests.fakes.https import ca_file
from tests.fakes.microsoft.signin import CLIENT_ID, CLIENT_SECRET
from tests.fakes.microsoft.world import MicrosoftWorld

NewDesk = Callable[..., Desk]


@pytest.fixture
def world() -> Iterator[MicrosoftWorld]:
    with MicrosoftWorld().serving() as made:
        for number in range(2):
            tenant = made.directory.customer(f"Customer {number}")
            tenant.add(f"Person {number}")
        yield made


def connected(desk: Desk, world: MicrosoftWorld) -> Desk:
    """A desk on which somebody has signed in for a partner."""
    private = ", ".join(f'"{one}"' for one in world.network().private)
    with (desk.folder / "syncd.toml").open("a") as main:
        main.write(f'[network]\nprivate = [{private}]\nca_file = "{ca_file()}"\n')
    servers = world.servers
    (desk.folder / "connections" / "csp.toml").write_text(
        'connector = "microsoft_csp"\n[config]\n'
        f'tenant = "{world.directory.home.id}"\nclient_id = "{CLIENT_ID}"\n'
        f'client_secret = "{CLIENT_SECRET}"\nauthority = "{servers["signin"].root}"\n'
        f'graph = "{servers["graph"].root}/v1.0"\n'
        f'partner_center = "{servers["partner"].root}/v1"\n'
    )
    (desk.folder / "syncd.keys").write_text(new_key())
    grant = {"refresh_token": world.service.first_grant()}
    desk.use(lambda engine: vault(engine.database, engine.settings, "csp").put(grant, "ada"))
    return desk


def read(engine: Engine) -> tuple[str, str]:
    """How a sync ends, and what is kept then; whoever claimed the grant is given up by now."""
    engine.database.clock_offset += timedelta(minutes=10)
    outcome = flow.sync(engine, "csp")
    return outcome.state, canonical_dump(engine.database)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", failpoints.GRANTING)
def test_whoever_goes_on_signs_in_with_what_is_kept(
    dialect: str, count: int, name: str, new_desk: NewDesk, world: MicrosoftWorld
) -> None:
    undisturbed = connected(new_desk(dialect, "undisturbed"), world).use(read)
    desk = connected(new_desk(dialect), world)

    # Not forked: the miniature's threads are at work in this process.
    program = "import sys; from syncd import cli; sys.exit(cli.run(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "--config", str(desk.folder), "sync", "csp"]
    armed = {**os.environ, "SYNCD_FAILPOINT": f"{name}:{count}"}
    ended = subprocess.run(command, env=armed, capture_output=True, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert desk.use(read) == undisturbed

    def kept(engine: Engine) -> str:
        found = vault(engine.database, engine.settings, "csp").read()
        return found.content["refresh_token"] if found else ""

    assert desk.use(kept) in world.service.refresh_tokens
