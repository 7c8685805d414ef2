"""Tests tools/package/make.py: the archive, the changelog, and which interfaces fit."""
import os
import sys
import tarfile
import tempfile
import unittest
from unittest import mock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "package"))
import make  # noqa: E402  pylint: disable=wrong-import-position

LOG = "# Changelog\n\n## [0.2.0] - unreleased\n\nsoon\n\n## [0.1.0] - 2026-11-29\n\n- it works\n"


class Archive(unittest.TestCase):
    def test_the_same_source_gives_the_same_bytes(self):
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            first, second = make.source(one), make.source(two)
            self.assertEqual(make.digest(first), make.digest(second))
            self.assertEqual(os.path.basename(first), f"ramie-{make.version()}.tar.gz")

    def test_it_has_the_source_with_modes_and_one_time(self):
        with tempfile.TemporaryDirectory() as folder:
            with tarfile.open(make.source(folder)) as archive:
                members = archive.getmembers()
        top = f"ramie-{make.version()}/"
        names = {member.name for member in members}
        self.assertLessEqual({top + "dev", top + "meson.build", top + "CMakeLists.txt"}, names)
        left_out = (top + "build/", top + ".git/")
        self.assertFalse([name for name in names if name.startswith(left_out)])
        modes = {member.name: member.mode for member in members}
        self.assertEqual((modes[top + "dev"], modes[top + "VERSION"]), (0o755, 0o644))
        self.assertEqual({member.mtime for member in members}, {make.epoch()})

    def test_it_needs_no_git(self):
        with tempfile.TemporaryDirectory() as folder:
            for path in ("VERSION", "sched/a.cpp", "build/x.o", "tools/__pycache__/b.pyc"):
                os.makedirs(os.path.join(folder, os.path.dirname(path)), exist_ok=True)
                with open(os.path.join(folder, path), "w", encoding="utf-8") as file:
                    file.write("0.1.0\n")
            with mock.patch.object(make, "ROOT", folder):
                self.assertEqual(make.files(), ["VERSION", "sched/a.cpp"])
                self.assertEqual(make.epoch(), int(os.stat(folder + "/VERSION").st_mtime))

    def test_a_given_time_wins(self):
        with mock.patch.dict(os.environ, SOURCE_DATE_EPOCH="1000"):
            self.assertEqual(make.epoch(), 1000)


class Changelog(unittest.TestCase):
    def test_a_section_has_date_and_text(self):
        self.assertEqual(make.changes(LOG, "0.1.0"), ("2026-11-29", "- it works"))
        self.assertEqual(make.changes(LOG, "0.2.0"), ("unreleased", "soon"))

    def test_a_missing_section_is_told(self):
        with self.assertRaisesRegex(make.Failure, r"no section `## \[0\.3\.0\] - DATE`"):
            make.changes(LOG, "0.3.0")

    def test_a_release_needs_a_date(self):
        with mock.patch.object(make, "changes", return_value=("unreleased", "text")):
            with self.assertRaisesRegex(make.Failure, "needs its date"):
                make.release()


class Interface(unittest.TestCase):
    def abi(self, soname, difference):
        new = f"<abi-corpus soname='{soname}'>"
        with mock.patch.object(make, "released_interface",
                               return_value=("0.1.0", "<abi-corpus soname='libramie.so.0'>")), \
                mock.patch.object(make, "interface_of", return_value=new), \
                mock.patch.object(make, "difference", return_value=difference):
            return make.abi("libramie.so")

    def test_the_same_soname_must_fit(self):
        self.assertIn("run with", self.abi("libramie.so.0", None))
        with self.assertRaisesRegex(make.Failure, "soname and the minor version must change"):
            self.abi("libramie.so.0", "1 function removed")

    def test_another_soname_may_differ(self):
        self.assertIn("may differ", self.abi("libramie.so.1", "1 function removed"))


if __name__ == "__main__":
    unittest.main()
