# SPDX-License-Identifier: Apache-2.0
"""ESP-IDF components around a network: with mcukit's kernels, or with TensorFlow Lite Micro's; and example projects."""

from __future__ import annotations

__all__ = ["espidf_files", "espidf_tflm_files"]

from collections.abc import Mapping

from mcukit.export.package_model import PackageModel, package_name, render_package, source_files, under
from mcukit.resources import licence_text

_EXAMPLE = "examples/inference"
_FLASH_SIZES = (2, 4, 8, 16, 32)
"""Mebibytes of flash chips."""
_BOOT_BYTES = 0x10000
"""What boot loader and partition table take of it."""
_APPLICATION_BYTES = 0x50000
"""Room for ESP-IDF beside the weights."""
_DEFAULT_BYTES = 0x100000
"""The partition that projects have if they don't say anything."""

_SCRATCH_BYTES = 16 * 1024
"""Added to TensorFlow Lite Micro's arena: for what it needs while it prepares, and for kernels with working memory."""


def espidf_files(model: PackageModel) -> dict[str, bytes]:
    """File contents by path in the component."""
    sources = sorted(name for name in source_files(model) if name.endswith(".c"))
    return {
        "CMakeLists.txt": render_package("espidf/CMakeLists.txt", model, sources=sources),
        "idf_component.yml": render_package("espidf/idf_component.yml", model),
        "LICENSE": licence_text().encode(),
        "README.md": render_package("espidf/README.md", model),
        f"include/{package_name(model.name)}.h": render_package("public.h", model, sources="../src"),
        **under("src", source_files(model)),
        **_example(model, "espidf/main.c", model.weight_bytes),
    }


def espidf_tflm_files(model: PackageModel, tflm: Mapping[str, bytes], arena_bytes: int) -> dict[str, bytes]:
    """The same with esp-tflite-micro in the place of mcukit's kernels.

    tflm: NAME_model_data.h, NAME_model_data.cc and NAME_op_resolver.h. arena_bytes: what TensorFlow Lite Micro's
    interpreter allocates on a 64-bit host.
    """
    data_bytes = tflm[f"{model.name}_model_data.cc"].count(b"0x")
    public = f"{package_name(model.name)}.h"
    return {
        "CMakeLists.txt": render_package("tflm/CMakeLists.txt", model),
        "idf_component.yml": render_package("tflm/idf_component.yml", model),
        "Kconfig": render_package("tflm/Kconfig", model, arena_bytes=arena_bytes, scratch_bytes=_SCRATCH_BYTES),
        "LICENSE": licence_text().encode(),
        "README.md": render_package("tflm/README.md", model),
        f"include/{public}": render_package("tflm/public.h", model),
        f"src/{package_name(model.name)}.cc": render_package("tflm/network.cc", model),
        **under("src", tflm),
        **_example(model, "tflm/main.c", data_bytes),
    }


def _example(model: PackageModel, main: str, constant_bytes: int) -> dict[str, bytes]:
    """A project that runs the component. constant_bytes: of the network in flash."""
    files = {
        "CMakeLists.txt": render_package("espidf/project.txt", model),
        "main/CMakeLists.txt": render_package("espidf/example.txt", model),
        "main/main.c": render_package(main, model),
        "main/known_input.h": render_package("known_input.h", model),
    }
    application = _partition_bytes(constant_bytes)
    flash = next((size for size in _FLASH_SIZES if (size << 20) >= application + _BOOT_BYTES), _FLASH_SIZES[-1])
    partitioned = application > _DEFAULT_BYTES
    files["sdkconfig.defaults"] = render_package("espidf/sdkconfig.defaults", model, flash=flash * partitioned)
    if partitioned:
        files["partitions.csv"] = render_package("espidf/partitions.csv", model, application=application)
    return under(_EXAMPLE, files)


def _partition_bytes(constant_bytes: int) -> int:
    """Of the application's partition: as much as it needs, in whole units."""
    needed = max(constant_bytes + _APPLICATION_BYTES, _DEFAULT_BYTES)
    return -(-needed // _BOOT_BYTES) * _BOOT_BYTES
