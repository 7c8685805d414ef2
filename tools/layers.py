#!/usr/bin/env python3
"""Checks the includes between folders: layers.py [root] prints `file:line: rule: message`.

    runtime                          may include everything below
    runtime/net    runtime/fs        what programs call; of each other they see public headers only
    signal         uring             the driver's extensions; they never see each other
    io
    sched                            sched/base sees only itself, std, libc and fmt
    (tools, tests, bench and docs/examples include anything; nothing includes them)

A quoted path is found beside the file or from the root; <ramie/x.hpp> belongs to the folder whose
include/ramie has it. Rules: layer, base, public, unknown. Exits 1 if any is broken.
"""
import os
import re
import sys

import sources

# What programs call: folders of runtime/ that do not see the rest of it.
PARTS = ("net", "fs", "process", "tls")
LEVEL = {"sched": 0, "io": 1, "signal": 2, "uring": 2, "runtime": 4,
         **{f"runtime/{part}": 3 for part in PARTS}}

# What the bottom of the bottom may take from the public headers: vocabulary without behaviour.
BASE_MAY_INCLUDE = {"ramie/api.hpp", "ramie/error.hpp", "ramie/result.hpp"}
BASE_THIRD_PARTY = {"fmt", "sanitizer", "valgrind"}  # the latter two: tool hooks

# Libraries that no public header may show to a user.
PRIVATE_LIBRARIES = ("boost/", "fmt/", "concurrentqueue/", "moodycamel/", "liburing")
PRIVATE_SYSTEM_HEADERS = {"sys/epoll.h", "concurrentqueue.h"}

# The one hole: with RAMIE_MODEL these headers become the model checker's.
MODEL_SEAM = re.compile(
    r"sched/(?:base/(?:atomic|thread)|include/ramie/detail/atomic)\.hpp -> tests/model/")

# Directories of libc and the kernel: a path below one of them is not a third party's.
SYSTEM_DIRECTORIES = {"arpa", "asm", "bits", "linux", "net", "netinet", "sys"}


def owner_of(includer, included, quoted, files, public):
    """The repository path of an include, or None if it is not ours."""
    if not quoted:
        return public.get(included)
    beside = os.path.normpath(os.path.join(os.path.dirname(includer), included))
    for candidate in (beside, included):
        if candidate in files:
            return candidate
    return None


def check_base(included, target):
    """sched/base: the message if it may not have this include."""
    if target is not None:
        if target.startswith("sched/base/") or included in BASE_MAY_INCLUDE:
            return None
        return f"sched/base may not include {included}: it is the bottom"
    first = included.split("/")[0]
    if "/" in included and first not in SYSTEM_DIRECTORIES | BASE_THIRD_PARTY:
        return f"sched/base may include only std, libc and fmt, not <{included}>"
    if included.startswith("liburing"):
        return f"sched/base may include only std, libc and fmt, not <{included}>"
    return None


def layer_of(path):
    """The layer of a file: its folder, or a part of runtime/; what it owns of the public headers
    is in it, too."""
    inner = re.sub(r"^runtime/include/ramie/", "runtime/", path)
    part = re.match(rf"runtime/(?:{'|'.join(PARTS)})(?=[/.])", inner)
    return part.group() if part else path.split("/")[0]


def check_layer(path, target):
    """The message if the file `path` may not include the file `target`."""
    layer, other = layer_of(path), layer_of(target)
    if other not in LEVEL:
        return f"{layer} includes {target}: nothing in the library includes {other}/"
    if other != layer and LEVEL[other] == LEVEL[layer]:
        if other.startswith("runtime/") and "/include/" in target:
            return None
        return f"{layer} includes {target}: {layer} and {other} never see each other"
    if LEVEL[other] > LEVEL[layer]:
        return f"{layer} includes {target}: {other} is above {layer}"
    return None


def check_public(included, quoted):
    """The message if a public header may not have this include."""
    if quoted:
        return f'a public header includes "{included}": only <...> works for users'
    if included.startswith(PRIVATE_LIBRARIES) or included in PRIVATE_SYSTEM_HEADERS:
        return f"a public header shows <{included}> to its users"
    return None


def check_file(path, text, files, public):
    for line, included, quoted in sources.includes(text):
        target = owner_of(path, included, quoted, files, public)
        if MODEL_SEAM.match(f"{path} -> {included}"):
            continue
        if target is None and (quoted or included.startswith("ramie/")):
            yield path, line, "unknown", f"{included} is nowhere in this repository"
            continue
        messages = [("layer", check_layer(path, target) if target else None)]
        if path.startswith("sched/base/"):
            messages.append(("base", check_base(included, target)))
        if "/include/ramie/" in path:
            messages.append(("public", check_public(included, quoted)))
        for rule, message in messages:
            if message:
                yield path, line, rule, message


def public_headers(files):
    """<ramie/x.hpp> -> the file that it is."""
    return {path.split("/include/", 1)[1]: path
            for path in files
            if path.split("/")[0] in LEVEL and path.split("/")[1:3] == ["include", "ramie"]}


def check_tree(root):
    files = set(sources.walk(root))
    public = public_headers(files)
    violations = []
    for path in files:
        if path.split("/")[0] in LEVEL and path.endswith(sources.CPP_SUFFIXES):
            violations += check_file(path, sources.read(root, path), files, public)
    return violations


if __name__ == "__main__":
    sys.exit(sources.report(
        check_tree(sys.argv[1] if len(sys.argv) > 1 else sources.repository_root())))
