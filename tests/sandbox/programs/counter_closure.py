"""Closures, nonlocal and global."""

total = 0


def make_counter(step=1):
    count = 0
    history = []

    def increment(by=None):
        nonlocal count
        global total
        count += step if by is None else by
        total += 1
        history.append(count)
        return count

    def reset():
        nonlocal count, history
        count, history = 0, []

    increment.reset = reset
    return increment, lambda: list(history)


def run(steps: list[int]):
    first, seen = make_counter()
    second, other = make_counter(step=10)
    for step in steps:
        first(step)
        second()
    before = seen()
    first.reset()
    first()
    return {"before": before, "after": seen(), "other": other(), "total": total}


EXAMPLES = [{"steps": [1, 2, 3]}, {"steps": []}]
