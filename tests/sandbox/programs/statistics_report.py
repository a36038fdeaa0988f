"""Numbers: statistics, fractions, math, bisect and rounding."""

import bisect
import cmath
import math
import statistics
from fractions import Fraction


def histogram(values, edges):
    counts = [0] * (len(edges) + 1)
    for value in values:
        counts[bisect.bisect_right(edges, value)] += 1
    return counts


def run(values: list[float]):
    if not values:
        raise ValueError("no values")
    share = sum((Fraction(v).limit_denominator(100) for v in values), Fraction())
    deviation = statistics.stdev(values) if len(values) > 1 else None
    line = statistics.linear_regression(range(len(values)), values)
    normal = statistics.NormalDist(statistics.mean(values), deviation or 1)
    return {
        "mean": statistics.fmean(values),
        "median": statistics.median(values),
        "mode": statistics.mode(round(v) for v in values),
        "stdev": None if deviation is None else round(deviation, 6),
        "quartiles": statistics.quantiles(values, n=4),
        "fraction": str(share),
        "parts": [share.numerator, share.denominator],
        "slope": round(line.slope, 6),
        "cdf": round(normal.cdf(values[0]), 6),
        "histogram": histogram(values, [2, 4]),
        "math": [math.gcd(12, 18), math.comb(5, 2), math.isclose(0.1 + 0.2, 0.3), math.prod([1, 2, 3]), math.floor(-1.5)],
        "complex": [round(abs(cmath.sqrt(-4)), 3), (1 + 2j).conjugate().imag],
        "ints": [7 // 2, -7 // 2, 7 % -3, divmod(17, 5), 2**100, int("ff", 16), round(2.5), round(1234.5678, -2), (5).bit_length()],
        "bits": [6 & 3, 6 | 3, 6 ^ 3, ~6, 1 << 10, 1024 >> 3],
    }


EXAMPLES = [{"values": [1.5, 2.5, 2.5, 3.75, 8.0]}]
