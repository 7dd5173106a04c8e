"""What is drawn beside a picture: a bar of its colours with their values, and bars as long as so many units.

The picture stays where it is, its first pixel in the upper left corner, with margins to its right and below it: a pixel
of the file is still a pixel of the image. Letters are Pillow's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from shotdap.server.encoders.ascii_text import in_ascii
from shotdap.server.pictures import ticks
from shotdap.server.pictures.colour_maps import palette
from shotdap.server.pictures.metadata import Caption
from shotdap.server.pictures.pixel_size import Pixel, pixel

__all__ = ["beside"]

_PAPER: Final = (255, 255, 255)
_INK: Final = (32, 32, 32)
_LETTERS: Final = range(12, 49)  # pixels that letters may be high
_PART: Final = 44  # of the picture's longer side, one letter
_LEAST: Final = 9  # letters that a bar is high at least, whatever the picture
_TICK_EVERY: Final = 3.5  # letters
_LONGEST: Final = 0.3  # of the picture's side, that a scale bar is
_MOST_LETTERS: Final = 120  # of one text, whatever a file calls its arrays
_FINER: Final = 4  # letters are drawn so much larger: at their own size, their distances would be whole pixels
_DIFFERENT: Final = 0.02  # by how much two sizes of a pixel differ


def beside(image: Image.Image, caption: Caption) -> Image.Image:
    """The picture, in RGB, with the bars that are asked for."""
    sheet = _Sheet(image, caption)
    if caption.display.scale_bar:
        sheet.scale_bars()
    if caption.display.colour_bar:
        sheet.colour_bar()
    return sheet.finished()


@dataclass(frozen=True)
class _Stroke:
    """Something to draw when the size of the sheet is known."""

    box: tuple[int, int, int, int]
    """Left, top, right and bottom; the latter two are just outside."""
    ink: Image.Image | None
    """Pixels; `None` for a filled box."""


class _Sheet:
    """Grows to the right and downwards while things are put on it."""

    def __init__(self, image: Image.Image, caption: Caption) -> None:
        self.image = image
        self.caption = caption
        self.letter = min(max(round(max(image.size) / _PART), _LETTERS.start), _LETTERS.stop - 1)
        self.line = max(1, round(self.letter / 8))
        self.right = image.width
        self.strokes: list[_Stroke] = []

    @cached_property
    def height(self) -> int:
        """Of the colour bar with the room for half a letter at both ends."""
        return max(self.image.height, _LEAST * self.letter)

    def finished(self) -> Image.Image:
        """The sheet, with a margin where anything is drawn."""
        edge = self.letter // 2
        right = max([self.image.width, *(stroke.box[2] + edge for stroke in self.strokes)])
        bottom = max([self.image.height, *(stroke.box[3] + edge for stroke in self.strokes)])
        sheet = Image.new("RGB", (right, bottom), _PAPER)
        sheet.paste(self.image, (0, 0))
        draw = ImageDraw.Draw(sheet)
        for stroke in self.strokes:
            if stroke.ink is None:
                draw.rectangle((stroke.box[0], stroke.box[1], stroke.box[2] - 1, stroke.box[3] - 1), fill=_INK)
            else:
                sheet.paste(stroke.ink, stroke.box[:2])
        return sheet

    # What is put on it ----------------------------------------------------------------------------------------------

    def scale_bars(self) -> None:
        """A bar below the picture, and one at its right where its rows are of other units or sizes."""
        rows, columns = self.caption.picture.shape
        down, across = self._pixels()
        self._lying(across, columns)
        if down.coordinate and (down.units != across.units or abs(down.size / across.size - 1) > _DIFFERENT):
            self._standing(down, rows)

    def _pixels(self) -> tuple[Pixel, Pixel]:
        variable = self.caption.dataset.variables[self.caption.name]
        dimensions = variable.dims[:-1] if self.caption.picture.is_coloured else variable.dims
        down, across = (pixel(self.caption.dataset, dimension) for dimension in dimensions[-2:])
        return down, across

    def _lying(self, each: Pixel, count: int) -> None:
        long, label = _scale_bar(each, count, self.image.width)
        left, top = self.letter // 2, self.image.height + self.letter // 2
        words = _words(label, self.letter)
        middle = top + words.height // 2
        self._box(left, middle - self.line // 2, long, self.line)
        for end in (left, left + long - self.line):
            self._box(end, middle - self.letter // 3, self.line, 2 * (self.letter // 3) + 1)
        self._put(words, left + long + self.letter // 2, top)

    def _standing(self, each: Pixel, count: int) -> None:
        long, label = _scale_bar(each, count, self.image.height)
        words = _words(label, self.letter).rotate(90, expand=True)
        half = self.letter // 3
        middle, bottom = self.right + self.letter // 2 + half, self.image.height
        self._box(middle - self.line // 2, bottom - long, self.line, long)
        for end in (bottom - long, bottom - self.line):
            self._box(middle - half, end, 2 * half + 1, self.line)
        below_top = max(0, min(bottom - long - self.letter // 2 - words.height, bottom - words.height))
        self._put(words, middle - words.width // 2, below_top)
        self.right = middle + max(half, words.width // 2) + 1

    def colour_bar(self) -> None:
        """The colours with values at ticks, and beside them what is shown, in which units."""
        scale, letter = self.caption.picture.scale, self.letter
        left, top, wide = self.right + letter // 2, letter // 2 + 1, round(1.25 * letter)
        long = self.height - 2 * top
        self._put(self._colours(wide, long), left, top)
        self._frame(left, top, wide, long)
        labels = [
            (round(top + (1 - place) * (long - 1)), _words(ticks.said(value), letter))
            for value, place in ticks.places(scale, max(2, round(long / (_TICK_EVERY * letter))))
        ]
        beginning = left + wide + letter // 4
        for at, words in labels:
            self._box(left + wide, at - self.line // 2, letter // 4, self.line)
            self._put(words, beginning + letter // 4, at - words.height // 2)
        ending = beginning + letter // 4 + max((words.width for _, words in labels), default=0)
        title = self._title(long)
        self._put(title, ending + letter // 2, top + (long - title.height) // 2)

    def _colours(self, wide: int, long: int) -> Image.Image:
        scale = self.caption.picture.scale
        colours = palette(self.caption.display.colours, scale.levels)
        levels = np.rint(np.linspace(scale.levels - 1, 0, long)).astype(np.intp)
        return Image.fromarray(np.repeat(colours[levels][:, np.newaxis], wide, axis=1))

    def _title(self, room: int) -> Image.Image:
        """The longest of what might be said that fits, upwards."""
        caption = self.caption
        units = f" ({caption.units})" if caption.units else ""
        titles = (f"{caption.title}{units}", f"{caption.name.rpartition('/')[2]}{units}", caption.units or caption.name)
        drawn = [_words(title, self.letter) for title in titles]
        fitting = next((words for words in drawn if words.width <= room), drawn[-1])
        return fitting.rotate(90, expand=True)

    # How --------------------------------------------------------------------------------------------------------------

    def _put(self, ink: Image.Image, left: int, top: int) -> None:
        top = max(0, top)
        self.strokes.append(_Stroke((left, top, left + ink.width, top + ink.height), ink))

    def _box(self, left: int, top: int, wide: int, high: int) -> None:
        self.strokes.append(_Stroke((left, top, left + wide, top + high), None))

    def _frame(self, left: int, top: int, wide: int, high: int) -> None:
        for edge in (top, top + high - 1):
            self._box(left, edge, wide, 1)
        for edge in (left, left + wide - 1):
            self._box(edge, top, 1, high)


def _scale_bar(each: Pixel, count: int, pixels: int) -> tuple[int, str]:
    """How many of the picture's pixels a bar is long, and what that is.

    Args:
        each: what a step of one pixel of the image is.
        count: the image's pixels.
        pixels: the picture's.
    """
    size = each.size * count / pixels
    length = ticks.round_below(max(size, _LONGEST * pixels * size))
    return max(1, round(length / size)), f"{ticks.said(length)} {each.units}"


def _words(text: str, letter: int) -> Image.Image:
    """Text on paper, as high as a line whatever its letters."""
    font = _font(letter * _FINER)
    plain = in_ascii(text[:_MOST_LETTERS])
    left, _, right, _ = font.getbbox(plain)
    ascent, descent = font.getmetrics()
    words = Image.new("RGB", (max(_FINER, round(right - left)), ascent + descent), _PAPER)
    ImageDraw.Draw(words).text((-left, 0), plain, font=font, fill=_INK)
    return words.resize((-(-words.width // _FINER), -(-words.height // _FINER)), Image.Resampling.BOX)


@lru_cache(8)
def _font(letter: int) -> Any:  # noqa: ANN401
    return ImageFont.load_default(letter)
