#!/usr/bin/env python3
"""Converts a Parquet file to JSON lines, the form in which Condense reads tasks.

    scripts/parquet_to_jsonl.py IN.parquet OUT.jsonl

Needs pyarrow (python3 -m pip install pyarrow). Values stay what they are: numbers, text, booleans, lists and structs.
OUT.jsonl appears only when it is whole.
"""

import json
import os
import sys


def refuse(value):
    raise SystemExit(f"a value of type {type(value).__name__} has no counterpart in JSON: {value!r:.60}")


def main():
    if len(sys.argv) != 3 or sys.argv[1].startswith("-"):
        raise SystemExit(__doc__.strip())
    source, target = sys.argv[1:]
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise SystemExit("pyarrow is missing; install it with: python3 -m pip install pyarrow")
    try:
        table = pyarrow.parquet.ParquetFile(source)
    except (OSError, pyarrow.ArrowException) as error:
        raise SystemExit(f"{source}: {error}")

    partial, rows = target + ".partial", 0
    try:
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        with open(partial, "w", encoding="utf-8", newline="\n") as out:
            for batch in table.iter_batches():
                for record in batch.to_pylist():
                    print(json.dumps(record, ensure_ascii=False, allow_nan=False, default=refuse), file=out)
                    rows += 1
        os.replace(partial, target)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise SystemExit(f"{target}: {error}")
    finally:
        if os.path.exists(partial):
            os.remove(partial)
    print(f"{target}: {rows} records", file=sys.stderr)


if __name__ == "__main__":
    main()
