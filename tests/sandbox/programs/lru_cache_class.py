"""A cache with OrderedDict, descriptors, decorators with wraps, and functools."""

import functools
from collections import OrderedDict


class LRU:
    def __init__(self, size):
        self.size = size
        self._items = OrderedDict()
        self.hits = self.misses = 0

    def __getitem__(self, key):
        value = self._items[key]
        self._items.move_to_end(key)
        return value

    def __setitem__(self, key, value):
        self._items[key] = value
        self._items.move_to_end(key)
        while len(self._items) > self.size:
            self._items.popitem(last=False)

    def __delitem__(self, key):
        del self._items[key]

    def __contains__(self, key):
        return key in self._items

    def __call__(self, function):
        @functools.wraps(function)
        def wrapper(*args):
            if args in self:
                self.hits += 1
                return self[args]
            self.misses += 1
            self[args] = result = function(*args)
            return result

        return wrapper


class Positive:
    def __set_name__(self, owner, name):
        self.name = "_" + name

    def __get__(self, instance, owner=None):
        return self if instance is None else getattr(instance, self.name, 0)

    def __set__(self, instance, value):
        if value <= 0:
            raise ValueError(f"{self.name[1:]} must be positive")
        setattr(instance, self.name, value)


class Order:
    quantity = Positive()

    def __init__(self, quantity):
        self.quantity = quantity

    @functools.cached_property
    def price(self):
        calls.append("price")
        return self.quantity * 3


calls = []
cache = LRU(2)


@cache
def slow(a, b=1):
    """Adds."""
    calls.append((a, b))
    return a + b


@functools.lru_cache(maxsize=None)
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def run():
    values = [slow(1), slow(1), slow(2), slow(3), slow(1)]
    order = Order(4)
    prices = [order.price, order.price]
    try:
        order.quantity = 0
        message = ""
    except ValueError as error:
        message = str(error)
    add = functools.partial(int, base=2)
    return {
        "values": values,
        "hits": [cache.hits, cache.misses],
        "name": [slow.__name__, slow.__doc__],
        "calls": calls,
        "prices": prices,
        "message": message,
        "fibonacci": fibonacci(80),
        "info": fibonacci.cache_info().misses,
        "partial": [add("101"), functools.reduce(lambda a, b: a * b, range(1, 6))],
        "sorted": sorted(["b", "A", "c"], key=functools.cmp_to_key(lambda a, b: (a.lower() > b.lower()) - (a.lower() < b.lower()))),
    }


EXAMPLES = [{}]
