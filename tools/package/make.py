#!/usr/bin/env python3
"""Makes what others install: the source archive, Debian packages, a whole release.

    make.py source FOLDER    ramie-VERSION.tar.gz, which builds without git
    make.py deb FOLDER       libramie0, libramie-dev, ramie-tools and their debug packages
    make.py abi LIBRARY      compares the interface of LIBRARY with that of the last release
    make.py write-abi LIBRARY   makes it that of the last release: tools/package/libramie-*.abi.xz
    make.py release          all of it, twice, into build/release-VERSION: the same bytes each time

The version is that of the file VERSION. Times in the files are those of the last
commit, or of SOURCE_DATE_EPOCH, so the same source gives the same bytes.
"""
import email.utils
import glob
import gzip
import hashlib
import io
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LEFT_OUT = {".git", ".cache", "build", "shared", "__pycache__"}  # where git does not tell


class Failure(Exception):
    """What the user should read instead of a traceback."""


def run(*command, **options):
    done = subprocess.run(command, check=False, text=True, capture_output=True, **options)
    if done.returncode:
        raise Failure(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


def git(*arguments):
    """git's answer; None without git, or where it refuses (a repository of another user)."""
    if not os.path.exists(os.path.join(ROOT, ".git")) or shutil.which("git") is None:
        return None
    done = subprocess.run(["git", "-C", ROOT, *arguments], check=False, text=True,
                          capture_output=True)
    return None if done.returncode else done.stdout


def version(root=ROOT):
    with open(os.path.join(root, "VERSION"), encoding="utf-8") as file:
        return file.read().strip()


def files():
    """The files of the source, relative to the root, in order."""
    listed = git("ls-files", "-z")
    if listed is not None:
        return sorted(filter(None, listed.split("\0")))
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in LEFT_OUT]
        found += [os.path.relpath(os.path.join(folder, name), ROOT) for name in names]
    return sorted(found)


def epoch():
    """The time of the source, in seconds since 1970."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    committed = git("log", "-1", "--format=%ct")
    if committed is not None:
        return int(committed)
    return int(os.stat(os.path.join(ROOT, "VERSION")).st_mtime)


def changes(text, of):
    """The date and the text of a version's section of CHANGELOG.md."""
    found = re.search(rf"^## \[{re.escape(of)}\] - (\S+)\n(.*?)(?=^## \[|\Z)", text, re.M | re.S)
    if not found:
        raise Failure(f"CHANGELOG.md has no section `## [{of}] - DATE`")
    return found.group(1), found.group(2).strip()


def source(folder):
    """Writes the source archive, and returns its path."""
    name, when = f"ramie-{version()}", epoch()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in files():
            member = archive.gettarinfo(os.path.join(ROOT, path), f"{name}/{path}")
            member.mtime, member.uid, member.gid = when, 0, 0
            member.uname = member.gname = "root"
            member.mode = 0o755 if member.mode & 0o100 else 0o644
            if member.isfile():
                with open(os.path.join(ROOT, path), "rb") as file:
                    archive.addfile(member, file)
            else:
                archive.addfile(member)
    os.makedirs(folder, exist_ok=True)
    target = os.path.join(folder, name + ".tar.gz")
    with open(target, "wb") as file, gzip.GzipFile("", "wb", 9, file, when) as zipped:
        zipped.write(packed.getvalue())
    return target


def deb(folder, archive=None):
    """Builds the Debian packages from the source archive, and returns their paths."""
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ramie-deb-") as place:
        archive = archive or source(place)
        with tarfile.open(archive) as packed:
            packed.extractall(place)
        tree = os.path.join(place, f"ramie-{version()}")
        when = epoch()
        shutil.move(os.path.join(tree, "tools/debian"), os.path.join(tree, "debian"))
        with open(os.path.join(tree, "debian/changelog"), "w", encoding="utf-8") as file:
            file.write(f"ramie ({version()}) unstable; urgency=medium\n\n"
                       f"  * Release {version()}: CHANGELOG.md of the source has the changes.\n\n"
                       " -- The Ramie developers <ramie@example.org>  "
                       f"{email.utils.formatdate(when)}\n")
        run("dpkg-buildpackage", "-b", "-us", "-uc", cwd=tree,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(when),
                 "DEB_BUILD_OPTIONS": f"nocheck parallel={os.cpu_count()}"})
        for path in packages_in(folder):  # of an earlier version, perhaps
            os.remove(path)
        return [shutil.move(path, os.path.join(folder, os.path.basename(path)))
                for path in packages_in(place)]


def interface_of(library):
    """The functions and types that LIBRARY exports, as libabigail writes them."""
    return run("abidw", "--exported-interfaces-only", "--no-show-locs", "--no-corpus-path",
               "--no-comp-dir-path", "--suppressions",
               os.path.join(ROOT, "tools/package/public_types.ini"), library)


def released_interface():
    """The version of the last release, and its interface."""
    (path,) = glob.glob(os.path.join(ROOT, "tools/package/libramie-*.abi.xz"))
    with lzma.open(path, "rt", encoding="utf-8") as file:
        return re.search(r"libramie-(.*)\.abi\.xz$", path).group(1), file.read()


def difference(old, new):
    """What could break a program that was linked with the interface `old`; None if nothing."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("old.abi", "new.abi")]
        for path, text in zip(paths, (old, new)):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        done = subprocess.run(["abidiff", "--no-added-syms", *paths], check=False, text=True,
                              capture_output=True)
        return done.stdout + done.stderr if done.returncode else None


def abi(library):
    """Fails if programs that were linked with the last release would load LIBRARY and break."""
    released, old = released_interface()
    new = interface_of(library)
    soname = r"soname='([^']*)'"
    if re.search(soname, old).group(1) != re.search(soname, new).group(1):
        return f"the soname is not that of {released}: the interface may differ"
    if text := difference(old, new):
        raise Failure(f"the interface differs from that of {released}, so the soname and the minor "
                      f"version must change:\n{text[-6000:]}")
    return f"programs that were linked with {released} run with {version()}"


def write_abi(library):
    """Makes LIBRARY's interface that of the last release."""
    for path in glob.glob(os.path.join(ROOT, "tools/package/libramie-*.abi.xz")):
        os.remove(path)
    text = interface_of(library)
    with lzma.open(os.path.join(ROOT, f"tools/package/libramie-{version()}.abi.xz"), "wt",
                   encoding="utf-8") as file:
        file.write(text)


def packages_in(folder):
    return sorted(glob.glob(os.path.join(folder, "*.deb")))


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def release():
    now = version()
    with open(os.path.join(ROOT, "CHANGELOG.md"), encoding="utf-8") as file:
        date, text = changes(file.read(), now)
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", date) or not text:
        raise Failure(f"CHANGELOG.md: the section of {now} needs its date, and its changes")
    if git("status", "--porcelain"):
        raise Failure("the tree has changes that are not committed")
    print(abi(os.path.join(ROOT, "build/release/libramie.so")))
    folder = os.path.join(ROOT, "build", f"release-{now}")
    shutil.rmtree(folder, ignore_errors=True)
    sums = []
    for turn in ("", "again"):
        place = os.path.join(folder, turn)
        archive = source(place)
        packages = deb(place, archive)
        sums.append({os.path.basename(path): digest(path) for path in [archive, *packages]})
    different = [name for name, first in sums[0].items() if sums[1].get(name) != first]
    if different or sums[0].keys() != sums[1].keys():
        raise Failure("built twice, these differ: " + ", ".join(different))
    shutil.rmtree(os.path.join(folder, "again"))
    run("lintian", "--fail-on", "error", "--allow-root", *packages_in(folder))
    with open(os.path.join(folder, "SHA256SUMS"), "w", encoding="utf-8") as file:
        file.writelines(f"{value}  {name}\n" for name, value in sums[0].items())
    print("\n".join(sorted(os.path.relpath(path, ROOT) for path in glob.glob(folder + "/*"))))
    print(f"the same bytes twice; now: git tag -a v{now}")


def main(arguments):
    match arguments:
        case ["source", folder]:
            print(source(folder))
        case ["deb", folder]:
            print("\n".join(deb(folder)))
        case ["abi", library]:
            print(abi(library))
        case ["write-abi", library]:
            write_abi(library)
        case ["release"]:
            release()
        case _:
            raise Failure(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Failure as failure:
        sys.exit(f"make.py: {failure}")
