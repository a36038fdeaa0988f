"""Classic algorithms: edit distance, knapsack, longest common subsequence, coin change."""

import functools
import itertools
import math


def distance(a: str, b: str) -> int:
    previous = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        current = [i]
        for j, y in enumerate(b, 1):
            current.append(min(previous[j] + 1, current[-1] + 1, previous[j - 1] + (x != y)))
        previous = current
    return previous[-1]


def knapsack(items, capacity):
    best = [0] * (capacity + 1)
    for _, weight, value in items:
        for room in range(capacity, weight - 1, -1):
            best[room] = max(best[room], best[room - weight] + value)
    return best[-1]


def common(a, b):
    @functools.cache
    def length(i, j):
        if i == len(a) or j == len(b):
            return 0
        return 1 + length(i + 1, j + 1) if a[i] == b[j] else max(length(i + 1, j), length(i, j + 1))

    out, i, j = "", 0, 0
    while length(i, j):
        if a[i] == b[j]:
            out, i, j = out + a[i], i + 1, j + 1
        elif length(i + 1, j) >= length(i, j + 1):
            i += 1
        else:
            j += 1
    return out


def coins(amount, kinds):
    table = [0] + [math.inf] * amount
    for value in range(1, amount + 1):
        table[value] = min((table[value - kind] + 1 for kind in kinds if kind <= value), default=math.inf)
    return None if table[amount] == math.inf else table[amount]


def run(a: str, b: str):
    items = [("map", 9, 150), ("compass", 13, 35), ("water", 15, 200), ("food", 5, 60)]
    grid = [[0] * 3 for _ in range(2)]
    grid[1][2] += 5
    grid[0][0] -= 1
    while True:
        grid[0][1] += 1
        if grid[0][1] >= 4:
            break
    else:
        grid = None
    return {
        "distance": distance(a, b),
        "knapsack": knapsack(items, 30),
        "common": common(a, b),
        "coins": [coins(11, [1, 5, 6]), coins(3, [2])],
        "permutations": len(list(itertools.permutations(set(a)))) if len(a) < 9 else None,
        "accumulated": list(itertools.accumulate([1, 2, 3], lambda x, y: x * 10 + y)),
        "grid": grid,
        "best": max(items, key=lambda item: item[2] / item[1])[0],
        "any": [any(w > 10 for _, w, _ in items), all(v > 35 for *_, v in items)],
    }


EXAMPLES = [{"a": "kitten", "b": "sitting"}, {"a": "", "b": "abc"}]
