"""A capability that could behave otherwise in a dry run is refused when the host starts."""

from dataclasses import replace
from typing import Any

import pytest

from service.capabilities.capability import Arguments, Capability, DryContext, LiveContext
from service.capabilities.kv import KV
from service.capabilities.manifest import Manifest, manifest_of
from service.capabilities.registry import Registry, TwinsDiffer, standard_registry


class Live:
    def __init__(self, context: LiveContext) -> None: ...

    async def look(self, arguments: Arguments) -> Any: ...


class Dry:
    def __init__(self, context: DryContext) -> None: ...

    async def look(self, arguments: Arguments) -> Any: ...


class DryWithMore(Dry):
    async def act(self, arguments: Arguments) -> Any: ...


class DryWithLess:
    def __init__(self, context: DryContext) -> None: ...


class DryOtherwise:
    def __init__(self, context: DryContext) -> None: ...

    async def look(self, arguments: Arguments, pretend: bool) -> Any: ...


GOOD = Capability(name="kv", arguments={"look": Arguments}, live=Live, dry_run=Dry)


def test_twins_that_agree_are_registered() -> None:
    assert Registry([GOOD]).names == ("kv",)


@pytest.mark.parametrize("dry_run", [None, DryWithMore, DryWithLess, DryOtherwise, Live, lambda context: Dry(context)])
def test_a_capability_without_a_true_twin_is_refused(dry_run: Any) -> None:
    with pytest.raises(TwinsDiffer):
        Registry([replace(GOOD, dry_run=dry_run)])


@pytest.mark.parametrize(
    "wrong",
    [replace(GOOD, name="fax"), replace(GOOD, reads=frozenset({"act"})), replace(GOOD, arguments={})],
)
def test_a_capability_that_does_not_fit_the_host_is_refused(wrong: Capability) -> None:
    with pytest.raises(TwinsDiffer):
        Registry([wrong])


def test_a_capability_is_registered_once() -> None:
    with pytest.raises(TwinsDiffer, match="twice"):
        Registry([KV, KV])


def test_every_service_of_the_manifest_is_registered() -> None:
    assert set(standard_registry().names) == set(Manifest.model_fields)


def test_an_inferred_manifest_holds_what_this_host_has_and_nothing_wild() -> None:
    inferred = {"kv": {}, "fax": {"hosts": ["example.com"]}, "notify": {"to": "everybody"}, "db": None}
    assert manifest_of(inferred).shown() == {"kv": {}}
