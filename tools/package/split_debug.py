#!/usr/bin/env python3
"""Removes the debug information from what meson has installed.

Usage: split_debug.py OBJCOPY SHARED DEBUG OTHERS...    as meson's install script; paths under the
prefix. The shared library refers to DEBUG, which has its debug information, for gdb and for
Ramie's own dumps. Its symbols stay: a dump shows the names of functions without that file, too.
"""
import os
import subprocess
import sys


def main(objcopy, *paths):
    destination = os.environ["MESON_INSTALL_DESTDIR_PREFIX"]
    shared, debug, *others = (os.path.join(destination, path) for path in paths)
    if os.environ.get("MESON_INSTALL_DRY_RUN"):
        return
    subprocess.run([objcopy, "--strip-debug", "--remove-section=.gnu_debuglink",
                    f"--add-gnu-debuglink={debug}", shared], check=True)
    for other in others:
        subprocess.run([objcopy, "--strip-debug", other], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
