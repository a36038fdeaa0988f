"""Every attack twice: with the language policy on, and as plain Python with nothing but the jail around it."""

import pytest

from tests.escapes.attack import LOOT, Attack
from tests.escapes.corpus import CORPUS
from tests.escapes.harness import LIMITS, Arena

ATTACKS = pytest.mark.parametrize("attack", CORPUS, ids=[attack.id for attack in CORPUS])


@ATTACKS
async def test_the_policy_and_the_jail_hold(attack: Attack, guarded: Arena) -> None:
    wrong = await guarded.trial(attack)
    assert not wrong, "\n".join(wrong)


@ATTACKS
async def test_the_jail_alone_holds(attack: Attack, bare: Arena) -> None:
    wrong = await bare.trial(attack)
    assert not wrong, "\n".join(wrong)


def test_the_corpus_is_large_and_says_where_it_comes_from() -> None:
    ids = [attack.id for attack in CORPUS]
    assert len(ids) == len(set(ids)) >= 150
    assert all(attack.technique and attack.source and attack.guarded and attack.bare for attack in CORPUS)
    assert LIMITS.wall_seconds >= max(attack.under(LIMITS).wall_seconds for attack in CORPUS)


async def test_what_attacks_borrow_is_not_what_they_are_refused_for(guarded: Arena) -> None:
    source = "def run(hint: dict, services=None):\n    return loot(services, hint)\n" + LOOT
    assert (await guarded.engine.check(source)).problems == ()
