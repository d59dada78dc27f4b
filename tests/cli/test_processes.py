"""What only a process of its own shows: exit codes, imports, pipes, signals, a standard output kept clean."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import textwrap
from pathlib import Path

import pytest

HEAVY = (
    "torch",
    "torchao",
    "numpy",
    "matplotlib",
    "sklearn",
    "PIL",
    "onnx",
    "onnxruntime",
    "openvino",
    "jinja2",
)


def script_of(arguments: tuple[str, ...], code: str) -> str:
    """A program that is the console script, after `code`."""
    start = f"import sys\nsys.argv = ['edgekit', *{arguments!r}]\n"
    return f"{start}{textwrap.dedent(code)}\nfrom edgekit.cli.app import main\nmain()"


def edgekit(*arguments: str, code: str = "", timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a command line in a child; `code` runs in it before `main`."""
    script = script_of(arguments, code)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("compress", "--help"),
        ("models",),
        ("models", "--json"),
        ("targets",),
        ("targets", "jetson"),
        ("recipes",),
        ("recipes", "--json"),
    ],
)
def test_listing_and_help_import_nothing_heavy(arguments: tuple[str, ...]) -> None:
    code = f"""
        import atexit
        atexit.register(lambda: sys.stderr.write(repr([name for name in {HEAVY!r} if name in sys.modules])))
    """
    done = edgekit(*arguments, code=code)
    assert done.returncode == 0
    assert done.stdout
    assert done.stderr == "[]"


def test_the_console_script_is_the_same_command() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("edgekit"), "--version"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith("edgekit ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("compres",), "Did you mean 'compress'"),
        (("compress", "mobilenetv2", "--taget", "jetson"), "--target"),
        (("compress", "mobilenetv2"), "Missing option '--target'"),
        (("compress",), "Missing argument 'MODEL'"),
        (("compress", "mobilenetv2", "--target", "jetson", "--seed", "x"), "--seed"),
        (("compress", "mobilenetv2", "--target", "jetson", "--threads", "0"), "--threads"),
        (("--bogus",), "--bogus"),
    ],
)
def test_a_wrong_command_line_exits_2(arguments: tuple[str, ...], said: str) -> None:
    done = edgekit(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_command_line_is_a_document_with_json() -> None:
    done = edgekit("compress", "mobilenetv2", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"] == {
        "what": "Missing option '--target' / '-t'.",
        "hint": "edgekit compress --help",
        "exit_code": 2,
    }


def test_without_a_command_the_help_is_shown() -> None:
    done = edgekit()
    assert done.returncode == 2
    assert "compress" in done.stdout


def test_what_libraries_print_does_not_reach_standard_output() -> None:
    code = """
        import os, subprocess
        import edgekit.zoo
        listed = edgekit.zoo.catalogue
        def noisy():
            print("from Python", flush=True)
            os.write(1, b"from C\\n")
            subprocess.run([sys.executable, "-c", "print('from a child')"])
            return listed()
        edgekit.zoo.catalogue = noisy
    """
    done = edgekit("models", "--json", code=code)
    assert done.returncode == 0
    assert json.loads(done.stdout)
    assert done.stderr.splitlines() == ["from Python", "from C", "from a child"]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_reader_that_goes_away_is_no_traceback(options: tuple[str, ...]) -> None:
    code = "import os; reader, writer = os.pipe(); os.close(reader); os.dup2(writer, 1)"
    done = edgekit("targets", *options, code=code)
    assert (done.returncode, done.stderr) == (141, "")


def test_an_interrupt_exits_130_with_one_line(tmp_path: Path) -> None:
    code = f"""
        import pathlib, time
        import edgekit.zoo
        def slow():
            pathlib.Path({str(tmp_path / "started")!r}).touch()
            time.sleep(60)
        edgekit.zoo.catalogue = slow
    """
    script = script_of(("models",), code)
    with subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        while not (tmp_path / "started").exists():
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err) == (130, "", "error: interrupted\n")


def test_a_bug_exits_70_and_leaves_its_traceback_in_a_file(tmp_path: Path) -> None:
    code = f"""
        import platformdirs, pathlib
        platformdirs.user_log_path = lambda name: pathlib.Path({str(tmp_path)!r})
        import edgekit.zoo
        edgekit.zoo.catalogue = lambda: 1 / 0
    """
    done = edgekit("models", "--json", code=code)
    assert done.returncode == 70
    assert json.loads(done.stdout)["error"]["exit_code"] == 70
    assert "Traceback" not in done.stderr
    (saved,) = tmp_path.iterdir()
    assert "ZeroDivisionError" in saved.read_text()
    assert str(saved) in done.stderr
    assert os.access(saved, os.R_OK)


def test_a_terminal_gets_its_own_width() -> None:
    """A pseudo-terminal of 60 columns; standard error is a pipe."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 60))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-c", script_of(("targets",), "")],
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=environment,
    ) as child:
        os.close(theirs)
        shown = b""
        while part := read(ours):
            shown += part
        child.wait(60)
    os.close(ours)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).splitlines()
    assert child.returncode == 0
    assert max(len(line) for line in lines) <= 60
    assert b"\x1b[1m" in shown  # the header is bold


def read(terminal: int) -> bytes:
    """What a pseudo-terminal has; nothing when its other side is closed (Linux says EIO)."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""
