"""A linked list and a binary tree with iteration, recursion, and PEP 695 generics."""

from dataclasses import dataclass


class Node[T]:
    def __init__(self, value: T, next: "Node[T] | None" = None) -> None:
        self.value = value
        self.next = next


class Linked[T]:
    def __init__(self, *values: T) -> None:
        self._head: Node[T] | None = None
        self._size = 0
        for value in reversed(values):
            self.push(value)

    def push(self, value: T) -> None:
        self._head = Node(value, self._head)
        self._size += 1

    def pop(self) -> T:
        if (node := self._head) is None:
            raise IndexError("empty")
        self._head = node.next
        self._size -= 1
        return node.value

    def __len__(self) -> int:
        return self._size

    def __iter__(self):
        node = self._head
        while node:
            yield node.value
            node = node.next

    def __reversed__(self):
        return iter(list(self)[::-1])


@dataclass
class Tree:
    value: int
    left: "Tree | None" = None
    right: "Tree | None" = None

    def insert(self, value):
        side = "left" if value < self.value else "right"
        child = getattr(self, side)
        if child is None:
            setattr(self, side, Tree(value))
        else:
            child.insert(value)

    def walk(self):
        if self.left:
            yield from self.left.walk()
        yield self.value
        if self.right:
            yield from self.right.walk()

    def depth(self):
        return 1 + max((child.depth() for child in (self.left, self.right) if child), default=0)


type Numbers = list[int]


def first[T](items: list[T], default: T) -> T:
    return items[0] if items else default


def run(values: list[int]):
    numbers: Numbers = list(values)
    linked = Linked(*numbers)
    popped = [linked.pop() for _ in range(min(2, len(linked)))]
    try:
        Linked().pop()
    except IndexError as error:
        empty = str(error)
    tree = Tree(first(values, 0))
    for value in values[1:]:
        tree.insert(value)
    return {
        "popped": popped,
        "rest": list(linked),
        "reversed": list(reversed(linked)),
        "length": len(linked),
        "empty": empty,
        "sorted": list(tree.walk()),
        "depth": tree.depth(),
        "truthy": bool(linked),
        "found": 3 in linked,
    }


EXAMPLES = [{"values": [5, 2, 8, 1, 3]}, {"values": [1]}]
