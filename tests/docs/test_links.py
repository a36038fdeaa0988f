"""Every relative link of the docs leads somewhere."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.docs.document import PAGES, ROOT, anchors, links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_resolve(page: Path) -> None:
    dead = []
    for link in links(page):
        target = urlsplit(link)
        if target.scheme:
            continue
        path = (page.parent / target.path) if target.path else page
        if not path.exists() or (target.fragment and target.fragment not in anchors(path)):
            dead.append(link)
    assert dead == []
