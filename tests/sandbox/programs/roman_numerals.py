"""Roman numerals both ways, with a lookup table and a check."""

TABLE = [(1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"),
         (5, "V"), (4, "IV"), (1, "I")]
VALUES = {symbol: value for value, symbol in TABLE if len(symbol) == 1}


def to_roman(number: int) -> str:
    if not 0 < number < 4000:
        raise ValueError(f"{number} is out of range")
    text = ""
    for value, symbol in TABLE:
        times, number = divmod(number, value)
        text += symbol * times
    return text


def from_roman(text: str) -> int:
    total = 0
    for symbol, following in zip(text, text[1:] + " "):
        value = VALUES[symbol]
        total += -value if VALUES.get(following, 0) > value else value
    return total


def run(numbers: list[int]):
    out: dict[int, str] = {}
    for number in numbers:
        try:
            out[number] = to_roman(number)
        except ValueError as error:
            out[number] = f"error: {error}"
    good = {n: r for n, r in out.items() if not r.startswith("error")}
    assert all(from_roman(roman) == number for number, roman in good.items())
    return {str(number): roman for number, roman in out.items()}


if __name__ == "__main__":
    import sys

    print(run([int(argument) for argument in sys.argv[1:]]))

EXAMPLES = [{"numbers": [1, 4, 9, 14, 1994, 2024, 3999, 0]}]
