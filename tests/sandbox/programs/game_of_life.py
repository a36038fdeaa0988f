"""Conway's game of life on a set of cells."""

from collections import Counter
from itertools import product


def neighbours(cell):
    x, y = cell
    return ((x + dx, y + dy) for dx, dy in product((-1, 0, 1), repeat=2) if (dx, dy) != (0, 0))


def step(alive):
    counts = Counter(n for cell in alive for n in neighbours(cell))
    return {cell for cell, count in counts.items() if count == 3 or (count == 2 and cell in alive)}


def draw(alive):
    if not alive:
        return []
    xs, ys = zip(*alive)
    return ["".join("#" if (x, y) in alive else "." for x in range(min(xs), max(xs) + 1)) for y in range(min(ys), max(ys) + 1)]


def run(rows: list[str], generations: int = 4):
    alive = {(x, y) for y, row in enumerate(rows) for x, cell in enumerate(row) if cell == "#"}
    seen = {}
    for generation in range(generations):
        key = frozenset(alive)
        if key in seen:
            print("repeats after", generation)
            break
        seen[key] = generation
        alive = step(alive)
    return draw(alive)


EXAMPLES = [{"rows": [".#.", "..#", "###"]}, {"rows": ["###"], "generations": 10}]
