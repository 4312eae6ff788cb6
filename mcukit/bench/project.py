# SPDX-License-Identifier: Apache-2.0
"""What a firmware project says of its boards: PlatformIO's environments, and what their firmware says of itself."""

from __future__ import annotations

__all__ = ["ProjectEnvironment", "choose_environment", "project_environments"]

import configparser
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcukit.bench.ports import BAUD
from mcukit.emulation.targets import EMULATED_BOARDS
from mcukit.errors import McukitError

_SECTION = "env:"
_BOARD_KERNELS = re.compile(r'#define MCUKIT_BOARD "([^"\n]*)"\n#define MCUKIT_KERNELS "([^"\n]*)"')


@dataclass(frozen=True)
class ProjectEnvironment:
    """One of platformio.ini.

    name: as in `pio run -e NAME`. board: PlatformIO's id. machine: the emulated board that it is for; None for a real
    one. is_default: built by `pio run`. baud: of the serial line.
    kernels: of the banner; None where the project does not say. has_probe: flashed through a debug probe rather than
    through the serial port.
    """

    name: str
    board: str
    machine: str | None
    is_default: bool
    baud: int
    kernels: str | None
    has_probe: bool


def project_environments(project_folder: Path) -> tuple[ProjectEnvironment, ...]:
    """All of a project, in its order. Raises McukitError "no-firmware" where it has none."""
    # Interpolation is PlatformIO's own, and of no matter here.
    config = configparser.RawConfigParser(interpolation=None)
    try:
        config.read_string((project_folder / "platformio.ini").read_text(encoding="utf-8"))
        names = [section.removeprefix(_SECTION) for section in config.sections() if section.startswith(_SECTION)]
        defaults = [name.strip() for name in config.get("platformio", "default_envs", fallback="").split(",")]
        kernels = _kernels(project_folder)
        found = tuple(_environment(config[_SECTION + name], name, name in defaults, kernels) for name in names)
    except (OSError, ValueError, configparser.Error) as error:
        raise _no_firmware(project_folder, str(error)) from error
    if not found:
        raise _no_firmware(project_folder, "platformio.ini has no environment")
    return found


def choose_environment(environments: Sequence[ProjectEnvironment], name: str | None) -> ProjectEnvironment:
    """The one of that name, or the only one that is built by default.

    Raises McukitError "unknown-environment" or "several-environments" with those that there are.
    """
    if name is not None:
        for env in environments:
            if env.name == name:
                return env
        raise McukitError(
            "unknown-environment",
            f"the build has no firmware for '{name}'",
            where="--environment",
            hint=f"choose one of {_names(environments)}; or quantize again with --board",
            exit_code=2,
        )
    # Emulated boards are told by their port, and not taken for the one that is attached.
    environments = [env for env in environments if env.machine is None]
    defaults = [env for env in environments if env.is_default]
    if len(defaults) == 1:
        return defaults[0]
    if not environments:
        message, hint = "the build has no firmware but that of emulated boards", "quantize again with --board"
        raise McukitError("no-firmware", message, where="--environment", hint=hint, exit_code=2)
    raise McukitError(
        "several-environments",
        "the build was not made for one board",
        where="--environment",
        hint=f"say which board this is, one of {_names(environments)}; or quantize again with --board",
        exit_code=2,
    )


def _names(environments: Sequence[ProjectEnvironment]) -> str:
    return ", ".join(env.name for env in environments)


def _environment(
    section: configparser.SectionProxy, name: str, is_default: bool, kernels: Mapping[str, str]
) -> ProjectEnvironment:
    board = section.get("board", fallback="")
    # A board's further environments are called BOARD-FRAMEWORK, and PlatformIO's ids may be others than ours.
    ids = [id_ for id_ in kernels if name == id_ or name.startswith(f"{id_}-")] or [board]
    return ProjectEnvironment(
        name=name,
        board=board,
        machine=board if board in EMULATED_BOARDS else None,
        is_default=is_default,
        baud=section.getint("monitor_speed", fallback=BAUD),
        kernels=kernels.get(ids[0]),
        has_probe=section.get("upload_protocol", fallback="") in {"stlink", "jlink", "cmsis-dap", "blackmagic"},
    )


def _kernels(project_folder: Path) -> dict[str, str]:
    """By the board's id, longest first, so that no id is taken for another one that it begins with."""
    header = (project_folder / "src" / "mcukit_board.h").read_text(encoding="utf-8")
    return dict(sorted(_BOARD_KERNELS.findall(header), key=lambda pair: -len(pair[0])))


def _no_firmware(project_folder: Path, reason: str) -> McukitError:
    return McukitError(
        "no-firmware",
        f"the build holds no firmware for a board: {reason}",
        where=str(project_folder),
        hint="README.md there says why; choose a board that PlatformIO knows: mcukit boards",
    )
