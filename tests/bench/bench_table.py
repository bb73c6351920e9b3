#!/usr/bin/env python3
"""Turns what condense_bench (--benchmark_format=json) and compare_modegpt.py print into one table, or
with --json into lines of JSON with the keys name, ratio and target.

    bench_table.py [--json] FILE ...
"""
import json
import sys
from pathlib import Path

# Ratio counters of condense_bench, and what each is a fraction of.
COUNTERS = {"of_peak": "matrix products", "of_forward": "a forward pass", "of_copy": "copying"}


def rows_of(path):
    text = Path(path).read_text()
    if text.lstrip().startswith('{\n'):
        for entry in json.loads(text)["benchmarks"]:
            if "error_message" in entry:
                sys.exit(f"{entry['name']}: {entry['error_message']}")
            name = "/".join(part for part in entry["name"].split("/") if part not in ("real_time", "iterations:1"))
            for counter, reference in COUNTERS.items():
                if counter in entry:
                    yield {"name": name, "ours": f"{entry['real_time']:.3g} {entry['time_unit']}",
                           "beside": reference, "ratio": entry[counter], "target": entry.get("target")}
        return
    for line in text.splitlines():
        row = json.loads(line)
        yield {"name": row["name"], "ours": f"{row['ours']} s", "beside": f"peer: {row['peer']} s",
               "ratio": row["ratio"], "target": row["target"]}


def main():
    files = [argument for argument in sys.argv[1:] if argument != "--json"]
    rows = [row for path in files for row in rows_of(path)]
    if "--json" in sys.argv[1:]:
        for row in rows:
            print(json.dumps({key: row[key] for key in ("name", "ratio", "target")}))
        return
    print(f"{'what':<58} {'ours':>12}  {'beside':<18} {'ratio':>7} {'target':>7}")
    for row in rows:
        target = "" if row["target"] is None else f"{row['target']:.2f}"
        met = "" if row["target"] is None or row["ratio"] >= row["target"] else "  below"
        print(f"{row['name']:<58} {row['ours']:>12}  {row['beside']:<18} {row['ratio']:>7.3f} {target:>7}{met}")


if __name__ == "__main__":
    main()
