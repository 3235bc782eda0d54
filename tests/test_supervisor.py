"""The supervisor with real processes: small children that obey the protocol, or do not."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import psutil  # type: ignore[import-untyped]
import pytest

from llm_metrics_proxy.scoreboard import Scoreboard
from llm_metrics_proxy.supervisor import LONGEST_DELAY_S, ChildSpec, LaunchPlan, restart_delay_s
from tests.waiting import wait_until

pytestmark = pytest.mark.system

BECOME = """
import os, signal, sys, msgspec
from llm_metrics_proxy.supervisor import LaunchPlan, become
plan = msgspec.json.decode(sys.stdin.buffer.read(), type=LaunchPlan)
become(plan, lambda: [signal.raise_signal(int(number)) for number in sys.argv[1:]])
"""

# Reads its line, tells a file what happens to it, and ends as its options say.
CHILD = """
import json, os, resource, select, signal, socket, sys, time
from llm_metrics_proxy.scoreboard import Scoreboard
line = b""
while not line.endswith(b"\\n"):
    line += os.read(0, 1)
options = json.loads(line)
log = os.open(options["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def say(word):
    os.write(log, f"{time.monotonic():.3f} {options['name']} {word} {os.getpid()}\\n".encode())
def stop(signum, frame):
    say(signal.Signals(signum).name)
    if options.get("stubborn"):
        return
    time.sleep(options.get("drain_s", 0))
    say("stopped")
    os._exit(0)
for signum in (signal.SIGTERM, signal.SIGINT):
    signal.signal(signum, stop)
if "scoreboard_fd" in options and options.get("listens", True):
    Scoreboard(options["scoreboard_fd"]).slot(0).set("pid", os.getpid())
say("started")
say(f"value={options.get('value')}")
say(f"pgid={os.getpgid(0)} sid={os.getsid(0)}")
say(f"blocked={sorted(s.name for s in signal.pthread_sigmask(signal.SIG_BLOCK, ()))}".replace(" ", ""))
say(f"files={resource.getrlimit(resource.RLIMIT_NOFILE)}".replace(" ", ""))
while options.get("exits_after", "") not in open(options["log"]).read():
    time.sleep(0.01)
if "exit" in options:
    sys.exit(options["exit"])
server = socket.socket(fileno=options["listen_fd"]) if "listen_fd" in options else None
while True:
    ready, _, _ = select.select([0] + ([server] if server else []), [], [])
    if 0 in ready:
        heard = os.read(0, 4096)
        if not heard:
            say("orphaned")
            sys.exit(0)
        say(f"heard={heard.decode().strip()}")
    if server in ready:
        connection, _ = server.accept()
        connection.sendall(str(os.getpid()).encode())
        connection.close()
"""


class Running:
    """A supervisor under test and what its children have said so far."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, errors: Path) -> None:
        self.process = process
        self._log = log
        self._errors = errors

    def said(self, pattern: str) -> list[re.Match[str]]:
        text = self._log.read_text() if self._log.exists() else ""
        return [match for line in text.splitlines() if (match := re.search(pattern, line))]

    def pid(self, name: str) -> int:
        return int(self.wait_for(rf"{name} started (\d+)")[-1][1])

    def wait_for(self, pattern: str, count: int = 1) -> list[re.Match[str]]:
        wait_until(lambda: len(self.said(pattern)) >= count, lambda: f"{pattern}: {self.messages}")
        return self.said(pattern)

    def wait(self, within_s: float = 20.0) -> int:
        return self.process.wait(within_s)

    @property
    def messages(self) -> str:
        return self._errors.read_text()


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a supervisor of children, each given as its name and options; ``spec`` options belong to ``ChildSpec``."""
    script, log, errors = tmp_path / "child_of_a_test.py", tmp_path / "log", tmp_path / "errors"
    script.write_text(CHILD)
    running: list[subprocess.Popen[bytes]] = []

    def start_it(
        children: dict[str, dict[str, Any]],
        *,
        fds: tuple[int, ...] = (),
        shell: str = "",
        met_at_once: Sequence[signal.Signals] = (),
        **plan: Any,
    ) -> Running:
        specs = []
        for name, options in children.items():
            spec = options.pop("spec", {})
            line = msgspec.json.encode({"name": name, "log": str(log), **options}).decode()
            specs.append(ChildSpec(**{"name": name, "module": "child_of_a_test", "options_json": line, **spec}))
        command = [sys.executable, "-c", BECOME, *(str(number.value) for number in met_at_once)]
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                ["sh", "-c", f'{shell}; exec "$@"', "sh", *command] if shell else command,
                stdin=subprocess.PIPE,
                stderr=stderr,
                pass_fds=fds,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])},
            )
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(LaunchPlan(children=specs, **plan)))
        process.stdin.close()
        running.append(process)
        return Running(process, log, errors)

    yield start_it
    for process in running:
        children = psutil.Process(process.pid).children() if process.poll() is None else []
        for one in (process, *children):
            one.kill()
        process.wait()


def test_what_is_killed_is_started_again(start: Start) -> None:
    supervisor = start({"a": {}, "b": {}})
    first, other = supervisor.pid("a"), supervisor.pid("b")
    os.kill(first, signal.SIGKILL)
    supervisor.wait_for("a started", count=2)
    assert supervisor.pid("a") != first
    assert supervisor.pid("b") == other
    assert "a ended (killed by SIGKILL); it is started again in 0.1 s" in supervisor.messages


def test_it_takes_the_place_of_the_process_that_became_it(start: Start) -> None:
    supervisor = start({"a": {}})
    assert psutil.Process(supervisor.pid("a")).ppid() == supervisor.process.pid


def test_pauses_between_starts_double_up_to_five_seconds() -> None:
    assert [restart_delay_s(failures) for failures in range(1, 8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    assert restart_delay_s(10**6) == LONGEST_DELAY_S


def test_what_dies_again_and_again_is_started_ever_more_slowly_but_not_given_up(start: Start) -> None:
    board = Scoreboard.create()
    options = {"exit": 1, "scoreboard_fd": board.fd, "spec": {"slot": 0, "fds": [board.fd]}}
    supervisor = start({"a": options}, fds=(board.fd,), scoreboard_fd=board.fd)
    times = [float(match[1]) for match in supervisor.wait_for(r"^([\d.]+) a started", count=6)]
    gaps = [after - before for before, after in pairwise(times)]
    for gap, delay in zip(gaps, [0.1, 0.2, 0.4, 0.8, 1.6], strict=False):
        assert gap >= delay
    assert supervisor.process.poll() is None
    os.close(board.fd)


def test_a_worker_that_dies_five_times_before_it_listens_ends_everything(start: Start) -> None:
    board = Scoreboard.create()
    options = {"exit": 1, "listens": False, "scoreboard_fd": board.fd, "spec": {"slot": 0, "fds": [board.fd]}}
    supervisor = start({"w": options, "m": {"spec": {"stop_group": 1}}}, fds=(board.fd,), scoreboard_fd=board.fd)
    assert supervisor.wait() == 1
    assert len(supervisor.said("w started")) == 5
    assert len(supervisor.said("m stopped")) == 1
    assert "w could not start 5 times in a row: giving up" in supervisor.messages
    os.close(board.fd)


def test_a_module_that_cannot_be_run_is_tried_again_until_it_can(start: Start, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    supervisor = start({"a": {}, "x": {"spec": {"module": "comes_later", "without_it": "nothing is missed"}}})
    problem = "x ended (exit code 1); it is started again in 0.2 s"
    wait_until(lambda: problem in supervisor.messages, lambda: supervisor.messages)
    (tmp_path / "complete").write_text(f"open({str(proof)!r}, 'w').close(); input()\n")
    (tmp_path / "complete").rename(tmp_path / "comes_later.py")
    wait_until(proof.exists, lambda: supervisor.messages)
    assert len(supervisor.said("a started")) == 1


def test_a_child_has_its_own_descriptors_and_name_and_none_of_the_supervisors(start: Start, tmp_path: Path) -> None:
    board = Scoreboard.create()
    supervisor = start(
        {"a": {"spec": {"fds": [board.fd]}}, "b": {}},
        fds=(board.fd,),
        scoreboard_fd=board.fd,
        state_file=str(tmp_path / "state"),
    )
    for name, kept in (("a", {board.fd}), ("b", set())):
        pid = supervisor.pid(name)
        assert psutil.Process(pid).cmdline()[:4] == [sys.executable, "-P", "-m", "child_of_a_test"]
        held = {int(fd.name) for fd in Path(f"/proc/{pid}/fd").iterdir()}
        log = {fd for fd in held - {0, 1, 2} - kept if Path(f"/proc/{pid}/fd/{fd}").readlink() == tmp_path / "log"}
        assert held == {0, 1, 2} | kept | log
    supervisor.process.kill()  # whose standard inputs, locks and sockets nobody else must hold
    supervisor.wait_for("(a|b) orphaned", count=2)
    os.close(board.fd)


def test_a_stop_drains_the_workers_before_the_metrics_process_is_told(start: Start) -> None:
    supervisor = start(
        {
            "w0": {"drain_s": 0.3},
            "w1": {"drain_s": 0.1},
            "m": {"spec": {"stop_group": 1}},
            "d": {"spec": {"stop_group": 2}},
        }
    )
    for name in ("w0", "w1", "m", "d"):
        supervisor.pid(name)
    supervisor.process.send_signal(signal.SIGTERM)
    assert supervisor.wait() == 0
    order = [match[1] for match in supervisor.said(r"(\w+ (SIGTERM|stopped|orphaned))")]
    assert set(order[:2]) == {"w0 SIGTERM", "w1 SIGTERM"}
    assert order[2:] == ["w1 stopped", "w0 stopped", "m SIGTERM", "m stopped", "d SIGTERM", "d stopped"]


def test_ctrl_c_in_a_terminal_reaches_the_children_only_through_the_supervisor(start: Start) -> None:
    supervisor = start({"a": {}})
    pid = supervisor.pid("a")
    said = supervisor.wait_for(r"a pgid=(\d+) sid=(\d+)")[0]
    assert said[1] == str(pid)
    assert said[2] == str(os.getsid(supervisor.process.pid)), "niceness counts within a session only, on most desktops"
    assert supervisor.wait_for(r"a blocked=(\S+)")[0][1] == "['SIGHUP','SIGTTOU']", (
        "what a terminal sends the background"
    )
    os.killpg(supervisor.process.pid, signal.SIGINT)
    assert supervisor.wait() == 0
    assert [match[1] for match in supervisor.said(r"a (SIG\w+)")] == ["SIGTERM"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_right_after_the_start_was_announced_is_a_graceful_stop(start: Start, signum: signal.Signals) -> None:
    supervisor = start({"a": {}}, met_at_once=[signum])
    assert supervisor.wait() == 0
    assert "stopping" in supervisor.messages
    assert "Traceback" not in supervisor.messages


def test_a_second_signal_stops_at_once(start: Start) -> None:
    supervisor = start({"a": {"stubborn": True}, "m": {"spec": {"stop_group": 1}}})
    pids = [supervisor.pid("a"), supervisor.pid("m")]
    supervisor.process.send_signal(signal.SIGINT)
    supervisor.wait_for("a SIGTERM")
    supervisor.process.send_signal(signal.SIGINT)
    assert supervisor.wait(2) == 128 + signal.SIGINT
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert "stopping; a second signal stops at once" in supervisor.messages


def test_what_does_not_stop_in_time_is_killed(start: Start) -> None:
    supervisor = start({"a": {"stubborn": True, "spec": {"stop_timeout_s": 0.3}}})
    supervisor.pid("a")
    supervisor.process.terminate()
    assert supervisor.wait() == 0
    assert "a did not stop within 0.3 s: killed" in supervisor.messages


def test_sighup_without_a_file_is_told_to_be_in_vain(start: Start) -> None:
    supervisor = start({"a": {}})
    pid = supervisor.pid("a")
    supervisor.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "nothing to read again" in supervisor.messages, lambda: supervisor.messages)
    assert supervisor.process.poll() is None
    assert supervisor.pid("a") == pid


# Reads the request; answers, refuses, hangs or talks nonsense, as the file says that it is told of.
READER = """
import json, os, sys, time
request = json.load(sys.stdin)
told = json.loads(request["start_json"])
with open(told["file"]) as file:
    word = file.read()
with open(told["file"] + ".asked", "a") as asked:
    asked.write(json.dumps(request["options"]) + "\\n")
if word == "refuse":
    sys.stderr.write("port = 'x' (file line 3): must be a number\\n")
    sys.exit(2)
if word == "hang":
    time.sleep(60)
if word == "nonsense":
    sys.stdout.write("nonsense")
    sys.exit(0)
options = {name: json.dumps({**json.loads(text), "value": word}) for name, text in request["options"].items()}
json.dump({"options": options, "needs_restart": ["port", "workers"] if word == "more" else []}, sys.stdout)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "reader.py").write_text(READER)
    return tmp_path / "settings"


def reading(file: Path) -> dict[str, Any]:
    argv = [sys.executable, str(file.with_name("reader.py"))]
    return {"argv": argv, "start_json": f'{{"file": "{file}"}}', "children": ["w"]}


def test_sighup_gives_new_options_to_those_who_run_and_to_those_who_come_later(start: Start, file: Path) -> None:
    supervisor = start({"w": {"value": "old"}, "m": {}}, reload=reading(file))
    pid = supervisor.pid("w")
    supervisor.pid("m")
    file.write_text("new")
    supervisor.process.send_signal(signal.SIGHUP)
    (heard,) = supervisor.wait_for(r"w heard=(\{.*\}) ")
    assert msgspec.json.decode(heard[1])["value"] == "new"
    assert "the settings were read again and handed to the processes" in supervisor.messages
    assert supervisor.pid("w") == pid
    assert not supervisor.said("m heard")
    os.kill(pid, signal.SIGKILL)
    supervisor.wait_for("w value=new")
    file.write_text("more")
    supervisor.process.send_signal(signal.SIGHUP)
    supervisor.wait_for("w heard=.*more")
    asked = file.with_name("settings.asked").read_text().splitlines()
    assert [msgspec.json.decode(msgspec.json.decode(line)["w"])["value"] for line in asked] == ["old", "new"]
    wait_until(
        lambda: "only a restart makes them count: port, workers" in supervisor.messages, lambda: supervisor.messages
    )


@pytest.mark.parametrize("word", ["refuse", "nonsense"])
def test_settings_that_are_refused_change_nothing(start: Start, file: Path, word: str) -> None:
    supervisor = start({"w": {"value": "old"}}, reload=reading(file))
    pid = supervisor.pid("w")
    file.write_text(word)
    supervisor.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "the new settings are refused" in supervisor.messages, lambda: supervisor.messages)
    assert ("port = 'x' (file line 3)" in supervisor.messages) == (word == "refuse")
    os.kill(pid, signal.SIGKILL)
    supervisor.wait_for("w value=old", count=2)
    assert not supervisor.said("heard")


def test_a_second_sighup_while_settings_are_read_has_them_read_once_more(start: Start, file: Path) -> None:
    supervisor = start({"w": {"value": "old"}}, reload=reading(file))
    supervisor.pid("w")
    os.mkfifo(file)
    supervisor.process.send_signal(signal.SIGHUP)
    with file.open("w") as first:  # opens once the reader is there
        for _ in range(3):
            supervisor.process.send_signal(signal.SIGHUP)
            time.sleep(0.02)
        first.write("one")
    supervisor.wait_for("w heard=.*one")
    with file.open("w") as second:
        second.write("two")
    supervisor.wait_for("w heard=.*two")


def test_stopping_does_not_wait_for_settings_that_are_being_read(start: Start, file: Path) -> None:
    supervisor = start({"w": {}}, reload=reading(file))
    supervisor.pid("w")
    file.write_text("hang")
    supervisor.process.send_signal(signal.SIGHUP)
    wait_until(file.with_name("settings.asked").exists, lambda: supervisor.messages)
    supervisor.process.terminate()
    assert supervisor.wait() == 0


def test_a_child_that_does_not_listen_does_not_keep_the_supervisor_waiting(start: Start, file: Path) -> None:
    """Its standard input is a pipe, and holds 64 KiB; it gets what it has missed once it goes on."""
    supervisor = start({"w": {"pad": "x" * 30_000}}, reload=reading(file))
    pid = supervisor.pid("w")
    os.kill(pid, signal.SIGSTOP)
    for number in range(4):
        file.write_text(f"word{number}")
        supervisor.process.send_signal(signal.SIGHUP)
        said = "the settings were read again"
        wait_until(lambda n=number, s=said: supervisor.messages.count(s) == n + 1, lambda: supervisor.messages)  # type: ignore[misc]
    os.kill(pid, signal.SIGCONT)
    supervisor.wait_for("word3")
    supervisor.process.terminate()
    assert supervisor.wait() == 0


def test_sighup_means_nothing_to_a_child(start: Start) -> None:
    supervisor = start({"a": {}})
    pid = supervisor.pid("a")
    os.kill(pid, signal.SIGHUP)
    os.kill(pid, signal.SIGTERM)
    supervisor.wait_for("a SIGTERM")


def test_children_notice_when_the_supervisor_is_killed(start: Start) -> None:
    supervisor = start({"a": {}, "b": {}})
    pids = [supervisor.pid("a"), supervisor.pid("b")]
    supervisor.process.kill()
    supervisor.wait_for("orphaned", count=2)
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids), "the children end too")


def test_a_refusal_of_what_others_can_do_without_is_said_and_left_at_that(start: Start) -> None:
    supervisor = start({"m": {"exit": 3, "spec": {"without_it": "records wait"}}, "w": {}})
    wait_until(lambda: "without m: records wait" in supervisor.messages, lambda: supervisor.messages)
    time.sleep(0.4)
    assert len(supervisor.said("m started")) == 1
    assert supervisor.process.poll() is None
    assert "m refuses to run, because the database is not one it may write" in supervisor.messages


def test_a_refusal_of_what_nothing_works_without_ends_everything_with_its_exit_code(start: Start) -> None:
    supervisor = start({"m": {"spec": {"stop_group": 1}}, "w": {"exit": 2, "exits_after": "m started"}})
    supervisor.pid("m")
    assert supervisor.wait() == 2
    assert len(supervisor.said("w started")) == 1


def test_a_refusal_of_the_only_child_ends_everything(start: Start) -> None:
    supervisor = start({"m": {"exit": 3, "spec": {"without_it": "records wait"}}})
    assert supervisor.wait() == 3


def test_nobody_is_refused_while_a_worker_is_replaced_and_everybody_is_once_it_stops(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address, fd = server.getsockname(), server.fileno()
        supervisor = start({"w": {"listen_fd": fd, "spec": {"fds": [fd]}}}, fds=(fd,), listen_fds=[fd])
    first = supervisor.pid("w")

    def ask() -> int:
        with socket.create_connection(address, timeout=5) as client:
            return int(client.recv(100))

    assert ask() == first
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(first), "it is gone")
    successor = ask()  # it waits in the queue of the socket that the supervisor holds
    assert successor != first
    supervisor.process.terminate()
    assert supervisor.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=1)


def test_idle_it_uses_little_memory_and_never_wakes_up(start: Start) -> None:
    supervisor = start({"a": {}})
    supervisor.pid("a")
    process = psutil.Process(supervisor.process.pid)
    time.sleep(0.3)
    before = process.num_ctx_switches().voluntary
    time.sleep(0.5)
    assert process.num_ctx_switches().voluntary == before
    assert process.memory_info().rss < 25 * 2**20


def test_children_may_open_as_many_files_as_the_hard_limit_allows(start: Start) -> None:
    supervisor = start({"a": {}}, shell="ulimit -Sn 200")
    soft, hard = supervisor.wait_for(r"files=\((\d+),(\d+)\)")[0].groups()
    assert soft == hard
