"""The contract that agents are written against, read from the code that enforces it: for prompts and for docs."""

import inspect
from collections.abc import Iterator

from sandbox.guest.annotations import HINT
from sandbox.guest.services import SERVICES, Services
from sandbox.guest.services.http import Response
from sandbox.guest.signature import ENTRY_POINTS as ENTRY_POINTS
from sandbox.restricted.hints import MODULES as HINTS_BY_MODULE
from sandbox.restricted.importer import MODULES


def services() -> Iterator[tuple[str, str]]:
    """Every service by name, and what is to be known of it beside its calls."""
    made = Services(_never)
    for name in SERVICES:
        yield f"services.{name}", inspect.getdoc(getattr(made, name)) or ""


def service_calls() -> Iterator[tuple[str, str]]:
    """Every call with its parameters, and what it does."""
    made = Services(_never)
    for service in SERVICES:
        for name, method in inspect.getmembers(getattr(made, service), inspect.ismethod):
            if not name.startswith("_"):
                yield f"services.{service}.{name}{_shown(inspect.signature(method))}", inspect.getdoc(method) or ""


def http_answer() -> str:
    """What calls of http return, in a sentence."""
    return inspect.getdoc(Response) or ""


def modules() -> list[str]:
    """What an agent can import."""
    return sorted(MODULES - {"__future__", "urllib"})


def instead_of_modules() -> Iterator[tuple[str, str]]:
    """Modules that agents reach for and do not have, and what to do instead."""
    yield from sorted(HINTS_BY_MODULE.items())


def annotations() -> str:
    """The annotations that a parameter may have, in a sentence."""
    return HINT


def _never(service: str, action: str, args: dict[str, object]) -> object:
    raise AssertionError("nothing is called here")


def _shown(signature: inspect.Signature) -> str:
    empty = inspect.Parameter.empty
    plain = [parameter.replace(annotation=empty) for parameter in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=empty))
