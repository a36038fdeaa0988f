"""What a model is told is what the code enforces: nothing of the contract is missing, and the example in it works."""

import ast
import inspect
import json
import re
from functools import cache
from typing import Any

import pytest

from sandbox.guest.annotations import HINT
from sandbox.guest.services import ERRORS, SERVICES, Services
from sandbox.guest.services.http import Response
from sandbox.guest.signature import ENTRY_POINTS, RESERVED
from sandbox.limits import Limits
from sandbox.restricted import hints
from sandbox.restricted.importer import MODULES
from service.agents import contract
from service.agents.check import examine
from service.agents.models import AgentConfig
from service.capabilities.fixtures import HttpFixture, LlmFixture
from service.capabilities.manifest import Manifest
from service.capabilities.registry import standard_registry
from service.generation import prompt
from service.generation.rehearsal import rehearse
from service.outside.model_dialects import strict
from service.runs.inputs import BodyInput, fit
from service.settings import Settings
from tests.service.conftest import LocalHost, User


@cache
def told() -> str:
    return prompt.instructions(Settings().sandbox_limits())


def test_it_names_every_call_of_every_service_and_no_other() -> None:
    real = {
        f"services.{service}.{name}"
        for service, methods in vars(Services(lambda *_: None)).items()
        for name, _ in inspect.getmembers(methods, inspect.ismethod)
        if not name.startswith("_")
    }
    listed = set(re.findall(r"^- (services\.\w+\.\w+)\(", told(), re.MULTILINE))
    assert listed == real
    registered = standard_registry().names
    assert {name.split(".")[1] for name in listed} == set(SERVICES) == set(registered) == set(Manifest.model_fields)


def test_every_service_that_it_mentions_exists() -> None:
    assert set(re.findall(r"services\.(\w+)", told())) <= {*SERVICES, *ERRORS}


def test_every_call_has_the_parameters_that_it_is_told_with() -> None:
    services = Services(lambda *_: None)
    for line in re.findall(r"^- services\.(.*)$", told(), re.MULTILINE):
        call = re.fullmatch(r"(\w+)\.(\w+)\((.*)\)", line)
        if call is None:
            continue
        method = getattr(getattr(services, call[1]), call[2])
        shown = ast.parse(f"def f({call[3]}): ...").body[0]
        assert isinstance(shown, ast.FunctionDef)
        arguments = [each.arg for each in (*shown.args.args, *shown.args.kwonlyargs)]
        real = [
            each.name for each in inspect.signature(method).parameters.values() if each.kind is not each.VAR_KEYWORD
        ]
        assert arguments == real


def test_it_says_all_that_the_services_say_of_themselves() -> None:
    services = Services(lambda *_: None)
    flat = " ".join(told().split())
    for name in SERVICES:
        service = getattr(services, name)
        assert " ".join((inspect.getdoc(service) or "?").split()) in flat
        for _, method in inspect.getmembers(service, inspect.ismethod):
            if not method.__name__.startswith("_"):
                assert " ".join((inspect.getdoc(method) or "?").split()) in flat
    assert " ".join((inspect.getdoc(Response) or "?").split()) in flat


def test_it_names_every_module_and_no_other() -> None:
    (line,) = re.findall(r"The modules that can be imported, all of them:\n\n(.*)\n", told())
    assert set(line.split(", ")) | {"__future__", "urllib"} == MODULES
    assert not set(hints.MODULES) & MODULES


def test_it_names_entry_points_annotations_and_errors() -> None:
    for name in (*ENTRY_POINTS, *RESERVED):
        assert f"`{name}`" in told()
    assert HINT in " ".join(told().split())
    for error in ERRORS:
        assert f"services.{error}" in told()


def test_it_names_the_limits_of_the_host() -> None:
    limits = Limits(wall_seconds=7.5, cpu_seconds=3, effects=123, output_bytes=4567)
    text = " ".join(prompt.instructions(limits).split())
    assert "7.5 seconds, 3 of them computing, make 123 calls and return 4567 bytes" in text


def test_it_names_every_grant_and_every_key_of_a_fixture() -> None:
    for service in Manifest.model_fields:
        assert f"[capabilities.{service}]" in told()
    for key in ("method", "url", "status", "json", "text"):
        assert key in {field.alias or name for name, field in HttpFixture.model_fields.items()}
    assert set(LlmFixture.model_fields) == {"contains", "answer"}
    assert "(method, url, status, json or text; a url that ends in * is a prefix)" in told()
    assert "(contains, answer)" in told()


def test_the_answer_asked_for_is_one_that_providers_hold_models_to() -> None:
    assert strict(prompt.ANSWER_SCHEMA)


async def test_its_example_passes_its_check_and_its_dry_run_in_the_real_jail(local_host: LocalHost, ada: User) -> None:
    definition = await examine(local_host.host, ada.user_id, AgentConfig(code=prompt.EXAMPLE), proposes=True)
    fitted = fit(BodyInput(prompt.EXAMPLE_INPUT), definition.checked.input_schema)
    assert fitted.problems == []
    rehearsed = await rehearse(local_host.host, definition, fitted.value)
    assert rehearsed.outcome.failure is None
    assert rehearsed.outcome.output == {"new": ["How do I begin?"]}
    called = [f"{effect.service}.{effect.action}" for effect in rehearsed.effects]
    assert called == ["http.request", "kv.get", "llm.complete", "notify.send", "kv.set"]
    assert not any(effect.performed for effect in rehearsed.effects)


async def test_what_it_says_of_a_dry_run_is_so(local_host: LocalHost, ada: User) -> None:
    code = (
        "def run(services):\n"
        "    answer = services.http.get('https://api.example.com/')\n"
        "    schema = {'type': 'object', 'properties': {'n': {'type': 'integer'}}, 'required': ['n']}\n"
        "    return [\n"
        "        [answer.status, answer.json()], type(services.llm.complete('Hello')).__name__,\n"
        "        type(services.llm.complete('Hello', schema=schema)['n']).__name__,\n"
        "        len(services.db.insert('anything', {'n': 1})), services.db.select('anything'),\n"
        "        services.kv.get('k'), services.agents.run('other'),\n"
        "    ]\n"
    )
    definition = await examine(local_host.host, ada.user_id, AgentConfig(code=code), proposes=True)
    rehearsed = await rehearse(local_host.host, definition, {})
    assert rehearsed.outcome.output == [[200, {}], "str", "int", 1, [], None, {}]


BLOCK = """\
# /// agent
# [capabilities.email]
# to = ["ada@example.com"]
# [capabilities.http]
# hosts = ["api.example.com"]
# methods = ["GET"]
# schemes = ["https"]
# [capabilities.db]
# tables = { leads = ["select"] }
# [capabilities.agents]
# names = ["other"]
# [capabilities.secrets]
# names = ["KEY"]
# [capabilities.kv]
# [capabilities.llm]
# [capabilities.notify]
# ///
def run(services):
    return services.http.get("https://api.example.com/").status
"""


async def test_the_block_that_it_tells_of_is_understood_and_proposes(local_host: LocalHost, ada: User) -> None:
    definition = await examine(local_host.host, ada.user_id, AgentConfig(code=BLOCK), proposes=True)
    assert set(definition.manifest.shown()) == {"email", "kv", "llm", "notify"}
    assert set(definition.proposed.shown()) == {"email", "http", "db", "agents", "secrets"}
    rehearsed = await rehearse(local_host.host, definition, {})
    assert rehearsed.outcome.failure is None
    assert [(effect.service, effect.granted) for effect in rehearsed.effects] == [("http", False)]


@pytest.mark.parametrize("text", ["", "x", "description>>>", "<<<description_\n", json.dumps({"a": "\n"})])
def test_a_repair_repeats_the_question_the_code_and_every_problem(text: Any) -> None:
    asked = prompt.for_description(text)
    repair = prompt.for_repair(asked, "def run(): ...", ["line 1: wrong", "line 2: worse"])
    assert repair.startswith(asked)
    for part in ("def run(): ...", "- line 1: wrong", "- line 2: worse"):
        assert part in repair
    assert len(prompt.for_repair(asked, "x" * 10**6, ["far too long"])) < 10_000


def test_the_contract_is_read_and_never_typed_twice() -> None:
    assert set(contract.modules()) == MODULES - {"__future__", "urllib"}
    assert dict(contract.instead_of_modules()) == hints.MODULES
