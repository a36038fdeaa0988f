"""Every way of printing, and pretty printing."""

import io
import pprint


class Noisy:
    def __str__(self):
        return "noisy"

    def __repr__(self):
        return "Noisy()"


def run(count: int = 3):
    print()
    print("a", 1, None, Noisy(), sep="-")
    for number in range(count):
        print(number, end=" " if number < count - 1 else "\n")
    print([Noisy()], {"k": (1,)}, flush=True)
    print("two\nlines")
    buffer = io.StringIO()
    print("kept", file=buffer)
    print("more", end="", file=buffer)
    shout = print
    shout("through an alias")
    list(map(print, ["x", "y"]))
    return {"buffer": buffer.getvalue(), "pretty": pprint.pformat({"z": list(range(40))}, width=40)}


EXAMPLES = [{}, {"count": 1}]
