"""Fails deep inside, with the traceback on stderr and exit code 1."""


def parse_row(row):
    return {"width": int(row["width"]), "height": int(row["height"])}


def load(rows):
    return [parse_row(row) for row in rows]


print("loading 2 rows")
load([{"width": "640", "height": "480"}, {"width": "wide", "height": "480"}])
