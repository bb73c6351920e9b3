#!/usr/bin/env python3
"""Checks that every source file includes only what its folder may include.

    scripts/check_layers.py [FOLDER]

Reads tests/layers.txt and scans the #include lines and the link lists of src/ in FOLDER (default:
this repository).
Prints every violation as file:line and exits with 1 if there is one.
"""

import pathlib
import re
import sys

TARGET = re.compile(r"\bcondense_([a-z0-9]+)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def read_rules(path):
    """Returns ({folder: allowed folders}, [(header prefixes, folders)], {folder: {sub-folder: rank}})."""
    folders, headers, inside = {}, [], {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        name, colon, rest = (part.strip() for part in line.partition(":"))
        kind, _, name = name.partition(" ")
        if not colon or kind not in ("folder", "header", "inside") or not name:
            sys.exit(f"{path}:{number}: expected `folder NAME: ...`, `header PREFIX ...: ...` or `inside NAME: ...`, found `{line}`")
        if kind == "folder":
            folders[name.strip()] = set(rest.split())
        elif kind == "inside":
            inside[name.strip()] = {sub: rank for rank, layer in enumerate(rest.split("<")) for sub in layer.split()}
        else:
            headers.append((tuple(name.split()), set(rest.split())))
    for folder, allowed in folders.items():
        for unknown in sorted(allowed - set(folders)):
            sys.exit(f"{path}: folder {folder} may include {unknown}, which is not listed itself")
    return folders, headers, inside


def closure(folder, folders):
    """A folder may include what the folders it uses may include."""
    reached, open_ends = set(), [folder]
    while open_ends:
        current = open_ends.pop()
        if current not in reached:
            reached.add(current)
            open_ends.extend(folders[current])
    return reached


def sub_folder(path):
    """The sub-folder of a path from src on; None for a file at the root of its folder."""
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else None


def climbs(source, target, ranks):
    """Whether an include inside one folder goes to a layer that is not below, given its sub-folders."""
    of, to = sub_folder(source), sub_folder(target)
    return to is not None and of != to and (of is None or ranks[to] >= ranks[of])


def violations(root):
    folders, headers, inside = read_rules(root / "tests/layers.txt")
    cycles = [f for f in folders for g in folders[f] if f in closure(g, folders)]
    for folder in sorted(set(cycles)):
        yield f"tests/layers.txt: folder {folder} includes itself in a circle"

    source = root / "src"
    for path in sorted(source.glob("*/CMakeLists.txt")):
        folder = path.parent.name
        for target in sorted(set(TARGET.findall(path.read_text(encoding="utf-8"))) & set(folders)):
            if folder in folders and target not in closure(folder, folders):
                yield f"{path.relative_to(root)}: {folder} may not link condense_{target} (tests/layers.txt)"

    for path in sorted(p for p in source.rglob("*") if p.suffix in (".h", ".cc")):
        folder = path.relative_to(source).parts[0]
        where = path.relative_to(root)
        if folder not in folders:
            yield f"{where}: src/{folder} is not listed in tests/layers.txt"
            continue
        allowed = closure(folder, folders)
        own, ranks = path.relative_to(source).as_posix(), inside.get(folder, {})
        if ranks and sub_folder(own) not in (None, *ranks):
            yield f"{where}: src/{folder}/{sub_folder(own)} is not listed in tests/layers.txt"
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            quoted, name = match.group(1) == '"', match.group(2)
            if quoted:
                target = name.split("/")[0]
                if "/" not in name or not (source / name).is_file():
                    yield f'{where}:{number}: "{name}" is no file of src; write the path from src on, or <...> for a library'
                elif target not in allowed:
                    yield f"{where}:{number}: {folder} may not include {target} (tests/layers.txt)"
                elif target == folder and ranks and climbs(own, name, ranks):
                    yield f'{where}:{number}: "{name}" is not in a layer below (tests/layers.txt, inside {folder})'
            for prefixes, owners in headers:
                if name.startswith(prefixes) and folder not in owners:
                    only = ", ".join(sorted(owners))
                    yield f"{where}:{number}: <{name}> may be included only in {only} (tests/layers.txt)"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)
    found = list(violations(root))
    print("\n".join(found) if found else "layers: every include is allowed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
