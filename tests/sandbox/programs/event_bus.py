"""Callbacks, star-arguments, keyword-only arguments, defaults, and decorators with arguments."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

Handler = Callable[..., Any]


class Bus:
    def __init__(self) -> None:
        self._handlers: dict[str, list[Handler]] = defaultdict(list)
        self.seen: list[str] = []

    def on(self, *names: str, priority: int = 0):
        def register(handler: Handler) -> Handler:
            for name in names:
                self._handlers[name].append(handler)
                self._handlers[name].sort(key=lambda h: getattr(h, "priority", 0), reverse=True)
            handler.priority = priority
            return handler

        return register

    def emit(self, name: str, /, *args: Any, **options: Any) -> list[Any]:
        self.seen += [name]
        return [handler(*args, **options) for handler in self._handlers.get(name, ())]


bus = Bus()


@bus.on("greet", "both")
def greet(name, greeting="Hello", *, mark="!"):
    return f"{greeting}, {name}{mark}"


@bus.on("both", priority=5)
def shout(name, **options):
    return name.upper() + str(sorted(options.items()))


def spread(first, *middle, last=None, **rest):
    return [first, middle, last, rest]


def run(name: str):
    args, options = ["Eve"], {"mark": "?"}
    a, (b, *c), *d = 1, (2, 3, 4), 5, 6
    head, *_, tail = "abcdef"
    x = y = []
    x.append(1)
    first, second = second, first = 1, 2
    return {
        "greet": bus.emit("greet", name, mark="."),
        "both": bus.emit("both", *args, **options),
        "none": bus.emit("nothing"),
        "spread": [spread(1), spread(1, 2, 3, last=4, k=5), spread(*[1, 2], *(3,), **{"z": 1}, last=9)],
        "unpacked": [a, b, c, d, head, tail, y, first, second],
        "merged": {**options, "x": 1, **{"mark": 0}},
        "joined": [*range(3), *"ab"],
        "lambda": (lambda *a, k=2, **o: [a, k, o])(1, z=3),
        "seen": bus.seen,
        "chained": [1 < 2 < 3, 1 if not args else 2, args and args[0], None or "default"],
    }


EXAMPLES = [{"name": "Bob"}]
