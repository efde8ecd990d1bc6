from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest

from vit_dementia.cli import app as command_line
from vit_dementia.cli.options import new_folder
from vit_dementia.cli.terminal import escaped, watch_for_people


def test_every_verb_has_help_with_an_example(capsys) -> None:
    verbs = [
        ["demo"], ["train"], ["cross-validate"], ["evaluate"], ["predict"], ["split"],
        ["data", "phantom"], ["data", "fetch"], ["cache", "list"], ["cache", "clear"],
    ]  # fmt: skip
    for verb in verbs:
        assert command_line.run([*verb, "--help"]) == 0
        told = " ".join(capsys.readouterr().out.split())
        assert f"Example: vit-dementia {' '.join(verb)}" in told, verb


def test_a_bug_keeps_its_traceback_and_leaves_with_1(tmp_path) -> None:
    program = (
        "import vit_dementia.data.cache as c\n"
        "def broken(cache): raise RuntimeError('a bug of ours')\n"
        "c.entries = broken\n"
        "from vit_dementia.cli.app import main\n"
        "main(['cache', 'list'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (["check", ""], "check"),
        (["predict", "run", "", "a.png"], "run"),
        (["predict", "run", "--", ""], "--"),
        (["predict", "run", "--json", ""], "--json"),
        (["train", "data", "--out", ""], "--out"),
        (["train", "data", "--out="], "--out"),
        (["predict", "run", "a.png", "--html", ""], "--html"),
    ],
)
def test_an_empty_name_is_not_the_current_folder(
    tmp_path, monkeypatch, capsys, words, where
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command_line.run(words) == 2
    assert f"{where}: an empty name follows" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_command_leaves_with_130(monkeypatch, capsys) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vit_dementia.data.cache.entries", interrupted)
    assert command_line.run(["cache", "list"]) == 128 + signal.SIGINT
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_what_a_disk_refuses_is_one_line_and_anything_else_a_bug(
    monkeypatch, capsys, number
) -> None:
    def refuse(cache: object) -> None:
        raise OSError(told[0], os.strerror(told[0]), "somewhere")

    monkeypatch.setattr("vit_dementia.data.cache.entries", refuse)
    told = [number]
    assert command_line.run(["cache", "list"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("vit-dementia: somewhere: ")
    assert os.strerror(number) in line
    told = [errno.ENOENT]
    with pytest.raises(FileNotFoundError):
        command_line.run(["cache", "list"])


def test_an_unknown_verb_names_the_nearest(capsys) -> None:
    assert command_line.run(["trian"]) == 2
    assert "train" in capsys.readouterr().err


def test_text_is_escaped_for_the_terminal_and_ordinary_letters_stay() -> None:
    assert escaped("Ünïcode 脑.png") == "Ünïcode 脑.png"
    assert escaped("a\x07\n\u202eb") == "a\\x07\\n\\u202eb"


def test_new_folders_do_not_collide(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = new_folder(None, "train")
    first.mkdir(parents=True)
    assert new_folder(None, "train") != first
    assert new_folder(tmp_path / "mine", "train") == tmp_path / "mine"


@pytest.mark.parametrize("is_terminal", [False, True])
def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(
    monkeypatch, capsys, is_terminal
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal)
    monkeypatch.setattr("vit_dementia.cli.terminal._PLAIN_EVERY", 0.0)
    watch = watch_for_people()
    with watch.count("reading [x]", 3) as bar:
        for _ in range(3):
            bar.advance(note="loss 0.1 [/]")
    watch.say("done")
    told = capsys.readouterr().err
    assert "done" in told
    assert "reading [x]" in told
    if not is_terminal:
        assert "reading [x]: 3 of 3 loss 0.1 [/]" in told
