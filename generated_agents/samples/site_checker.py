# /// agent
# [capabilities.http]
# hosts = ["example.com", "www.iana.org"]
# [capabilities.kv]
# [capabilities.notify]
#
# [[fixtures.http]]
# url = "https://example.com/"
# text = "<html><title>Example Domain</title></html>"
#
# [[fixtures.http]]
# url = "https://www.iana.org/"
# status = 503
# ///
"""Looks at web sites and notifies you of the ones that went down, came back or changed their title.

Remembers what it saw, so run it as often as you like. Another site needs its host in the block above.

Args:
    urls: The pages to look at.
"""

import re
from collections.abc import Sequence

TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


def run(urls: Sequence[str] = ("https://example.com/", "https://www.iana.org/"), services=None):
    changes = []
    down = []
    alarming = False
    for url in urls:
        before = services.kv.get(url)
        now = look_at(url, services)
        if not is_up(now):
            down.append(url)
        if change := change_between(before, now):
            changes.append(f"{url} {change}")
            alarming = alarming or not is_up(now)
        if now != before:
            services.kv.set(url, now)
    if changes:
        services.notify.send(
            title=changes[0] if len(changes) == 1 else f"{len(changes)} sites changed",
            content="\n".join(changes),
            type="error" if alarming else "info",
            priority="high" if alarming else "normal",
        )
    return {"looked_at": len(urls), "down": down, "changes": changes}


def look_at(url, services):
    """What a page is like now. The status is 0 where nothing answers."""
    try:
        answer = services.http.get(url, timeout=5)
    except services.ServiceError as error:
        print(f"{url}: {error}")
        return {"status": 0, "title": ""}
    title = TITLE.search(answer.text)
    return {"status": answer.status, "title": " ".join(title[1].split()) if title else ""}


def is_up(seen):
    return 0 < seen["status"] < 400


def change_between(before, now):
    """What there is to tell, as the end of a sentence; None when that is nothing."""
    if not is_up(now):
        was_down = before is not None and not is_up(before)
        return None if was_down else f"is down: {f'status {now["status"]}' if now['status'] else 'no answer'}"
    if before is None:
        return None
    if not is_up(before):
        return "is back"
    return None if now["title"] == before["title"] else f"is now called {now['title']!r}"
