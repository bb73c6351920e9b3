#!/usr/bin/env python3
"""Checks that everything the repository cites from its own documents exists.

    scripts/check_citations.py [FOLDER]

In FOLDER (default: this repository) it reads the comments and texts of the tree, and reports as file:line
  - a section (`methods.md 5.4`, also `5.1, 5.2 and 5.4`, `2.2 - 2.7`, `3.3, steps 5 and 6`) that docs/ does
    not have. A numbered item of a section without sub-sections counts as one: rule 3 of section 0 is 0.3;
  - a section sign (`§0.5`) inside docs/ that the same document does not have;
  - a claim (`T49`) that docs/methods.md does not define as **T49**, or defines twice, and one that no test
    cites although its section is not marked *Not implemented*;
  - a relative link between Markdown files whose file or heading does not exist.
Exits with 1 if there is one.
"""

import pathlib
import re
import sys

FOLDERS = ("src", "tests", "configs", "experiments", "scripts", "docs", "paper", "results")
TEXTS = {".h", ".cc", ".py", ".sh", ".md", ".yaml", ".tex", ".txt", ".cmake"}
NOT_OURS = ("tests/data/", "tests/golden/", "configs/bundled/text/", "scripts/check_citations.py")

NUMBER = r"\d+(?:\.\d+)?"
LIST = rf"{NUMBER}(?:(?:,? and |, | to | ?[-–] ?){NUMBER}(?![\d.]*\w))*"
CITATION = re.compile(rf"\b([a-z_]+)\.md`? §?({LIST})(?:,? (?:rules?|steps?) (\d+(?:(?: and |, | to |-)\d+)*))?")
NAMED = re.compile(rf"\b([a-z_]+)\.md`? §?({NUMBER}), \"([^\"]+)\"")
SIGN = re.compile(rf"(?<!\.md )(?<!\.md` )§({NUMBER})")
CLAIM = re.compile(r"\bT(\d{1,2})(?: ?[-–] ?T(\d{1,2}))?\b")
LINK = re.compile(r"\]\(([^)\s]+)\)")


class Document:
    """The sections of one Markdown file, and what they hold."""

    def __init__(self, path):
        self.sections = {}  # "5.4": its text
        self.anchors = set()
        number = None
        for line in unfenced(path.read_text(encoding="utf-8")):
            heading = re.match(r"#+ (.*)", line)
            if heading:
                title = heading.group(1)
                self.anchors.add(slug(title))
                found = re.match(rf"({NUMBER})\.?\s", title)
                number = found.group(1) if found else None
                if number:
                    self.sections[number] = ""
            elif number:
                self.sections[number] += line + "\n"

    def items(self, section):
        """The numbers of the section's numbered items."""
        return set(re.findall(r"^ *(\d+)\. ", self.sections.get(section, ""), re.M))

    def has(self, section):
        if section in self.sections:
            return True
        whole, _, part = section.partition(".")
        return part != "" and part in self.items(whole)


def unfenced(text):
    fenced = False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield line


def slug(title):
    kept = re.sub(r"[^\w\- ]", "", title.strip().lower().replace("`", ""))
    return kept.replace(" ", "-")


def expand(numbers):
    """`2.2 - 2.7` and `3.2 to 3.4` mean all sections between as well."""
    parts = re.split(r"(,? and |, | to | ?[-–] ?)", numbers)
    found = [parts[0]]
    for joint, number in zip(parts[1::2], parts[2::2]):
        if joint.strip() in ("to", "-", "–"):
            head, _, first = found[-1].rpartition(".")
            last = number.rpartition(".")[2]
            found += [f"{head}.{n}" if head else str(n) for n in range(int(first) + 1, int(last))]
        found.append(number)
    return found


def texts(root):
    for path in sorted(root.glob("*.md")):
        yield path
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.suffix in TEXTS and path.is_file() and not name.startswith(NOT_OURS):
                yield path


def joined(text):
    """The text with a comment's line breaks replaced by spaces, of the same length."""
    return re.sub(r"\n[ \t]*(?://|#)?", lambda m: " " * len(m.group(0)), text)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def cited_in(path, root, documents, claims):
    raw = path.read_text(encoding="utf-8", errors="replace")
    where = path.relative_to(root)
    text = re.sub(r"  +", lambda m: " " + "\0" * (len(m.group(0)) - 1), joined(raw))
    flat, places = "", []  # without the padding, and where each character was
    for at, character in enumerate(text):
        if character != "\0":
            flat += character
            places.append(at)

    def problem(match, what):
        return f"{where}:{line_of(raw, places[match.start()])}: {what}"

    for match in CITATION.finditer(flat):
        name, sections, items = match.groups()
        if name not in documents:
            yield problem(match, f"there is no docs/{name}.md")
            continue
        for section in expand(sections):
            if not documents[name].has(section):
                yield problem(match, f"docs/{name}.md has no section {section}")
        for item in expand(items) if items else []:
            if item not in documents[name].items(section):
                yield problem(match, f"docs/{name}.md {section} has no item {item}")
    for match in NAMED.finditer(flat):
        name, section, title = match.groups()
        if name in documents and f"**{title}" not in documents[name].sections.get(section, ""):
            yield problem(match, f'docs/{name}.md {section} has no paragraph "{title}"')

    for number, claim in claims_cited(path):
        if claim not in claims:
            yield f"{where}:{number}: docs/methods.md defines no claim T{claim}"
    if path.suffix == ".md":
        own = documents.get(path.stem) if path.parent == root / "docs" else None
        for match in SIGN.finditer(flat) if own else []:
            if not own.has(match.group(1)):
                yield problem(match, f"this document has no section {match.group(1)}")
        yield from broken_links(path, root)


def claims_cited(path):
    """(line, claim) of the comments of a source file."""
    if path.suffix not in (".cc", ".h"):
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for first, last in CLAIM.findall(line.partition("//")[2]):
            for claim in range(int(first), int(last or first) + 1):
                yield number, claim


def claims_without_test(root, methods):
    tested = {claim for path in texts(root) for _, claim in claims_cited(path)}
    for number, section in methods.sections.items():
        whole = methods.sections.get(number.partition(".")[0], "")
        if "*Not implemented.*" in section or "*Not implemented.*" in whole:
            continue
        for claim in sorted({int(claim) for claim in re.findall(r"\*\*T(\d+)\*\*", section)}):
            if claim not in tested:
                yield f"docs/methods.md: no test cites claim T{claim} of section {number}"


def broken_links(path, root):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for target in LINK.findall(line):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            to = (path.parent / name) if name else path
            if not to.exists():
                yield f"{path.relative_to(root)}:{number}: {target} does not exist"
            elif anchor and to.suffix == ".md" and anchor not in Document(to).anchors:
                yield f"{path.relative_to(root)}:{number}: {name or 'this file'} has no heading #{anchor}"


def violations(root):
    documents = {path.stem: Document(path) for path in sorted((root / "docs").glob("*.md"))}
    defined = re.findall(r"\*\*T(\d+)\*\*", (root / "docs/methods.md").read_text(encoding="utf-8"))
    for claim in sorted({claim for claim in defined if defined.count(claim) > 1}, key=int):
        yield f"docs/methods.md: claim T{claim} is defined twice"
    yield from claims_without_test(root, documents["methods"])
    for path in texts(root):
        yield from cited_in(path, root, documents, {int(claim) for claim in defined})


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)
    found = list(violations(root))
    print("\n".join(found) if found else "citations: every cited section, claim and link exists")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
