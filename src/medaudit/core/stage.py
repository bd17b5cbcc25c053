"""Command line of a stage: ``python -m medaudit.<package>.<stage> --settings JSON --<path> ...``.

A stage is one public function with the name of the stage: ``evaluate(settings, *, <paths>)``. Its
keyword-only parameters become options: ``Path`` takes one path, ``list[Path]`` one or more,
``int`` a number.
"""

import argparse
import inspect
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from medaudit.core.errors import MedauditError, exit_with
from medaudit.core.result_records import recorded
from medaudit.core.run_locks import hold_job_lock


def run(function: Callable[..., None], arguments: list[str] | None = None) -> None:
    """Parse the command line of a stage, call it, and exit with its code on a `MedauditError`."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr
    )
    options = vars(_parser(function).parse_args(arguments))
    settings, code = options.pop("settings"), options.pop("code")
    hold_job_lock()
    try:
        with recorded(settings, code, options):
            function(settings, **options)
    except MedauditError as error:
        raise exit_with(f"medaudit {_stage_of(function)}: {error}", error) from None


def _stage_of(function: Callable[..., None]) -> str:
    path = Path(inspect.getfile(function))
    return path.parent.name if path.stem == "__init__" else path.stem


def export_package() -> None:
    """Let jobs import this same copy of the package, in whatever environment they run."""
    others = filter(None, [os.environ.get("PYTHONPATH")])
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), *others])


def _settings(text: str) -> object:
    """Read settings; one argument of a command holds 128 KiB at most, standard input any number."""
    return json.loads(sys.stdin.read() if text == "-" else text)


def _parser(function: Callable[..., None]) -> argparse.ArgumentParser:
    summary = (inspect.getdoc(function) or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument(
        "--settings", type=_settings, required=True, help="the job's settings, as JSON; -: on stdin"
    )
    parser.add_argument(
        "--code", help="hash of the stage's code, for the record next to its output"
    )
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        several = parameter.annotation == list[Path]
        required = parameter.default is inspect.Parameter.empty
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=int if parameter.annotation is int else Path,
            nargs=("+" if required else "*") if several else None,
            required=required,
            default=None if required else parameter.default,
        )
    return parser
