"""The pages say what the code says. After a change: `.venv/bin/python -m tests.docs.specification`."""

from functools import cache
from pathlib import Path

import pytest

from tests.docs.specification import NAMES, SPECIFICATION, sections, written
from tests.docs.tables import functions_section, tables_section
from tests.postgres import Addresses

in_code = cache(sections)


@pytest.mark.parametrize(("page", "name"), NAMES)
def test_the_page_says_what_the_code_says(page: Path, name: str) -> None:
    text = page.read_text()
    assert text == written(text, name, in_code()[page, name])


async def test_the_specification_lists_the_tables_and_functions_there_are(cloned: Addresses) -> None:
    text = SPECIFICATION.read_text()
    async with await cloned.owner() as owner:
        for name, section in (("tables", tables_section), ("functions", functions_section)):
            assert text == written(text, name, await section(owner))
