"""The pages say what the code says. After a change: `.venv/bin/python -m tests.docs.specification`."""

from functools import cache
from pathlib import Path

import pytest

from tests.docs.specification import NAMES, sections, written

in_code = cache(sections)


@pytest.mark.parametrize(("page", "name"), NAMES)
def test_the_page_says_what_the_code_says(page: Path, name: str) -> None:
    text = page.read_text()
    assert text == written(text, name, in_code()[page, name])
