# SPDX-License-Identifier: Apache-2.0
"""Names from a model made safe for C: identifiers and comments. Nothing else may put such a name into a file."""

from __future__ import annotations

__all__ = ["IdentifierTable", "c_identifier", "comment_text", "file_stem"]

import re

LONGEST_IDENTIFIER = 40
LONGEST_COMMENT = 96

_RESERVED = frozenset(
    re.findall(
        r"\w+",
        """assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdarg stdbool stddef
        stdint stdio stdlib string tgmath time wchar wctype

        application banner clock frame known known_answer mcukit network port port_serial run semihosting serial session
        text text_out trace trace_link trace_rows

        adc arduino boot can core dac dma eeprom esp esp_timer exti flash gpio hal heap i2c i2s interrupt ledc loop lwip
        mem nvs nvs_flash pinmap power print pwm rtc sd server setup sntp spi stm32 stream sys systick tick timer twi
        uart usb usbd wifi wire wiring""",
    )
)
"""What a network is not called: its NAME.h, NAME_init and the like might be taken for those of others.

Headers of C; files and functions of our own applications; libraries of the Arduino cores and of ESP-IDF.
"""

_KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        """auto break case char const continue default do double else enum extern float for goto if inline int long
        register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
        main""",
    )
)

_PREFIXES = ("mk_", "mcukit_", "run_")
"""What the runtime's names begin with, and the functions of generated layers."""


_SUFFIXES = ("_map", "_needs", "_params", "_row", "_tiles")
"""What names of a layer's parts end with."""


def c_identifier(name: str, fallback: str) -> str:
    """A lower-case C identifier that resembles `name`; `fallback` where nothing of it is left or it is too long."""
    text = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if not text or len(text) > LONGEST_IDENTIFIER:
        return fallback
    if text.endswith(_SUFFIXES):
        # A layer's map must not be mistaken for another layer.
        text += "_layer"
    return f"n_{text}" if text[0].isdigit() or text in _KEYWORDS or text.startswith(_PREFIXES) else text


def file_stem(name: str) -> str:
    """A network's name as used for files, functions and macros."""
    stem = c_identifier(name, "model")
    return f"n_{stem}" if stem in _RESERVED else stem


def comment_text(name: str) -> str:
    """`name` for a C comment: printable ASCII that can neither end the comment nor continue a line."""
    text = "".join(letter if " " <= letter <= "~" else "?" for letter in name)
    text = text.replace("\\", "/")
    # Neither the ends of comments nor trigraphs; looking ahead also parts what overlaps, as in "*/*" and "???".
    text = re.sub(r"\*(?=/)|/(?=\*)|\?(?=\?)", r"\g<0> ", text)
    return text if len(text) <= LONGEST_COMMENT else text[: LONGEST_COMMENT - 3] + "..."


class IdentifierTable:
    """Hands out identifiers that are all different."""

    def __init__(self, reserved: tuple[str, ...] = ()) -> None:
        self._taken = set(reserved)

    def claim(self, name: str, fallback: str) -> str:
        wanted = c_identifier(name, fallback)
        candidate, number = wanted, 2
        while candidate in self._taken:
            candidate, number = f"{wanted}_{number}", number + 1
        self._taken.add(candidate)
        return candidate
