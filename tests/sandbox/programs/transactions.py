"""Context managers as classes, ExitStack, undo, and what happens when they fail."""

from contextlib import ExitStack, closing, nullcontext


class Transaction:
    def __init__(self, store, fail=False):
        self.store = store
        self.fail = fail
        self.events = []

    def __enter__(self):
        self._before = dict(self.store)
        self.events.append("enter")
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.events.append("commit")
            return False
        self.store.clear()
        self.store.update(self._before)
        self.events.append(f"rollback {kind.__name__}: {error}")
        return not self.fail


class Resource:
    def __init__(self, name, log):
        self.name, self.log = name, log

    def close(self):
        self.log.append(f"closed {self.name}")


def nested(log):
    for number in range(3):
        try:
            if number == 1:
                continue
            if number == 2:
                return "early"
        finally:
            log.append(number)
    return "late"


def run(amounts: list[int]):
    store, log = {"total": 0}, []
    events = []
    for amount in amounts:
        with Transaction(store) as transaction:
            store["total"] += amount
            if store["total"] > 100:
                raise OverflowError(store["total"])
        events += transaction.events
    try:
        with Transaction(store, fail=True), nullcontext():
            del store["total"]
            store["missing"]
    except KeyError as error:
        events.append(f"outside {error.args[0]}")
    with ExitStack() as stack:
        for name in "ab":
            stack.enter_context(closing(Resource(name, log)))
        stack.callback(log.append, "callback")
    return {"store": store, "events": events, "log": log, "nested": nested(log)}


EXAMPLES = [{"amounts": [10, 95, 20]}]
