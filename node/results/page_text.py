"""Text on the page: fonts, wrapping by measured width, and tables whose cells never overflow."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final

import matplotlib
from PIL import Image, ImageDraw, ImageFont

WHITE: Final = 255
LIGHT: Final = 200
GREY: Final = 150
DARK: Final = 60
BLACK: Final = 0


@lru_cache(maxsize=64)
def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, as shipped with matplotlib: the same glyphs on every machine."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


@dataclass(frozen=True, kw_only=True)
class Style:
    """Size in pixels, weight and grey value of a text."""

    size: int
    bold: bool = False
    grey: int = LIGHT

    @property
    def font(self) -> ImageFont.FreeTypeFont:
        """The font."""
        return font(self.size, bold=self.bold)

    @property
    def line_height(self) -> int:
        """Distance between base lines."""
        return round(self.size * 1.3)

    def scaled(self, factor: float) -> "Style":
        """The same style in another size, at least 9 pixels."""
        return Style(size=max(9, round(self.size * factor)), bold=self.bold, grey=self.grey)


def wrap(text: str, style: Style, width: int) -> list[str]:
    """Break ``text`` into lines no wider than ``width`` pixels; a word that is too long (a hash) is cut."""
    lines: list[list[str]] = [[]]
    used = 0.0
    space = _length(" ", style.size, style.bold)
    for word in text.split():
        for piece in _pieces(word, style, width):
            length = _length(piece, style.size, style.bold)
            if lines[-1] and used + space + length > width:
                lines.append([])
            used = used + space + length if lines[-1] else length
            lines[-1].append(piece)
    return [" ".join(line) for line in lines]


@lru_cache(maxsize=4096)
def _length(text: str, size: int, bold: bool) -> float:
    return font(size, bold=bold).getlength(text)


def _pieces(word: str, style: Style, width: int) -> list[str]:
    if _length(word, style.size, style.bold) <= width:
        return [word]
    pieces: list[str] = []
    current = ""
    for character in word:
        if current and style.font.getlength(current + character) > width:
            pieces.append(current)
            current = ""
        current += character
    return [*pieces, current]


def fit(text: str, style: Style, width: int, *, smallest: int) -> Style:
    """The largest size up to ``style.size`` at which ``text`` fits on one line; never below ``smallest``."""
    size = style.size
    while size > smallest and font(size, bold=style.bold).getlength(text) > width:
        size -= 1
    return Style(size=size, bold=style.bold, grey=style.grey)


@dataclass(frozen=True, kw_only=True)
class Block:
    """Something of known height that can be drawn at (x, y): wrapped lines, each with its own style and indent."""

    lines: tuple[tuple[str, Style, int], ...]
    after: int = 0

    @property
    def height(self) -> int:
        """Height in pixels, with the space after it."""
        return sum(style.line_height for _, style, _ in self.lines) + self.after

    def draw(self, page: Image.Image, x: int, y: int) -> int:
        """Draw, and return the y below."""
        pen = ImageDraw.Draw(page)
        for text, style, indent in self.lines:
            pen.text((x + indent, y), text, font=style.font, fill=style.grey)
            y += style.line_height
        return y + self.after


def paragraph(text: str, style: Style, width: int, *, hanging: int = 0, after: int = 0) -> Block:
    """Wrapped text; lines after the first are indented by ``hanging``."""
    first, *rest = wrap(text, style, width - hanging) if hanging else wrap(text, style, width)
    return Block(lines=((first, style, 0), *((line, style, hanging) for line in rest)), after=after)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a table row: text that wraps in its column."""

    text: str
    style: Style
    right: bool = False
    inverse: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table. ``columns`` holds (x, width) of every cell."""

    cells: tuple[Cell, ...]
    columns: tuple[tuple[int, int], ...]
    rule: bool = True
    padding: int = 6

    @cached_property
    def _wrapped(self) -> list[list[str]]:
        return [wrap(cell.text, cell.style, width) for cell, (_, width) in zip(self.cells, self.columns, strict=True)]

    @property
    def height(self) -> int:
        """Height of the tallest cell, with padding."""
        tallest = max(len(lines) * cell.style.line_height for lines, cell in zip(self._wrapped, self.cells, strict=True))
        return tallest + 2 * self.padding

    def draw(self, page: Image.Image, x: int, y: int) -> int:
        """Draw, and return the y below."""
        pen = ImageDraw.Draw(page)
        for lines, cell, (left, width) in zip(self._wrapped, self.cells, self.columns, strict=True):
            top = y + self.padding
            for line in lines:
                offset = width - round(cell.style.font.getlength(line)) if cell.right else 0
                at = (x + left + offset, top)
                if cell.inverse:
                    box = pen.textbbox(at, line, font=cell.style.font)
                    pen.rectangle([box[0] - 6, box[1] - 5, box[2] + 5, box[3] + 5], fill=WHITE)
                pen.text(at, line, font=cell.style.font, fill=BLACK if cell.inverse else cell.style.grey)
                top += cell.style.line_height
        below = y + self.height
        if self.rule:
            right = max(left + width for left, width in self.columns)
            pen.line([(x, below), (x + right, below)], fill=DARK, width=1)
        return below


Drawable = Block | Row


def total_height(blocks: Sequence[Drawable]) -> int:
    """Height of blocks below each other."""
    return sum(block.height for block in blocks)


def draw_all(page: Image.Image, blocks: Sequence[Drawable], x: int, y: int) -> int:
    """Draw blocks below each other, and return the y below."""
    for block in blocks:
        y = block.draw(page, x, y)
    return y
