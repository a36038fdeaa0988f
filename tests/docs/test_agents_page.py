"""What the contract's page shows is in the language, and is a config."""

import json
import tomllib

from sandbox.limits import Limits
from sandbox.restricted.engine import RestrictedEngine
from service.agents.models import ConfigOptions, parsed, parsed_config
from service.capabilities.manifest import Manifest
from tests.docs.document import blocks
from tests.docs.specification import AGENTS


async def test_the_agents_on_the_page_pass_their_check() -> None:
    shown = [block for block in blocks(AGENTS) if block.language == "python"]
    engine = RestrictedEngine(limits=Limits(), parked=1)
    await engine.start()
    try:
        for block in shown:
            checked = await engine.check(block.text)
            assert checked.problems == (), f"line {block.line}"
            parsed(ConfigOptions, dict(checked.metadata))
    finally:
        await engine.stop()
    assert shown


def test_the_configs_on_the_page_are_configs() -> None:
    shown = [block for block in blocks(AGENTS) if block.language == "json"]
    assert [parsed_config(json.loads(block.text)).code for block in shown]


def test_the_grants_on_the_page_are_of_every_service() -> None:
    shown = [parsed(ConfigOptions, tomllib.loads(block.text)) for block in blocks(AGENTS) if block.language == "toml"]
    granted = [set(options.capabilities.shown()) for options in shown if options.capabilities]
    assert granted == [set(Manifest.model_fields)]
