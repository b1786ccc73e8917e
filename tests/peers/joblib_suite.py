"""joblib's own tests of `Parallel`, with another backend in the place of its process backends.

They are taken from the installed joblib, whose wheel has them: ``python -m tests.peers.joblib_suite`` runs them through
fanwise and lists what fails; ``… loky`` does the same for joblib's own backend under another name.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.programs import plain_environment

NAME = {"fanwise": "fanwise", "loky": "loky_renamed"}
PLACES = {
    'PROCESS_BACKENDS = ["multiprocessing", "loky"]': 'PROCESS_BACKENDS = ["{name}"]',
    'PARALLEL_BACKENDS = PROCESS_BACKENDS + ["threading"]': "PARALLEL_BACKENDS = PROCESS_BACKENDS",
    "from ._openmp_test_helper": "from joblib.test._openmp_test_helper",
}
"""What is changed in the text: which backends the parameters are."""
REGISTER = {
    "fanwise": "from fanwise.integrations.joblib import register\nregister()\n",
    "loky": "import joblib\nfrom joblib.parallel import LokyBackend\n"
    "class Renamed(LokyBackend):\n    pass\n"
    'joblib.register_parallel_backend("loky_renamed", Renamed)\n',
}


def run(backend: str) -> tuple[set[str], int]:
    """Names of the tests that fail, and how many were run."""
    import joblib

    text = (Path(joblib.__file__).parent / "test" / "test_parallel.py").read_text()
    for old, new in PLACES.items():
        text = text.replace(old, new.format(name=NAME[backend]))
    with tempfile.TemporaryDirectory() as home:
        Path(home, "test_parallel.py").write_text(text)
        Path(home, "sitecustomize.py").write_text(REGISTER[backend])  # for the programs that tests start, too
        Path(home, "pytest.ini").write_text("[pytest]\nmarkers = thread_unsafe: joblib's\n")
        options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov", "-k", NAME[backend]]
        environment = plain_environment({"PYTHONPATH": os.pathsep.join([home, *filter(None, sys.path)])})
        command = [sys.executable, "-m", "pytest", *options, "--junit-xml=out.xml", "test_parallel.py"]
        with subprocess.Popen(command, cwd=home, env=environment, stdout=sys.stderr, start_new_session=True) as tests:
            try:
                tests.wait(timeout=600)
            finally:
                with suppress(ProcessLookupError):  # some of its tests end a program and leave the workers of loky;
                    os.killpg(tests.pid, signal.SIGTERM)  # what cleans up after those heeds no such signal
        return read(Path(home, "out.xml"))


def read(path: Path) -> tuple[set[str], int]:
    """The tests of a JUnit file that failed, and how many did not skip."""
    cases = [case for case in ET.parse(path).iter("testcase") if case.find("skipped") is None]
    failed = {case.attrib["name"] for case in cases if len(case) and case[0].tag in {"failure", "error"}}
    return failed, len(cases)


if __name__ == "__main__":
    failing, count = run(sys.argv[1] if len(sys.argv) > 1 else "fanwise")
    sys.stdout.write("".join(f"{name}\n" for name in sorted(failing)) + f"{len(failing)} of {count} fail\n")
