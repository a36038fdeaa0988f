"""Counts words in a text."""

import re
from collections import Counter


def run(text: str, top: int = 3):
    words: list[str] = re.findall(r"[a-z']+", text.lower())
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0)
        counts[word] += 1
    common = Counter(words).most_common(top)
    longest = max(words, key=len) if words else None
    by_length = {}
    for word in sorted(set(words)):
        by_length.setdefault(len(word), []).append(word)
    assert sum(counts.values()) == len(words)
    print(f"{len(words)} words, {len(counts)} different")
    return {"top": [[w, n] for w, n in common], "longest": longest, "by_length": {str(k): v for k, v in by_length.items()}}


EXAMPLES = [{"text": "The cat and the dog and the bird"}, {"text": "", "top": 1}, {"text": "it's it's", "top": 5}]
