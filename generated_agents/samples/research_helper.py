# /// agent
# [capabilities.http]
# hosts = ["en.wikipedia.org"]
# [capabilities.agents]
# names = ["summarise"]
#
# [[fixtures.http]]
# url = "https://en.wikipedia.org/w/api.php"
# json.query.pages = [
#   { index = 2, pageid = 1208, title = "Alan Turing", extract = "Alan Turing was an English mathematician." },
#   { index = 1, pageid = 30403, title = "Turing machine", extract = "A Turing machine is a model of computation." },
# ]
# ///
"""Reads what Wikipedia has on a topic and makes notes with sources, by the agent `summarise`.

Args:
    topic: What to look for.
    pages: How many articles to read, 1 to 5.
"""

SEARCH = "https://en.wikipedia.org/w/api.php"


def run(topic: str = "Turing machine", pages: int = 3, services=None):
    notes = []
    for page in articles(topic, min(max(pages, 1), 5), services):
        print("reading", page["title"])
        summarised = services.agents.run("summarise", {"text": page["extract"], "sentences": 2})
        notes.append(
            {
                "title": page["title"],
                "summary": summarised["summary"],
                "points": summarised["points"],
                "source": f"https://en.wikipedia.org/?curid={page['pageid']}",
            }
        )
    return {"topic": topic, "notes": notes}


def articles(topic, number, services):
    """The best articles with their introductions as plain text, the best first."""
    answer = services.http.get(
        SEARCH,
        params={
            "action": "query",
            "format": "json",
            "formatversion": 2,
            "generator": "search",
            "gsrsearch": topic,
            "gsrlimit": number,
            "prop": "extracts",
            "exintro": 1,
            "explaintext": 1,
        },
    )
    if not answer.ok:
        raise RuntimeError(f"Wikipedia answered with status {answer.status}")
    found = answer.json().get("query", {}).get("pages", [])
    return sorted((page for page in found if page.get("extract")), key=lambda page: page["index"])
