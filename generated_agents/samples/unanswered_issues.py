# /// agent
# [capabilities.http]
# hosts = ["api.github.com"]
# [capabilities.secrets]
# names = ["GITHUB_TOKEN"]
# [capabilities.notify]
#
# [[fixtures.http]]
# url = "https://api.github.com/repos/*"
# json = [
#   { number = 12, title = "It crashes", comments = 0, html_url = "https://github.com/o/r/issues/12" },
#   { number = 11, title = "It works", comments = 3, html_url = "https://github.com/o/r/issues/11" },
#   { number = 10, title = "Fix it", comments = 0, html_url = "https://github.com/o/r/pull/10", pull_request = {} },
# ]
# ///
"""Finds the open issues of a GitHub repository that nobody has answered, and notifies you of them.

Public repositories need nothing. For private ones, and more than 60 requests an hour, set the secret GITHUB_TOKEN, a
token that may read them: PUT /secrets/GITHUB_TOKEN with a body like {"value": "ghp_...", "hosts": ["api.github.com"]}.
The agent never sees it.

Args:
    repository: Its owner and name, such as "python/cpython".
    newest: How many of the newest issues to look at, at most 100.
"""

import re


def run(repository: str = "python/cpython", newest: int = 50, services=None):
    if not re.fullmatch(r"[\w-]+/[\w.-]+", repository, re.ASCII):
        raise ValueError("repository should be an owner and a name, such as python/cpython")
    headers = {"Accept": "application/vnd.github+json"}
    try:
        headers["Authorization"] = "Bearer " + services.secrets.ref("GITHUB_TOKEN")
    except services.ServiceError:
        print("There is no secret GITHUB_TOKEN: GitHub is asked without it.")
    answer = services.http.get(
        f"https://api.github.com/repos/{repository}/issues",
        params={"state": "open", "sort": "created", "per_page": min(newest, 100)},
        headers=headers,
    )
    if not answer.ok:
        raise RuntimeError(f"GitHub answered with status {answer.status}: {answer.text[:200]}")
    unanswered = [
        {"number": issue["number"], "title": issue["title"], "url": issue["html_url"]}
        for issue in answer.json()
        if issue["comments"] == 0 and "pull_request" not in issue
    ]
    if unanswered:
        services.notify.send(
            title=f"{repository}: {len(unanswered)} unanswered issues",
            content="\n".join(f"#{issue['number']} {issue['title']}\n{issue['url']}" for issue in unanswered)[:10_000],
            actions=[{"label": f"#{issue['number']}", "url": issue["url"]} for issue in unanswered[:5]],
        )
    return {"repository": repository, "unanswered": unanswered}
