"""Legend of a picture: a colour bar with values, and scale bars.

The first pixel of the picture stays in the upper left corner, and the margins are on its right and below it: pixel
indices in the file are pixel indices in the image. The font is the one in Pillow.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from shotdap.server.pictures import ticks
from shotdap.server.pictures.ascii_text import convert_to_ascii
from shotdap.server.pictures.caption import Caption
from shotdap.server.pictures.colour_maps import sample_colour_map
from shotdap.server.pictures.pixel_size import PixelSize, find_pixel_size

_BACKGROUND: Final = (255, 255, 255)
_FOREGROUND: Final = (32, 32, 32)
_LETTER_HEIGHTS: Final = range(12, 49)  # pixels
_LETTERS_PER_SIDE: Final = 44  # height of a letter = longer side of the picture / this, within `_LETTER_HEIGHTS`
_MIN_BAR_LETTERS: Final = 9  # least height of the colour bar, in heights of a letter
_TICK_SPACING: Final = 3.5  # heights of a letter
_MAX_SCALE_BAR_FRACTION: Final = 0.3  # of the side of the picture
_MAX_TEXT_LENGTH: Final = 120  # characters; a file can have names of any length
_SUPERSAMPLING: Final = 4  # letters are drawn larger and reduced: otherwise their distances would be whole pixels
_SIZE_TOLERANCE: Final = 0.02  # relative difference of two pixel sizes that count as equal


def add_legend(image: Image.Image, caption: Caption) -> Image.Image:
    """Add the requested bars to a picture in RGB."""
    canvas = _Canvas(image, caption)
    if caption.display.scale_bar:
        canvas.draw_scale_bars()
    if caption.display.colour_bar:
        canvas.draw_colour_bar()
    return canvas.render()


@dataclass(frozen=True)
class _DrawOperation:
    """Something to draw once the size of the canvas is known."""

    box: tuple[int, int, int, int]
    """Left, top, right and bottom; the last two are exclusive."""
    pixels: Image.Image | None
    """The pixels to paste; `None` for a filled box."""


class _Canvas:
    """The picture and what is drawn beside it; it grows to the right and downwards."""

    def __init__(self, image: Image.Image, caption: Caption) -> None:
        self.image = image
        self.caption = caption
        self.letter_height = min(
            max(round(max(image.size) / _LETTERS_PER_SIDE), _LETTER_HEIGHTS.start), _LETTER_HEIGHTS.stop - 1
        )
        self.line_width = max(1, round(self.letter_height / 8))
        self.right_edge = image.width
        self.operations: list[_DrawOperation] = []

    @cached_property
    def bar_height(self) -> int:
        """Height of the colour bar, with half a letter of space at both ends."""
        return max(self.image.height, _MIN_BAR_LETTERS * self.letter_height)

    def render(self) -> Image.Image:
        """Draw everything; a side on which something is drawn gets a margin."""
        edge = self.letter_height // 2
        right = max([self.image.width, *(operation.box[2] + edge for operation in self.operations)])
        bottom = max([self.image.height, *(operation.box[3] + edge for operation in self.operations)])
        sheet = Image.new("RGB", (right, bottom), _BACKGROUND)
        sheet.paste(self.image, (0, 0))
        draw = ImageDraw.Draw(sheet)
        for operation in self.operations:
            if operation.pixels is None:
                draw.rectangle(
                    (operation.box[0], operation.box[1], operation.box[2] - 1, operation.box[3] - 1), fill=_FOREGROUND
                )
            else:
                sheet.paste(operation.pixels, operation.box[:2])
        return sheet

    def draw_scale_bars(self) -> None:
        """Draw a bar below the picture, and one on its right if rows have other units or another size."""
        rows, columns = self.caption.picture.shape
        variable = self.caption.dataset.variables[self.caption.name]
        dimensions = variable.dims[:-1] if self.caption.picture.is_coloured else variable.dims
        down, across = (find_pixel_size(self.caption.dataset, dimension) for dimension in dimensions[-2:])
        half, line = self.letter_height // 3, self.line_width
        long, label = _compute_scale_bar(across, columns, self.image.width)
        words = _render_text(label, self.letter_height)
        left, top = self.letter_height // 2, self.image.height + self.letter_height // 2
        middle = top + words.height // 2
        self._draw_box(left, middle - line // 2, long, line)
        for end in (left, left + long - line):
            self._draw_box(end, middle - half, line, 2 * half + 1)
        self._place_image(words, left + long + self.letter_height // 2, top)
        if not down.coordinate or not (
            down.units != across.units or abs(down.size / across.size - 1) > _SIZE_TOLERANCE
        ):
            return
        long, label = _compute_scale_bar(down, rows, self.image.height)
        words = _render_text(label, self.letter_height).rotate(90, expand=True)
        middle, bottom = self.right_edge + self.letter_height // 2 + half, self.image.height
        self._draw_box(middle - line // 2, bottom - long, line, long)
        for end in (bottom - long, bottom - line):
            self._draw_box(middle - half, end, 2 * half + 1, line)
        below_top = max(0, min(bottom - long - self.letter_height // 2 - words.height, bottom - words.height))
        self._place_image(words, middle - words.width // 2, below_top)
        self.right_edge = middle + max(half, words.width // 2) + 1

    def draw_colour_bar(self) -> None:
        """Draw the colour bar with ticks and numbers, and a title with the units."""
        scale, letter = self.caption.picture.scale, self.letter_height
        left, top, wide = self.right_edge + letter // 2, letter // 2 + 1, round(1.25 * letter)
        long = self.bar_height - 2 * top
        colours = sample_colour_map(self.caption.display.colours, scale.level_count)
        levels = np.rint(np.linspace(scale.level_count - 1, 0, long)).astype(np.intp)
        self._place_image(Image.fromarray(np.repeat(colours[levels][:, np.newaxis], wide, axis=1)), left, top)
        for edge in (top, top + long - 1):
            self._draw_box(left, edge, wide, 1)
        for edge in (left, left + wide - 1):
            self._draw_box(edge, top, 1, long)
        labels = [
            (round(top + (1 - place) * (long - 1)), _render_text(ticks.format_number(value), letter))
            for value, place in ticks.compute_ticks(scale, max(2, round(long / (_TICK_SPACING * letter))))
        ]
        beginning = left + wide + letter // 4
        for at, words in labels:
            self._draw_box(left + wide, at - self.line_width // 2, letter // 4, self.line_width)
            self._place_image(words, beginning + letter // 4, at - words.height // 2)
        ending = beginning + letter // 4 + max((words.width for _, words in labels), default=0)
        caption = self.caption
        units = f" ({caption.units})" if caption.units else ""
        titles = (f"{caption.title}{units}", f"{caption.name.rpartition('/')[2]}{units}", caption.units or caption.name)
        drawn = [_render_text(text, letter) for text in titles]
        title = next((image for image in drawn if image.width <= long), drawn[-1]).rotate(90, expand=True)
        self._place_image(title, ending + letter // 2, top + (long - title.height) // 2)

    def _place_image(self, ink: Image.Image, left: int, top: int) -> None:
        top = max(0, top)
        self.operations.append(_DrawOperation((left, top, left + ink.width, top + ink.height), ink))

    def _draw_box(self, left: int, top: int, wide: int, high: int) -> None:
        self.operations.append(_DrawOperation((left, top, left + wide, top + high), None))


def _compute_scale_bar(each: PixelSize, count: int, pixels: int) -> tuple[int, str]:
    """Return the length of a scale bar in pixels of the picture, and its label.

    Args:
        each: the size of a pixel of the image.
        count: the number of pixels in the image.
        pixels: the number of pixels in the picture.
    """
    size = each.size * count / pixels
    length = ticks.round_down(max(size, _MAX_SCALE_BAR_FRACTION * pixels * size))
    return max(1, round(length / size)), f"{ticks.format_number(length)} {each.units}"


_load_font: Final = lru_cache(8)(ImageFont.load_default)


def _render_text(text: str, letter: int) -> Image.Image:
    """Render text on the background; the height is that of a line, whatever the letters are."""
    font: Any = _load_font(letter * _SUPERSAMPLING)  # Pillow has two types of fonts
    plain = convert_to_ascii(text[:_MAX_TEXT_LENGTH])
    left, _, right, _ = font.getbbox(plain)
    ascent, descent = font.getmetrics()
    words = Image.new("RGB", (max(_SUPERSAMPLING, round(right - left)), ascent + descent), _BACKGROUND)
    ImageDraw.Draw(words).text((-left, 0), plain, font=font, fill=_FOREGROUND)
    return words.resize((-(-words.width // _SUPERSAMPLING), -(-words.height // _SUPERSAMPLING)), Image.Resampling.BOX)
