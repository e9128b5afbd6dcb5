#!/usr/bin/env python3
"""test_layers.py SOURCE_ROOT: the folders of lib/ are layers, and no file includes one of a layer above its own.

An include of another file of the project is written "folder/name.h", the public headers "keyslab/name.h". What only
test builds include counts as well. The order is that of LAYERS. First the script refuses small trees that break each
rule, so that it is known to find what it looks for.
"""

import pathlib
import re
import sys
import tempfile

# Bottom up, as docs/design.md describes them.
LAYERS = ["base", "classes", "memory", "config", "core", "checks", "trace", "api", "malloc"]
PUBLIC = re.compile(r"keyslab/\w+\.h|netmon\.h")

COMMENT = re.compile(r"/\*.*?\*/", re.S)
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include(?:_next)?[ \t]*(.*?)[ \t]*$", re.M)


def includes(path):
    return INCLUDE.findall(COMMENT.sub("", path.read_text()))


def is_public(root, name):
    return PUBLIC.fullmatch(name) and any((root / "include" / folder / name).is_file() for folder in ("", "keyslab"))


def check_include(root, layer, include):
    """What is wrong with an include of a file in that layer, or None."""
    name = include[1:-1]
    if include.startswith("<") and include.endswith(">"):
        return f"{include}: a file of lib/ is included in quotes" if (root / "lib" / name).is_file() else None
    if not (len(include) > 2 and include.startswith('"') and include.endswith('"')):
        return f"{include}: not the name of a file"
    if is_public(root, name):
        return None
    folder, _, header = name.partition("/")
    if folder not in LAYERS or not re.fullmatch(r"\w+\.h", header) or not (root / "lib" / name).is_file():
        return f'{include}: not "folder/name.h" of a header in lib/'
    if LAYERS.index(folder) > LAYERS.index(layer):
        return f"{include}: {folder} is above {layer}"
    return None


def cycles(graph):
    """Each cycle of includes that a depth-first search meets, as the names along it."""
    found, done = [], set()

    def visit(header, path):
        if header in path:
            found.append(path[path.index(header) :] + [header])
        elif header not in done:
            for included in graph.get(header, ()):
                visit(included, path + [header])
            done.add(header)

    for header in sorted(graph):
        visit(header, [])
    return found


def check(root):
    """The number of files that were read, and what is wrong with them."""
    lib = root / "lib"
    errors = [f"lib/{path.name}: no layer" for path in sorted(lib.iterdir()) if path.is_dir() and path.name not in LAYERS]
    graph = {}
    files = 0
    for path in sorted(lib.rglob("*.[ch]")):
        name = path.relative_to(lib)
        layer = name.parts[0]
        if path.parent == lib:
            errors.append(f"lib/{name}: a source file outside the layers")
        if layer not in LAYERS:
            continue
        files += 1
        found = includes(path)
        errors += [f"lib/{name}: {error}" for error in (check_include(root, layer, include) for include in found) if error]
        if path.suffix == ".h":
            graph[str(name)] = [include[1:-1] for include in found]
    errors += ["lib/: headers include each other: " + " -> ".join(cycle) for cycle in cycles(graph)]
    return files, errors


GOOD = {
    "include/keyslab/keyslab.h": "",
    "include/keyslab/netmon.h": "",
    "lib/meson.build": "",
    "lib/base/platform.h": "#include <stdint.h>\n",
    "lib/core/key.h": '#include "base/platform.h"\n',
    "lib/core/key.c": '#include "core/key.h"\n/*\n#include "api/print.h"\n*/\n',
    "lib/api/print.h": '#include "keyslab/keyslab.h"\n',
    "lib/api/print.c": '#include "api/print.h"\n#include "core/key.h"\n#include "netmon.h"\n',
}

# What is added to GOOD, and what the one error must say.
BAD = [
    ({"lib/base/text.c": '#include "core/key.h"\n'}, "core is above base"),
    ({"lib/core/key.c": '#include "api/print.h"\n'}, "api is above core"),
    ({"lib/core/key.c": '#if KS_CHECK\n#  include "api/print.h"\n#endif\n'}, "api is above core"),
    ({"lib/core/heap.h": '#include "core/slab.h"\n', "lib/core/slab.h": '#include "core/heap.h"\n'},
     "core/heap.h -> core/slab.h -> core/heap.h"),
    ({"lib/core/heap.h": '#include "core/heap.h"\n'}, "core/heap.h -> core/heap.h"),
    ({"lib/core/key.c": '#include "key.h"\n'}, 'not "folder/name.h"'),
    ({"lib/core/key.c": '#include "../base/platform.h"\n'}, 'not "folder/name.h"'),
    ({"lib/core/key.c": '#include "core/absent.h"\n'}, 'not "folder/name.h"'),
    ({"lib/core/key.c": '#include "core/key.c"\n'}, 'not "folder/name.h"'),
    ({"lib/core/key.c": '#include "keyslab/absent.h"\n'}, 'not "folder/name.h"'),
    ({"lib/core/key.c": "#include <base/platform.h>\n"}, "in quotes"),
    ({"lib/core/key.c": "#include NAME\n"}, "not the name of a file"),
    ({"lib/key.c": ""}, "outside the layers"),
    ({"lib/key.h": ""}, "outside the layers"),
    ({"lib/other/key.c": ""}, "lib/other: no layer"),
]


def check_tree(files):
    with tempfile.TemporaryDirectory(prefix="keyslab-layers-") as folder:
        root = pathlib.Path(folder)
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return check(root)[1]


def check_refusals():
    """Where this script itself does not find what it should."""
    errors = [f"refused, though it is good: {error}" for error in check_tree(GOOD)]
    for files, expected in BAD:
        found = check_tree(GOOD | files)
        if len(found) != 1 or expected not in found[0]:
            errors.append(f"of {files}, an error with '{expected}' was expected, not {found}")
    return errors


def main():
    errors = check_refusals()
    files, found = check(pathlib.Path(sys.argv[1]))
    errors += found
    if not files:
        errors.append("no file in any layer")
    print("\n".join(errors) or f"{files} files in {len(LAYERS)} layers, {len(BAD)} bad trees refused")
    return bool(errors)


sys.exit(main())
