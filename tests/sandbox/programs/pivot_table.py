"""Reads CSV, filters, joins, groups and pivots it like a small data frame."""

import csv
import io
import statistics
from collections import defaultdict
from itertools import groupby
from operator import itemgetter

FUNCTIONS = {"sum": sum, "mean": statistics.fmean, "count": len, "max": max}


class Table(list):
    """Rows of dicts."""

    @classmethod
    def read(cls, text, **types):
        rows = csv.DictReader(io.StringIO(text.strip()), skipinitialspace=True)
        return cls({key: types.get(key, str)(value) for key, value in row.items()} for row in rows)

    def where(self, **conditions):
        return Table(row for row in self if all(row[key] == value for key, value in conditions.items()))

    def join(self, other, on):
        index = {row[on]: row for row in other}
        return Table({**row, **index[row[on]]} for row in self if row[on] in index)

    def grouped(self, key):
        for value, rows in groupby(sorted(self, key=itemgetter(key)), key=itemgetter(key)):
            yield value, Table(rows)

    def pivot(self, rows, columns, values, how="sum"):
        cells = defaultdict(lambda: defaultdict(list))
        for row in self:
            cells[row[rows]][row[columns]].append(row[values])
        return {r: {c: FUNCTIONS[how](found) for c, found in sorted(line.items())} for r, line in sorted(cells.items())}

    def __str__(self):
        if not self:
            return "(empty)"
        header = list(self[0])
        widths = {key: max(len(key), *(len(str(row[key])) for row in self)) for key in header}
        lines = ["  ".join(key.ljust(widths[key]) for key in header)]
        lines += ["  ".join(str(row[key]).rjust(widths[key]) for key in header) for row in self]
        return "\n".join(lines)


def run(sales: str, regions: str):
    table = Table.read(sales, amount=float)
    joined = table.join(Table.read(regions), on="city")
    return {
        "pivot": joined.pivot("country", "product", "amount"),
        "means": joined.pivot("country", "product", "amount", how="mean"),
        "groups": {city: len(rows) for city, rows in table.grouped("city")},
        "ada": len(table.where(product="ink")),
        "text": str(table[:0] or "(none)"),
        "table": str(joined.where(product="ink")).splitlines(),
        "unknown": [row["city"] for row in table if row not in joined and row["city"] not in {r["city"] for r in joined}],
    }


EXAMPLES = [
    {
        "sales": "city,product,amount\nBern,ink,10\nBern,pen,2.5\nRome,ink,4\nRome,ink,6\nOslo,pen,1\n",
        "regions": "city, country\nBern, CH\nRome, IT\n",
    }
]
