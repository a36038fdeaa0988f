"""A state machine with enums, flags and match on members."""

from enum import Enum, Flag, IntEnum, StrEnum, auto, unique


@unique
class State(Enum):
    IDLE = auto()
    RUNNING = auto()
    DONE = auto()

    def next(self):
        members = list(State)
        return members[(members.index(self) + 1) % len(members)]

    def __str__(self):
        return self.name.lower()


class Level(IntEnum):
    LOW = 1
    HIGH = 10


class Colour(StrEnum):
    RED = auto()
    BLUE = "blau"

    @classmethod
    def _missing_(cls, value):
        return cls.RED if value == "rot" else None


class Right(Flag):
    READ = auto()
    WRITE = auto()
    ALL = READ | WRITE


class Planet(Enum):
    EARTH = (5.976e24, 6.37814e6)
    MARS = (6.421e23, 3.3972e6)

    def __init__(self, mass, radius):
        self.mass = mass
        self.radius = radius

    @property
    def gravity(self):
        return 6.67300e-11 * self.mass / (self.radius * self.radius)


def step(state, event):
    match (state, event):
        case (State.IDLE, "start"):
            return State.RUNNING
        case (State.RUNNING, "stop" | "finish"):
            return State.DONE
        case (_, "reset"):
            return State.IDLE
        case _:
            raise ValueError(f"{event} while {state}")


def run(events: list[str]):
    state, trail = State.IDLE, []
    for event in events:
        try:
            state = step(state, event)
        except ValueError as error:
            trail.append(str(error))
        else:
            trail.append(str(state))
    try:
        Colour("green")
        unknown = None
    except ValueError as error:
        unknown = str(error)
    return {
        "trail": trail,
        "next": str(state.next()),
        "levels": [Level.HIGH > Level.LOW, Level(10).name, Level.LOW + 1, sorted(Level, reverse=True)[0].name],
        "colours": [Colour.RED, Colour("rot").value, Colour.BLUE.upper(), f"{Colour.BLUE}", unknown],
        "rights": [str(Right.READ | Right.WRITE), Right.READ in Right.ALL, (Right.ALL & ~Right.READ).name],
        "members": {name: member.value for name, member in State.__members__.items()},
        "gravity": round(Planet.MARS.gravity, 3),
        "by_name": State["DONE"].value,
    }


EXAMPLES = [{"events": ["start", "stop", "start", "reset"]}, {"events": []}]
