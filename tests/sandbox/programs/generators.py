"""Generators: pipelines, yield from, send, close, and infinite ones."""

import itertools


def primes():
    found = []
    for number in itertools.count(2):
        if all(number % p for p in itertools.takewhile(lambda p: p * p <= number, found)):
            found.append(number)
            yield number


def flatten(items):
    for item in items:
        if isinstance(item, (list, tuple)):
            yield from flatten(item)
        else:
            yield item


def average():
    total, count, value = 0.0, 0, None
    try:
        while True:
            received = yield value
            total += received
            count += 1
            value = total / count
    except GeneratorExit:
        pass
    finally:
        closed.append(count)


def batches(items, size):
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def returning():
    result = yield 1
    return result


def delegating():
    got = yield from returning()
    yield f"got {got}"


closed = []


def run(count: int = 10):
    running = average()
    next(running)
    averages = [running.send(x) for x in (10, 20, 60)]
    running.close()
    delegate = delegating()
    first = next(delegate)
    second = delegate.send("sent")
    squares = (n * n for n in range(count) if n % 2)
    pairs = [(a, b) for a in range(3) for b in "xy" if (a, b) != (1, "x")]
    return {
        "primes": list(itertools.islice(primes(), count)),
        "flat": list(flatten([1, [2, (3, [4])], [], 5])),
        "averages": averages,
        "closed": closed,
        "batches": list(batches(range(count), 4)),
        "delegate": [first, second],
        "squares": sum(squares),
        "pairs": pairs,
        "zipped": list(itertools.zip_longest("abc", "x", fillvalue="-")),
        "chained": [*itertools.chain.from_iterable([[1], [2, 3]])],
        "exhausted": next(iter([]), "nothing"),
    }


EXAMPLES = [{}, {"count": 3}]
