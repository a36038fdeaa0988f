"""Every layer counts: with one taken away at least one attack gets through, and this corpus sees it.

Where a second layer would stop the same attack, that one is taken away as well, before and after: what is shown is that
the attack is stopped with the layer and not without it. Only attacks that harm nothing when they succeed are used here.
"""

import os
from dataclasses import replace

import pytest

from sandbox.restricted.jail import LAYERS
from tests.escapes.corpus import BY_ID
from tests.escapes.harness import Arena, arena
from tests.escapes.world import Planted

NOTHING: frozenset[str] = frozenset()
FILTER = frozenset({"seccomp"})
ONLY_COUNTS_FOR_ROOT = frozenset({"ids"})
"""An ordinary user has no other id to take."""

PROOFS: dict[str, tuple[str, frozenset[str]]] = {
    "seccomp": ("os-setitimer", NOTHING),
    "timer": ("dos-sleep", NOTHING),
    "limits": ("os-memory-by-mmap", NOTHING),
    "descriptors": ("os-read-descriptors", NOTHING),
    "ids": ("os-fork", FILTER),
    "namespaces": ("os-see-host", FILTER),
    "capabilities": ("os-chroot", FILTER),
    "root": ("os-readlink", FILTER),
    "landlock": ("os-mkdir", FILTER | {"root"}),
}
"""By layer: the attack that it stops, and the layers that would stop it too."""


@pytest.mark.parametrize("layer", LAYERS)
async def test_without_a_layer_an_attack_gets_through_and_is_seen(layer: str, planted: Planted) -> None:
    attack, others = BY_ID[PROOFS[layer][0]], PROOFS[layer][1]
    async with arena("plain", planted, without=others) as held:
        if layer in held.engine.status().missing:
            pytest.skip(f"this kernel has no {layer}")
        assert await held.trial(attack) == []
    if layer in ONLY_COUNTS_FOR_ROOT and os.geteuid() != 0:
        return
    try:
        async with arena("plain", planted, without=others | {layer}) as weaker:
            assert await weaker.trial(attack) != []
    finally:
        planted.sweep()


@pytest.mark.parametrize("attack", ["attribute-print-self", "format-method", "import-re-enum-sys", "frame-traceback"])
async def test_without_the_policy_the_language_is_overcome_and_that_is_seen(attack: str, bare: Arena) -> None:
    assert await bare.trial(BY_ID[attack]) == []
    judged_as_guarded = replace(bare, bare=False)
    assert any("the language was overcome" in wrong for wrong in await judged_as_guarded.trial(BY_ID[attack]))


async def test_a_flag_that_comes_out_is_seen(planted: Planted, bare: Arena) -> None:
    leak = "def run(hint: dict, services=None):\n    return {{'text': '{}'[::-1]}}\n".format(planted.flags["file"])
    wrong = await bare.trial(replace(BY_ID["os-environment"], program=leak))
    assert "the flag 'file' was captured" in wrong


async def test_a_file_that_is_left_behind_is_seen(planted: Planted, bare: Arena) -> None:
    trace = planted.file.parent / planted.mark
    trace.touch()
    try:
        wrong = await bare.trial(BY_ID["protocol-forged-answer"])
    finally:
        trace.unlink()
    assert any("left behind" in entry for entry in wrong)
