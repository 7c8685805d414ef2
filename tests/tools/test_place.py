"""tests/ordinary/place.py: each condition is what a command finds; what cannot be had is told."""
import os
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PLACE = os.path.join(ROOT, "tests", "ordinary", "place.py")


def run(*arguments):
    return subprocess.run([sys.executable, PLACE, *arguments], capture_output=True, text=True,
                          check=False)


class Place(unittest.TestCase):
    def say(self, *conditions, command):
        if run(*conditions, "--check").returncode == 77:
            self.skipTest(f"this machine denies {' '.join(conditions)}")
        found = run(*conditions, "--", "bash", "-c", command)
        self.assertEqual(found.returncode, 0, found.stderr)
        return found.stdout.strip()

    def test_the_process(self):
        self.assertEqual(self.say("files=99", command="ulimit -Sn"), "99")
        self.assertEqual(self.say("hard-files=99", command="ulimit -Hn"), "99")
        self.assertEqual(self.say("cpus=1", command="nproc"), "1")
        self.assertEqual(self.say("umask=077", command="umask"), "0077")
        self.assertEqual(self.say("home=none", "TZ=UTC", command="echo ${HOME-none} $TZ"),
                         "none UTC")
        stdin = "[[ -e /proc/$$/fd/0 ]] && echo open || echo closed"
        self.assertEqual(self.say("stdin=none", command=stdin), "closed")
        self.assertEqual(self.say("stdout=none", command="[[ -p /proc/$$/fd/1 ]]"), "")

    def test_signals_are_as_usual_unless_told_otherwise(self):
        ignored = "awk '/SigIgn/ { print substr($2, 13) }' /proc/self/status"
        self.assertEqual(self.say(command=ignored), "0000")
        self.assertEqual(self.say("sigpipe=ignored", command=ignored), "1000")
        self.assertEqual(self.say("background", command=ignored), "0006")

    def test_the_user_has_no_privileges(self):
        self.assertNotEqual(self.say("user", command="id -u"), "0")
        self.assertEqual(self.say("user", "hosts=none", command="grep CapEff /proc/self/status"),
                         "CapEff:\t0000000000000000")

    def test_the_machine(self):
        hosts = "grep -c localhost /etc/hosts 2>/dev/null || true"
        self.assertEqual(self.say("hosts=both", command=hosts), "2")
        self.assertEqual(self.say("hosts=none", command=hosts), "")
        self.assertEqual(self.say("user", "tmp=elsewhere", command="touch $TMPDIR/x && echo well; "
                                  "touch /tmp/x 2>/dev/null || echo refused"), "well\nrefused")
        self.assertEqual(self.say("devices=few", command="ls -d /dev/shm 2>/dev/null || true"), "")
        self.assertEqual(self.say("no-ipv6", command="cat /proc/net/if_inet6"), "")
        self.assertEqual(self.say("proc-sys=none", command="ls /proc/sys"), "")
        self.assertEqual(self.say("shm=8", command="df -m --output=size /dev/shm | tail -n 1"), "8")

    def test_mistakes_are_told(self):
        self.assertNotEqual(run("moon=full", "--", "true").returncode, 0)
        self.assertNotEqual(run("files=9").returncode, 0)


if __name__ == "__main__":
    unittest.main()
