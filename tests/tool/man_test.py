#!/usr/bin/env python3
"""The manual pages agree with the commands, and every formatter accepts them:

    man_test.py path/to/ramie [unittest arguments]
"""
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.path.join(ROOT, "docs", "man")
RAMIE = os.path.abspath(sys.argv[1])
# Every command has them, whether or not its help says so.
HELP = {"--help", "-h"}


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60,
                          env={**os.environ, "LC_ALL": "C.UTF-8"})


def page(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return file.read()


def options_in(text):
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text))


def section(text, name):
    return re.search(rf"^\.SH {name}\n(.*?)(?=^\.SH |\Z)", text, re.M | re.S).group(1)


def entries(text):
    """The words at the left of a list: the line after each .TP, without its macro."""
    return {line.split(maxsplit=1)[1].replace("\\-", "-").strip('"')
            for line in re.findall(r"^\.TP\n(\..*)$", text, re.M)}


class Pages(unittest.TestCase):
    def test_options(self):
        for command in ("demo", "doctor", "env"):
            with self.subTest(command):
                ran = run(RAMIE, command, "--help")
                self.assertEqual((ran.returncode, ran.stderr), (0, ""))
                usage = ran.stdout.split("\nEnvironment variables")[0]
                usage = usage.split("\nTry: ")[0]
                text = page(f"ramie-{command}.1")
                listed = {entry.split()[0] for entry in entries(section(text, "OPTIONS"))}
                self.assertEqual(listed - HELP, options_in(usage) - HELP)
                self.assertGreater(len(listed), 1)

    def test_commands(self):
        usage = run(RAMIE, "help").stdout
        names = set(re.findall(r"^  ([\w-]+)  ", usage, re.M))
        self.assertIn("env", names)
        text = page("ramie.1")
        listed = entries(section(text, "COMMANDS")) | entries(section(text, "OPTIONS"))
        self.assertEqual(listed - HELP, names)

    def test_each_page_of_a_command_is_named(self):
        named = set(re.findall(r"^\.BR (ramie[\w\\-]*) \(\d\)", page("ramie.1"), re.M))
        pages = {name[:-2].replace("-", "\\-") for name in os.listdir(FOLDER)}
        self.assertEqual(named, pages - {"ramie"})

    def test_subjects_of_the_doctor(self):
        found = json.loads(run(RAMIE, "doctor", "--json").stdout)["findings"]
        listed = entries(section(page("ramie-doctor.1"), "SUBJECTS"))
        self.assertLessEqual({one["subject"] for one in found}, listed)

    def test_the_generated_page(self):
        self.assertEqual(run(RAMIE, "env", "--man").stdout, page("ramie-env.7"))

    def check(self, name, *command):
        """No formatter has anything to say."""
        if shutil.which(command[0]) is None:
            self.skipTest(f"{command[0]} is not installed")
        ran = run(*command, os.path.join(FOLDER, name))
        said = ran.stderr + (ran.stdout if command[0] == "mandoc" else "")
        self.assertEqual((ran.returncode, said), (0, ""))

    def test_groff(self):
        for name in sorted(os.listdir(FOLDER)):
            with self.subTest(name):
                self.check(name, "groff", "-man", "-Tutf8", "-ww", "-z")

    def test_man(self):
        for name in sorted(os.listdir(FOLDER)):
            with self.subTest(name):
                self.check(name, "man", "--warnings", "-E", "UTF-8", "-Tutf8", "-Z", "-l")

    def test_mandoc(self):
        for name in sorted(os.listdir(FOLDER)):
            with self.subTest(name):
                self.check(name, "mandoc", "-T", "lint", "-W", "warning")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
