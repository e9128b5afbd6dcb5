#!/usr/bin/env python3
"""test_concurrency_docs.py SOURCE_ROOT: every function of lib/ that uses an atomic names a paragraph of docs/concurrency.md.

The paragraph stands in the comment above the function, or inside it. Each one that is named exists, and each one that
exists is named by the code, but for those that state a rule and belong to no function.
"""

import pathlib
import re
import sys

ATOMICS = re.compile(
    r"\b(load_(?:relaxed|acquire|ordered)|store_(?:relaxed|release|ordered)|fetch_(?:add|sub)|swap|cas|stack_push|stack_take_all"
    r"|pool_push|pool_pop|fence_compiler|platform_barrier_everywhere)\("
)
PARAGRAPH = re.compile(r"\bC\d+\.\d+\b")
RULES = {"C0.3", "C0.4", "C11.2"}
# The definitions of the operations themselves, and what only test builds have.
APART = {"lib/base/platform.h", "lib/base/testing.c", "lib/checks/check.c"}


def functions(text):
    """(name, comment above, body) of each function; the house style puts its braces into the first column."""
    for match in re.finditer(r"^[A-Za-z_][^\n;={}]*?\b(\w+)\([^;{}]*\)\n\{\n(.*?)^\}", text, re.M | re.S):
        above = text[: match.start()]
        comment = above[above.rfind("/*") :] if above.endswith("*/\n") else ""
        yield match.group(1), comment, match.group(2)


def main():
    root = pathlib.Path(sys.argv[1])
    document = (root / "docs/concurrency.md").read_text()
    known = set(re.findall(r"\*\*(C\d+\.\d+)\b", document))
    named = set()
    errors = [f"{name}: not there" for name in sorted(APART) if not (root / name).is_file()]
    with_atomics = 0
    for path in sorted((root / "lib").rglob("*.[ch]")):
        name = str(path.relative_to(root))
        text = path.read_text()
        named |= set(PARAGRAPH.findall(text))
        if name in APART:
            continue
        for function, comment, body in functions(text):
            if not ATOMICS.search(body):
                continue
            with_atomics += 1
            if not PARAGRAPH.search(comment + body):
                errors.append(f"{name}: {function}: an atomic, but no paragraph")
    errors += [f"docs/concurrency.md: {p}: named by the code, but not there" for p in sorted(named - known)]
    errors += [f"docs/concurrency.md: {p}: named nowhere in lib/" for p in sorted(known - named - RULES)]
    if with_atomics < 80:
        errors.append(f"only {with_atomics} functions with atomics found: does this script still read the code?")
    print("\n".join(errors) or f"{with_atomics} functions with atomics, {len(known)} paragraphs")
    return bool(errors)


sys.exit(main())
