"""Typed structures: NamedTuple, TypedDict, Protocol, generics, and dataclass options."""

from dataclasses import KW_ONLY, dataclass, field, fields, replace
from typing import ClassVar, Generic, Literal, NamedTuple, Optional, Protocol, TypedDict, TypeVar, runtime_checkable

T = TypeVar("T")


class Position(NamedTuple):
    row: int
    column: int = 0

    def moved(self, rows: int) -> "Position":
        return self._replace(row=self.row + rows)


class Report(TypedDict, total=False):
    count: int
    names: list[str]


@runtime_checkable
class Priced(Protocol):
    price: float


@dataclass(slots=True)
class Item:
    name: str
    price: float
    _: KW_ONLY
    unit: Literal["kg", "piece"] = "piece"
    position: Optional[Position] = None
    tags: set[str] = field(default_factory=set, repr=False)
    made: ClassVar[int] = 0

    def __post_init__(self) -> None:
        Item.made += 1
        if self.price < 0:
            raise ValueError("price")


class Box(Generic[T]):
    def __init__(self) -> None:
        self.items: list[T] = []

    def add(self, item: T) -> "Box[T]":
        self.items.append(item)
        return self

    def __iter__(self):
        yield from self.items


def run(prices: dict[str, float]):
    box: Box[Item] = Box()
    for row, (name, price) in enumerate(prices.items()):
        box.add(Item(name, price, position=Position(row)))
    cheap = [replace(item, price=item.price / 2, tags={"sale"}) for item in box if item.price > 2]
    report: Report = {"count": len(box.items), "names": [item.name for item in box]}
    report["count"] += len(cheap)
    try:
        Item("bad", -1)
    except ValueError as error:
        problem = error.args
    first = box.items[0]
    try:
        first.colour = "red"
        slots = False
    except AttributeError:
        slots = True
    return {
        "report": report,
        "cheap": [repr(item) for item in cheap],
        "moved": first.position.moved(3),
        "fields": [f.name for f in fields(Item)],
        "priced": [isinstance(first, Priced), isinstance("text", Priced)],
        "tags": sorted(cheap[0].tags) if cheap else [],
        "problem": problem,
        "slots": slots,
        "made": Item.made,
        "tuple": [first.position == (0, 0), Position(1, 2)._asdict(), Position._fields],
    }


EXAMPLES = [{"prices": {"apple": 1.5, "melon": 4.0}}]
