"""A person signs in once, and the connection can renew what came of it by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from syncd.connectors.asking import Manner
from syncd.connectors.base import Context
from syncd.connectors.grants import Held
from syncd.connectors.microsoft import signing_in
from syncd.connectors.microsoft.entra import Entra, EntraConfig
from syncd.errors import AuthFailed
from tests.fakes.microsoft.signin import CLIENT_ID, CLIENT_SECRET
from tests.fakes.microsoft.world import MicrosoftWorld
from tests.fakes.vault import MemoryVault


@dataclass
class Someone:
    """Whoever signs in, and what they were told."""

    world: MicrosoftWorld
    manner: Manner = Manner.BROWSER
    typed: str = CLIENT_SECRET
    told: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    """What their browser opens instead of where they are sent."""

    def tell(self, sentence: str, /) -> None:
        self.told.append(sentence)

    def open(self, url: str, /) -> None:
        there, form = self.world.service.sign_in(url)
        for other in self.answers:
            elsewhere = there.rpartition("/")[0] + other
            stolen = requests.post(elsewhere, data={"code": "stolen"}, timeout=5)
            assert stolen.status_code == 400
        assert requests.get(there, params=form, timeout=5).status_code == 501
        threading.Thread(target=requests.post, args=(there, form), kwargs={"timeout": 5}).start()

    def secret(self, what: str, /) -> str:
        self.told.append(what)
        return self.typed


@pytest.fixture
def world() -> Iterator[MicrosoftWorld]:
    with MicrosoftWorld().serving() as made:
        yield made


def entra(world: MicrosoftWorld, vault: MemoryVault | None = None, **config: object) -> Entra:
    given = {
        "tenant": world.directory.home.id,
        "client_id": CLIENT_ID,
        "authority": world.servers["signin"].root,
        "graph": f"{world.servers['graph'].root}/v1.0",
        **config,
    }
    context = Context("entra", Path(), world.network(), vault)
    return Entra(EntraConfig.model_validate(given), context)


@pytest.mark.parametrize("manner", list(Manner))
def test_a_person_signs_in_and_the_connection_goes_on_with_that(
    world: MicrosoftWorld, manner: Manner
) -> None:
    content = entra(world, sign_in="person").connect(Someone(world, manner))
    assert set(content) == {"refresh_token"}
    vault = MemoryVault(Held(1, content))
    entra(world, vault, sign_in="person").check()
    assert vault.held is not None
    assert vault.held.version == 2
    assert vault.held.content["refresh_token"] in world.service.refresh_tokens
    assert vault.held.content != content


def test_a_code_is_shown_with_the_page_where_it_is_entered(world: MicrosoftWorld) -> None:
    someone = Someone(world, Manner.CODE)
    entra(world, sign_in="person").connect(someone)
    assert someone.told == [
        "open https://microsoft.example/devicelogin and enter the code DEVICE42"
    ]


def test_a_code_will_do_where_the_application_has_a_secret(world: MicrosoftWorld) -> None:
    someone = Someone(world, Manner.CODE)
    content = entra(world, sign_in="person", client_secret=CLIENT_SECRET).connect(someone)
    assert content["refresh_token"] in world.service.refresh_tokens


def test_nobody_else_on_the_machine_can_answer_for_the_browser(world: MicrosoftWorld) -> None:
    guesses = ["/", "/?code=stolen", "/callback"]
    content = entra(world, sign_in="person").connect(Someone(world, answers=guesses))
    assert content["refresh_token"] in world.service.refresh_tokens


def test_an_answer_with_another_state_is_refused(
    world: MicrosoftWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = world.service.sign_in

    def forged(url: str) -> tuple[str, dict[str, str]]:
        there, form = right(url)
        return there, {**form, "state": "forged"}

    monkeypatch.setattr(world.service, "sign_in", forged)
    with pytest.raises(Exception, match="no token"):
        entra(world, sign_in="person").connect(Someone(world))


def test_nobody_signs_in_in_time(world: MicrosoftWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing_in, "PATIENCE", 0.2)
    someone = Someone(world)
    someone.open = lambda url: None  # type: ignore[method-assign]
    with pytest.raises(AuthFailed, match="nobody signed in"):
        entra(world, sign_in="person").connect(someone)


def test_the_secret_of_an_application_is_tried_before_it_is_kept(world: MicrosoftWorld) -> None:
    content = entra(world).connect(Someone(world))
    assert content == {"client_secret": CLIENT_SECRET}
    entra(world, MemoryVault(Held(1, content))).check()
    with pytest.raises(AuthFailed, match="secret or certificate is not the one"):
        entra(world).connect(Someone(world, typed="wrong"))


def test_a_connection_that_nobody_signed_in_for_says_how(world: MicrosoftWorld) -> None:
    with pytest.raises(AuthFailed, match="syncd connect entra"):
        entra(world, MemoryVault(), sign_in="person").check()
