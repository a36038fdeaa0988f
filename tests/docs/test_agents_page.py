"""What the contract's page shows is in the language, and is a config."""

import json

from sandbox.limits import Limits
from sandbox.restricted.engine import RestrictedEngine
from service.agents.models import parsed_config
from tests.docs.document import blocks
from tests.docs.specification import AGENTS


async def test_the_agents_on_the_page_pass_their_check() -> None:
    shown = [block for block in blocks(AGENTS) if block.language == "python"]
    engine = RestrictedEngine(limits=Limits(), parked=1)
    await engine.start()
    try:
        for block in shown:
            assert (await engine.check(block.text)).problems == (), f"line {block.line}"
    finally:
        await engine.stop()
    assert shown


def test_the_configs_on_the_page_are_configs() -> None:
    shown = [block for block in blocks(AGENTS) if block.language == "json"]
    assert [parsed_config(json.loads(block.text)).code for block in shown]
