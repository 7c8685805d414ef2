"""arm64.py: the cross file, a root that is made once, and what it says where tools are missing."""
import configparser
import os
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPT = os.path.join(ROOT, "tools", "arm64.py")
sys.path.insert(0, os.path.join(ROOT, "tools"))
sys.dont_write_bytecode = True

import arm64  # noqa: E402


class Arm64(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_the_cross_file_names_compiler_root_and_emulator(self):
        path = os.path.join(self.folder, "arm64.ini")
        arm64.write_cross_file(path, "/the/root")
        file = configparser.ConfigParser(interpolation=None)
        file.read(path)
        self.assertIn("aarch64-linux-gnu-g++", file["binaries"]["cpp"])
        self.assertIn("'QEMU_LD_PREFIX=/the/root', 'qemu-aarch64'", file["binaries"]["exe_wrapper"])
        self.assertIn("'--sysroot=/the/root'", file["built-in options"]["cpp_args"])
        self.assertEqual(file["host_machine"]["cpu_family"], "'aarch64'")

    def test_a_root_of_the_same_packages_is_kept_and_another_is_made_anew(self):
        root, apt = os.path.join(self.folder, "root"), os.path.join(self.folder, "apt")
        os.mkdir(root)
        with open(os.path.join(root, ".packages"), "w", encoding="utf-8") as stamp:
            stamp.write(" ".join(arm64.PACKAGES))
        with mock.patch.object(arm64, "Apt") as made:
            arm64.make_root(root, apt)
            made.assert_not_called()
            made.return_value.download.return_value = []
            with mock.patch.object(arm64, "PACKAGES", ["one"]), self.assertRaises(SystemExit):
                arm64.make_root(root, apt)
            made.assert_called_once_with(apt)
        self.assertFalse(os.path.exists(root))

    def test_apt_gets_a_world_of_its_own(self):
        apt = arm64.Apt(os.path.join(self.folder, "apt"))
        text = " ".join(apt.options)
        for part in ("state", "status", "cache"):
            self.assertIn(os.path.join(self.folder, "apt", part), text)
        self.assertIn("APT::Architecture=arm64", text)
        self.assertEqual(os.path.getsize(os.path.join(self.folder, "apt", "status")), 0)

    def test_without_the_compiler_it_says_what_to_install(self):
        done = subprocess.run([sys.executable, SCRIPT, self.folder], env={"PATH": self.folder},
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("apt-get install g++-aarch64-linux-gnu qemu-user", done.stderr)


if __name__ == "__main__":
    unittest.main()
