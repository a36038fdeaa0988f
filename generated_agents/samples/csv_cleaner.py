"""Cleans a table in CSV and reports what it did: names of columns, blanks, types, empty and repeated rows.

Calls no service: text in, rows and tidy CSV out.

Args:
    text: The table. Its first row has the names of the columns.
    delimiter: What stands between the fields; found out when it is "auto".
    required: Columns that may not be empty; rows where one is are left out and reported.
"""

import csv
import io
import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal

DELIMITERS = (",", ";", "\t", "|")
BOOLS = {"yes": True, "true": True, "no": False, "false": False}


def run(
    text: str,
    delimiter: Literal["auto", ",", ";", "\t", "|"] = "auto",
    required: Sequence[str] = (),
):
    text = text.removeprefix("\ufeff").strip()
    if delimiter == "auto":
        delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
    lines = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    columns = column_names(lines[0] if lines else [])
    if missing := [name for name in required if name not in columns]:
        raise ValueError(f"there is no column {missing[0]!r}; there are: {', '.join(columns)}")

    report = {"rows_read": len(lines[1:]), "empty": 0, "repeated": 0, "wrong_length": [], "incomplete": []}
    rows = []
    seen = set()
    for number, line in enumerate(lines[1:], start=1):
        values = tuple(" ".join(field.split()) for field in line)
        if not any(values):
            report["empty"] += 1
        elif len(values) != len(columns):
            report["wrong_length"].append({"row": number, "fields": len(values)})
        elif empty := [name for name, value in zip(columns, values, strict=True) if name in required and not value]:
            report["incomplete"].append({"row": number, "missing": empty})
        elif values in seen:
            report["repeated"] += 1
        else:
            seen.add(values)
            rows.append(values)

    kinds = [kind_of([row[place] for row in rows]) for place in range(len(columns))]
    typed = [[convert(value) for convert, value in zip(kinds, row, strict=True)] for row in rows]
    return {
        "columns": {name: kind.__name__.removeprefix("as_") for name, kind in zip(columns, kinds, strict=True)},
        "rows": [dict(zip(columns, row, strict=True)) for row in typed],
        "csv": as_csv(columns, typed),
        "report": report | {"rows_kept": len(rows)},
    }


def column_names(header):
    """Plain names, each one once: "E-Mail " becomes e_mail, a second one e_mail_2."""
    names = []
    for place, field in enumerate(header, start=1):
        name = re.sub(r"\W+", "_", field.strip().lower()).strip("_") or f"column_{place}"
        same = sum(1 for other in names if re.fullmatch(rf"{re.escape(name)}(_\d+)?", other))
        names.append(f"{name}_{same + 1}" if same else name)
    return names


def as_bool(value):
    return BOOLS[value.lower()] if value else None


def as_integer(value):
    # A leading zero is no number: it is a postal code, or a telephone's.
    if value and not re.fullmatch(r"-?(0|[1-9]\d{0,17})", value, re.ASCII):
        raise ValueError(value)
    return int(value) if value else None


def as_number(value):
    if value and not re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?", value, re.ASCII):
        raise ValueError(value)
    return float(value) if value else None


def as_date(value):
    """2026-01-31 and 31.1.2026, as 2026-01-31."""
    if not value:
        return None
    return (datetime.strptime(value, "%d.%m.%Y").date() if "." in value else date.fromisoformat(value)).isoformat()


def as_text(value):
    return value or None


def kind_of(values):
    """The first kind that every value of a column has."""
    for convert in (as_bool, as_integer, as_number, as_date) if any(values) else ():
        try:
            for value in values:
                convert(value)
        except (ValueError, KeyError):
            continue
        return convert
    return as_text


def as_csv(columns, rows):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue()
