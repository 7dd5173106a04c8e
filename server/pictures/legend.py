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

from shotdap.server.encoders.ascii_text import convert_to_ascii
from shotdap.server.pictures import ticks
from shotdap.server.pictures.caption import Caption
from shotdap.server.pictures.colour_maps import sample_colour_map
from shotdap.server.pictures.pixel_size import PixelSize, find_pixel_size

_BACKGROUND: Final = (255, 255, 255)
_FOREGROUND: Final = (32, 32, 32)
_LETTER_HEIGHTS: Final = range(12, 49)  # pixels that letters may be high
_LETTERS_PER_SIDE: Final = 44  # of the picture's longer side, one letter
_MIN_BAR_LETTERS: Final = 9  # letters that a bar is high at least, whatever the picture
_TICK_SPACING: Final = 3.5  # letters
_MAX_SCALE_BAR_FRACTION: Final = 0.3  # of the picture's side, that a scale bar is
_MAX_TEXT_LENGTH: Final = 120  # of one text, whatever a file calls its arrays
_SUPERSAMPLING: Final = 4  # letters are drawn so much larger: at their own size, their distances would be whole pixels
_SIZE_TOLERANCE: Final = 0.02  # by how much two sizes of a pixel differ


def add_legend(image: Image.Image, caption: Caption) -> Image.Image:
    """The picture, in RGB, with the bars that are asked for."""
    sheet = _Canvas(image, caption)
    if caption.display.scale_bar:
        sheet.draw_scale_bars()
    if caption.display.colour_bar:
        sheet.draw_colour_bar()
    return sheet.render()


@dataclass(frozen=True)
class _DrawOperation:
    """Something to draw when the size of the sheet is known."""

    box: tuple[int, int, int, int]
    """Left, top, right and bottom; the latter two are just outside."""
    pixels: Image.Image | None
    """Pixels; `None` for a filled box."""


class _Canvas:
    """Grows to the right and downwards while things are put on it."""

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
        """Of the colour bar with the room for half a letter at both ends."""
        return max(self.image.height, _MIN_BAR_LETTERS * self.letter_height)

    def render(self) -> Image.Image:
        """The sheet, with a margin where anything is drawn."""
        edge = self.letter_height // 2
        right = max([self.image.width, *(stroke.box[2] + edge for stroke in self.operations)])
        bottom = max([self.image.height, *(stroke.box[3] + edge for stroke in self.operations)])
        sheet = Image.new("RGB", (right, bottom), _BACKGROUND)
        sheet.paste(self.image, (0, 0))
        draw = ImageDraw.Draw(sheet)
        for stroke in self.operations:
            if stroke.pixels is None:
                draw.rectangle((stroke.box[0], stroke.box[1], stroke.box[2] - 1, stroke.box[3] - 1), fill=_FOREGROUND)
            else:
                sheet.paste(stroke.pixels, stroke.box[:2])
        return sheet

    # What is put on it ----------------------------------------------------------------------------------------------

    def draw_scale_bars(self) -> None:
        """A bar below the picture, and one at its right where its rows are of other units or sizes."""
        rows, columns = self.caption.picture.shape
        down, across = self._find_pixel_sizes()
        self._draw_horizontal_scale_bar(across, columns)
        if down.coordinate and (down.units != across.units or abs(down.size / across.size - 1) > _SIZE_TOLERANCE):
            self._draw_vertical_scale_bar(down, rows)

    def _find_pixel_sizes(self) -> tuple[PixelSize, PixelSize]:
        variable = self.caption.dataset.variables[self.caption.name]
        dimensions = variable.dims[:-1] if self.caption.picture.is_coloured else variable.dims
        down, across = (find_pixel_size(self.caption.dataset, dimension) for dimension in dimensions[-2:])
        return down, across

    def _draw_horizontal_scale_bar(self, each: PixelSize, count: int) -> None:
        long, label = _compute_scale_bar(each, count, self.image.width)
        left, top = self.letter_height // 2, self.image.height + self.letter_height // 2
        words = _render_text(label, self.letter_height)
        middle = top + words.height // 2
        self._draw_box(left, middle - self.line_width // 2, long, self.line_width)
        for end in (left, left + long - self.line_width):
            self._draw_box(end, middle - self.letter_height // 3, self.line_width, 2 * (self.letter_height // 3) + 1)
        self._place_image(words, left + long + self.letter_height // 2, top)

    def _draw_vertical_scale_bar(self, each: PixelSize, count: int) -> None:
        long, label = _compute_scale_bar(each, count, self.image.height)
        words = _render_text(label, self.letter_height).rotate(90, expand=True)
        half = self.letter_height // 3
        middle, bottom = self.right_edge + self.letter_height // 2 + half, self.image.height
        self._draw_box(middle - self.line_width // 2, bottom - long, self.line_width, long)
        for end in (bottom - long, bottom - self.line_width):
            self._draw_box(middle - half, end, 2 * half + 1, self.line_width)
        below_top = max(0, min(bottom - long - self.letter_height // 2 - words.height, bottom - words.height))
        self._place_image(words, middle - words.width // 2, below_top)
        self.right_edge = middle + max(half, words.width // 2) + 1

    def draw_colour_bar(self) -> None:
        """The colours with values at ticks, and beside them what is shown, in which units."""
        scale, letter = self.caption.picture.scale, self.letter_height
        left, top, wide = self.right_edge + letter // 2, letter // 2 + 1, round(1.25 * letter)
        long = self.bar_height - 2 * top
        self._place_image(self._render_colours(wide, long), left, top)
        self._draw_outline(left, top, wide, long)
        labels = [
            (round(top + (1 - place) * (long - 1)), _render_text(ticks.format_number(value), letter))
            for value, place in ticks.compute_ticks(scale, max(2, round(long / (_TICK_SPACING * letter))))
        ]
        beginning = left + wide + letter // 4
        for at, words in labels:
            self._draw_box(left + wide, at - self.line_width // 2, letter // 4, self.line_width)
            self._place_image(words, beginning + letter // 4, at - words.height // 2)
        ending = beginning + letter // 4 + max((words.width for _, words in labels), default=0)
        title = self._render_title(long)
        self._place_image(title, ending + letter // 2, top + (long - title.height) // 2)

    def _render_colours(self, wide: int, long: int) -> Image.Image:
        scale = self.caption.picture.scale
        colours = sample_colour_map(self.caption.display.colours, scale.level_count)
        levels = np.rint(np.linspace(scale.level_count - 1, 0, long)).astype(np.intp)
        return Image.fromarray(np.repeat(colours[levels][:, np.newaxis], wide, axis=1))

    def _render_title(self, room: int) -> Image.Image:
        """The longest of what might be said that fits, upwards."""
        caption = self.caption
        units = f" ({caption.units})" if caption.units else ""
        titles = (f"{caption.title}{units}", f"{caption.name.rpartition('/')[2]}{units}", caption.units or caption.name)
        drawn = [_render_text(title, self.letter_height) for title in titles]
        fitting = next((words for words in drawn if words.width <= room), drawn[-1])
        return fitting.rotate(90, expand=True)

    # How --------------------------------------------------------------------------------------------------------------

    def _place_image(self, ink: Image.Image, left: int, top: int) -> None:
        top = max(0, top)
        self.operations.append(_DrawOperation((left, top, left + ink.width, top + ink.height), ink))

    def _draw_box(self, left: int, top: int, wide: int, high: int) -> None:
        self.operations.append(_DrawOperation((left, top, left + wide, top + high), None))

    def _draw_outline(self, left: int, top: int, wide: int, high: int) -> None:
        for edge in (top, top + high - 1):
            self._draw_box(left, edge, wide, 1)
        for edge in (left, left + wide - 1):
            self._draw_box(edge, top, 1, high)


def _compute_scale_bar(each: PixelSize, count: int, pixels: int) -> tuple[int, str]:
    """How many of the picture's pixels a bar is long, and what that is.

    Args:
        each: what a step of one pixel of the image is.
        count: the image's pixels.
        pixels: the picture's.
    """
    size = each.size * count / pixels
    length = ticks.round_down(max(size, _MAX_SCALE_BAR_FRACTION * pixels * size))
    return max(1, round(length / size)), f"{ticks.format_number(length)} {each.units}"


def _render_text(text: str, letter: int) -> Image.Image:
    """Text on paper, as high as a line whatever its letters."""
    font = _load_font(letter * _SUPERSAMPLING)
    plain = convert_to_ascii(text[:_MAX_TEXT_LENGTH])
    left, _, right, _ = font.getbbox(plain)
    ascent, descent = font.getmetrics()
    words = Image.new("RGB", (max(_SUPERSAMPLING, round(right - left)), ascent + descent), _BACKGROUND)
    ImageDraw.Draw(words).text((-left, 0), plain, font=font, fill=_FOREGROUND)
    return words.resize((-(-words.width // _SUPERSAMPLING), -(-words.height // _SUPERSAMPLING)), Image.Resampling.BOX)


@lru_cache(8)
def _load_font(letter: int) -> Any:  # noqa: ANN401
    return ImageFont.load_default(letter)
