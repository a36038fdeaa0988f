"""Solves a sudoku by backtracking, with sets and comprehensions."""

DIGITS = set("123456789")


def peers(index):
    row, column = divmod(index, 9)
    box_row, box_column = row // 3 * 3, column // 3 * 3
    same = {row * 9 + c for c in range(9)} | {r * 9 + column for r in range(9)}
    same |= {(box_row + r) * 9 + box_column + c for r in range(3) for c in range(3)}
    return same - {index}


PEERS = [peers(i) for i in range(81)]


def solve(grid):
    best, choices = None, DIGITS | {"x"}
    for index, value in enumerate(grid):
        if value == ".":
            free = DIGITS - {grid[peer] for peer in PEERS[index]}
            if len(free) < len(choices):
                best, choices = index, free
    if best is None:
        return grid
    for digit in sorted(choices):
        grid[best] = digit
        solved = solve(grid)
        if solved:
            return solved
    grid[best] = "."
    return None


def run(puzzle: str):
    grid = [c for c in puzzle if c in DIGITS or c == "."]
    assert len(grid) == 81, f"{len(grid)} cells"
    solved = solve(grid)
    return ["".join(solved[i : i + 9]) for i in range(0, 81, 9)] if solved else None


EXAMPLES = [
    {"puzzle": "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"},
]
