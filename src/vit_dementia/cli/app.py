"""The command ``vit-dementia``: parse, call, print, leave with an honest exit code.

0 done; 1 a bug of ours; 2 bad input, usage or environment; 3 done, and the answer is
no; 130 and 143 interrupted. What a program reads goes to stdout, what a person reads to
stderr.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Collection, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from cyclopts import App, CycloptsError
from cyclopts.config import Dict

from vit_dementia import DISCLAIMER, __version__, recipes
from vit_dementia.cli.remarks import remarks_told
from vit_dementia.cli.terminal import escaped
from vit_dementia.config import RunConfig
from vit_dementia.errors import (
    ConfigError,
    DataError,
    Interrupted,
    VitDementiaError,
)
from vit_dementia.files import disk_fault
from vit_dementia.launch import this_launch
from vit_dementia.limits import changed, limits_in

VERBS = {
    "demo": "Do the main job on the embedded phantoms: train, evaluate, report.",
    "check": "Say who is in the data, whether they leak, and what gives labels away.",
    "split": "Write a split file by participant.",
    "prepare": "Register volumes, judge their quality, write them ready for training.",
    "train": "Train from scratch, or from weights.",
    "pretrain": "Learn from scans without labels: fill in hidden patches.",
    "cross-validate": "Train and score every fold of a split.",
    "tune": "Search for settings on the validation part.",
    "evaluate": "Score a run by participant, with intervals and floors.",
    "compare": "Compare runs on the same participants.",
    "explain": "Draw on scans what the answer hangs on, and how faithful that is.",
    "predict": "Say what a model sees on new scans.",
    "serve": "Show a page, and answer programs, on this machine.",
    "export": "Write a model for another runtime, with the same answers.",
    "convert": "Write weights in the layout of another library.",
    "bench": "Time this network beside others; plan how long a recipe takes.",
    "data": "Make or download data.",
    "cache": "Decoded scans on this machine.",
}
_GROUPS = ("data", "cache")  # verbs that hold verbs
_WRITING = frozenset({"--out", "--cache", "--html"})  # flags whose path is written to
# Faults are told by run(), which leaves with the exit code.
_QUIETLY: Mapping[str, Any] = {"exit_on_error": False, "print_error": False}


def make_app(speaking: Collection[str] = ()) -> App:
    """Return the command line.

    Verbs are named, not imported, so that a list of them costs no time.

    Args:
        speaking: the verbs that tell their own docstring instead of one line.
    """
    app = App(
        name="vit-dementia",
        version=__version__,
        help="Vision Transformers for early dementia detection from brain MRI.\n\n"
        f"{DISCLAIMER}\n\nStart with: vit-dementia demo\n\nEvery verb takes "
        "--limits.NAME NUMBER: what one input may cost at most (docs: Limits).",
        help_flags=["--help", "-h"],
        suppress_keyboard_interrupt=False,  # run() tells it and leaves with 130
    )
    for name, does in VERBS.items():
        module = name.replace("-", "_")
        target = f"vit_dementia.cli.{module}:{'app' if name in _GROUPS else module}"
        own_words = {} if name in speaking else {"help": does}
        app.command(target, name=name, **own_words)
    return app


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and leave the process with its exit code."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGTERM, _terminate)
    # Closed; what goes there must not go to stdout instead.
    if sys.stderr is None:
        # SIM115 wants it closed at the end of a block; it is to stay open to our end.
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):  # letters that it has not are spelled out
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run(tokens))


def run(tokens: Sequence[str]) -> int:
    """Run one command; return its exit code."""
    try:
        code = _run(tokens)
        print(end="", flush=True)  # a disk that is full refuses only now
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does.
        sys.stdout = None  # nothing is left to flush
        return 0
    except OSError as error:
        disk = disk_fault(error)
        if disk is None:
            raise
        try:
            print(end="", flush=True)
        except OSError:
            sys.stdout = None  # it would fail once more
        return _fail(tokens, [disk], DataError.exit_code)
    return code


def _run(tokens: Sequence[str]) -> int:
    try:
        told, limits = limits_in(tokens)
        _refuse_empty(told)
        app = make_app(told[:1])
        app.config = _recipe_of(told)
        with remarks_told(), changed(limits):
            if any(token.partition("=")[0] == "--recipes" for token in told):
                result = _with_recipes(app, told)
            else:
                result = app(told, **_QUIETLY, result_action="return_value")
    except VitDementiaError as error:
        return _fail(tokens, error.faults, error.exit_code)
    except CycloptsError as error:
        return _fail(tokens, [_one_line(str(error))], ConfigError.exit_code)
    except KeyboardInterrupt as stopped:
        if isinstance(stopped, Interrupted):
            fault, code = str(stopped), stopped.exit_code
        else:
            fault, code = "interrupted", 128 + signal.SIGINT
        return _fail(tokens, [fault], code)
    return result if isinstance(result, int) else 0


def _refuse_empty(tokens: Sequence[str]) -> None:
    """Refuse an empty word: as a path it would be the current folder.

    Raises:
        ConfigError: naming what stands before it.
    """
    before = "command"
    for token in tokens:
        flag, _, value = token.partition("=")
        if not token or (flag in _WRITING and "=" in token and not value):
            raise ConfigError(
                f"{flag or before}: an empty name follows (a variable that is not "
                "set?); the current folder is called ."
            )
        before = token


def _recipe_of(tokens: Sequence[str]) -> Dict | None:
    """Return what --recipe sets, to lie between the defaults and the command line."""
    for position, token in enumerate(tokens):
        name, equals, value = token.partition("=")
        if name == "--recipe" and (equals or position + 1 < len(tokens)):
            return _below(tokens, value if equals else tokens[position + 1])
    return None


def _below(tokens: Sequence[str], recipe: str) -> Dict:
    """Return what a recipe sets, to lie between the defaults and the command line."""
    # Below the verb's name: [train] is a table of settings, and train a verb.
    return Dict({tokens[0]: recipes.read_recipe(recipe)}, source=f"recipe {recipe}")


def _with_recipes(app: App, tokens: Sequence[str]) -> object:
    """Call a verb that chooses among --recipes with the settings that each gives."""
    command, bound, _ = app.parse_args(tokens, **_QUIETLY)
    choices: dict[str, object] = {}
    for recipe in bound.arguments.get("recipes", ()):
        name = Path(recipe).stem
        if name in choices:
            raise ConfigError(f"--recipes: two are named {name}; rename one")
        app.config = _below(tokens, recipe)
        again = app.parse_args(tokens, **_QUIETLY)[1]
        choices[name] = again.arguments.get("config", RunConfig())
    bound.arguments["choices"] = choices
    return command(*bound.args, **bound.kwargs)


def _fail(tokens: Sequence[str], faults: Sequence[str], code: int) -> int:
    """Tell every fault on a line of its own, or as one JSON document if asked for."""
    if this_launch().local_rank:
        return code  # another process of this machine has the same to tell
    for fault in faults:
        print(escaped(f"vit-dementia: {fault}"), file=sys.stderr)
    if "--json" in tokens:
        document = {"error": {"faults": list(faults), "exit_code": code}}
        try:
            print(json.dumps(document), flush=True)
        except BrokenPipeError:
            raise
        except OSError:
            sys.stdout = None  # a disk that is full; people were told above
    return code


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)
