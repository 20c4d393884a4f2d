"""Charts as SVG text, with the standard library only: panels with axes, lines, marks and a legend."""
import math
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

# Okabe and Ito's colours without yellow, which is too light for lines on white; dashes tell lines apart in print.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#7F7F7F"]
DASHES = ["", "7 3", "2 2", "9 3 2 3", "12 4", "4 4", "1 3", "14 3 3 3"]
# Ordered (small to large): viridis without its light end.
ORDERED = ["#440154", "#414487", "#2A788E", "#22A884", "#7AD151", "#BBAA00"]
TEXT = "#222222"
GRID = "#DDDDDD"


@dataclass
class Line:
    name: str
    points: list  # of (x, y); y None = a gap
    style: int = 0
    ordered: bool = False  # take the colour from ORDERED
    width: float = 1.6
    markers: bool = False
    legend: bool = True

    @property
    def colour(self):
        return (ORDERED if self.ordered else COLOURS)[self.style % (6 if self.ordered else 8)]

    @property
    def dash(self):
        return "" if self.ordered else DASHES[self.style % len(DASHES)]


@dataclass
class Panel:
    title: str
    lines: list
    x_label: str = ""
    y_label: str = ""
    log_x: bool = False
    log_y: bool = False
    y_range: tuple = None  # points outside are drawn at the edge
    x_ticks: list = None
    rules: list = field(default_factory=list)  # (y, text): horizontal reference lines


def number(value):
    """A tick's label: 0.001, 5, 1e+06."""
    if value == 0:
        return "0"
    if abs(value) >= 1e5 or abs(value) < 1e-3:
        return f"{value:.0e}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
    return f"{value:.6g}"


def linear_ticks(low, high, count=5):
    step = 10 ** math.floor(math.log10((high - low) / count))
    step *= min((m for m in (1, 2, 5, 10) if (high - low) / (m * step) <= count), default=10)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low, high):
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = max(1, len(decades) // 5)
    ticks = [10.0**d for d in decades if d % every == 0 and low <= 10.0**d <= high]
    if len(ticks) >= 2:
        return ticks
    fine = [m * 10.0**d for d in decades for m in (1, 2, 5) if low <= m * 10.0**d <= high]
    return fine if len(fine) >= 2 else [low, high]


class Axis:
    """Maps data to pixels."""

    def __init__(self, values, log, start, end, given=None, ticks=None):
        values = [v for v in values if v is not None and (v > 0 or not log)] or [1.0, 2.0]
        low, high = given or (min(values), max(values))
        if low == high:
            low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
        if not given and not ticks:  # room around the outermost points
            room = (high / low) ** 0.04 if log else 0.04 * (high - low)
            low, high = (low / room, high * room) if log else (low - room, high + room)
        self.log, self.low, self.high, self.start, self.end = log, low, high, start, end
        self.ticks = ticks or (log_ticks if log else linear_ticks)(low, high)

    def __call__(self, value):
        value = min(max(value, self.low), self.high)
        f = math.log10 if self.log else float
        share = (f(value) - f(self.low)) / (f(self.high) - f(self.low))
        return self.start + share * (self.end - self.start)


class Canvas:
    def __init__(self, width, height, title):
        self.width, self.height = width, height
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
            f' height="{height}" font-family="Helvetica, Arial, sans-serif" fill="{TEXT}">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{width}" height="{height}" fill="#FFFFFF"/>',
        ]

    def text(self, x, y, text, size=12, anchor="start", rotate=False, bold=False, colour=TEXT):
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if rotate else ""
        weight = ' font-weight="bold"' if bold else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"'
                          f' fill="{colour}"{weight}{turn}>{escape(text)}</text>')

    def line(self, x1, y1, x2, y2, colour=TEXT, width=1.0, dash=""):
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
                          f' stroke="{colour}" stroke-width="{width}"{dashes}/>')

    def rect(self, x, y, width, height, fill, stroke="none"):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
                          f' fill="{fill}" stroke="{stroke}"/>')

    def circle(self, x, y, radius, fill, stroke="#FFFFFF"):
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}" stroke="{stroke}"/>')

    def path(self, points, colour, width, dash):
        if not points:
            return
        d = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="{width}"'
                          f' stroke-linejoin="round"{dashes}/>')

    def finish(self):
        return "\n".join(self.parts + ["</svg>", ""])


def draw_axes(canvas, panel, x, y, left, top, width, height):
    canvas.text(left + width / 2, top - 8, panel.title, 13, "middle", bold=True)
    for tick in y.ticks:
        canvas.line(left, y(tick), left + width, y(tick), GRID)
        canvas.text(left - 6, y(tick) + 4, number(tick), 11, "end")
    for tick in x.ticks:
        canvas.line(x(tick), top, x(tick), top + height, GRID)
        canvas.text(x(tick), top + height + 15, number(tick), 11, "middle")
    for value, name in panel.rules:
        canvas.line(left, y(value), left + width, y(value), "#555555", 1, "5 4")
        canvas.text(left + width - 4, y(value) - 4, name, 10, "end", colour="#555555")
    canvas.line(left, top, left, top + height)
    canvas.line(left, top + height, left + width, top + height)
    if panel.x_label:
        canvas.text(left + width / 2, top + height + 32, panel.x_label, 12, "middle")
    if panel.y_label:
        canvas.text(left - 44, top + height / 2, panel.y_label, 12, "middle", rotate=True)


def draw_line(canvas, line, x, y, log_y):
    run, drawn = [], []
    for px, py in line.points:
        if py is None or (log_y and py <= 0):
            canvas.path(run, line.colour, line.width, line.dash)
            run = []
            continue
        run.append((x(px), y(py)))
        drawn.append(run[-1])
    canvas.path(run, line.colour, line.width, line.dash)
    for px, py in drawn if line.markers or len(drawn) == 1 else []:
        canvas.circle(px, py, 3.5, line.colour)


def draw_panel(canvas, panel, left, top, width, height):
    points = [p for line in panel.lines for p in line.points if p[1] is not None]
    x = Axis([p[0] for p in points], panel.log_x, left, left + width, ticks=panel.x_ticks)
    values = [p[1] for p in points] + [r[0] for r in panel.rules]
    y = Axis(values, panel.log_y, top + height, top, panel.y_range)
    draw_axes(canvas, panel, x, y, left, top, width, height)
    for line in panel.lines:
        draw_line(canvas, line, x, y, panel.log_y)


def draw_legend(canvas, lines, left, top, width):
    """One entry a name, in rows; returns the height it took."""
    entries = {line.name: line for line in lines if line.legend}
    x, y = left, top
    for name, line in entries.items():
        needed = 44 + 7.2 * len(name)
        if x + needed > left + width and x > left:
            x, y = left, y + 20
        canvas.line(x, y - 4, x + 28, y - 4, line.colour, 2.4, line.dash)
        if line.markers:
            canvas.circle(x + 14, y - 4, 3.5, line.colour)
        canvas.text(x + 34, y, name, 12)
        x += needed + 12
    return y - top + 20


def panels(title, all_panels, columns, size=(300, 200), note=""):
    """An SVG document: a title, the legend of all lines, and the panels in rows of `columns`."""
    columns = min(columns, len(all_panels))
    cell_width, cell_height = size[0] + 78, size[1] + 70
    width = max(columns * cell_width + 10, 560)
    rows = math.ceil(len(all_panels) / columns)
    lines = [line for panel in all_panels for line in panel.lines]
    probe = Canvas(width, 0, title)
    head = 52 + draw_legend(probe, lines, 20, 52, width - 40)
    notes = note.split("\n") if note else []
    canvas = Canvas(width, head + rows * cell_height + 8 + 16 * len(notes), title)
    canvas.text(20, 26, title, 16, bold=True)
    draw_legend(canvas, lines, 20, 52, width - 40)
    for i, panel in enumerate(all_panels):
        left = (i % columns) * cell_width + 66
        draw_panel(canvas, panel, left, head + (i // columns) * cell_height + 16, *size)
    for i, text in enumerate(notes):
        canvas.text(20, canvas.height - 16 * (len(notes) - i) + 4, text, 11, colour="#555555")
    return canvas.finish()


def grid(title, columns, rows, cells, key, x_label="", note="", cell=(92, 34)):
    """A table as a picture. cells[row][column] = (colour, text, text colour); key = [(colour, meaning)]."""
    left = 30 + 7.4 * max(len(r) for r in rows)
    needed = sum(40 + 7.2 * len(meaning) for _, meaning in key)
    notes = note.split("\n") if note else []
    width = max(left + cell[0] * len(columns) + 20, needed + 40, 9 * len(title) + 40,
                *(6 * len(text) + 40 for text in notes), 0)
    top = 112
    canvas = Canvas(int(width), int(top + cell[1] * len(rows) + 14 + 16 * len(notes)), title)
    canvas.text(20, 26, title, 16, bold=True)
    x = 20
    for colour, meaning in key:
        canvas.rect(x, 42, 16, 16, colour, "#888888")
        canvas.text(x + 22, 55, meaning, 12)
        x += 40 + 7.2 * len(meaning)
    canvas.text(left + cell[0] * len(columns) / 2, top - 26, x_label, 12, "middle")
    for j, name in enumerate(columns):
        canvas.text(left + cell[0] * (j + 0.5), top - 8, name, 12, "middle", bold=True)
    for i, name in enumerate(rows):
        y = top + cell[1] * i
        canvas.text(left - 10, y + cell[1] / 2 + 4, name, 12, "end", bold=True)
        for j, (colour, text, text_colour) in enumerate(cells[i]):
            canvas.rect(left + cell[0] * j + 1, y + 1, cell[0] - 2, cell[1] - 2, colour, "#FFFFFF")
            canvas.text(left + cell[0] * (j + 0.5), y + cell[1] / 2 + 4, text, 12, "middle", colour=text_colour)
    for i, text in enumerate(notes):
        canvas.text(20, canvas.height - 16 * (len(notes) - i) + 4, text, 11, colour="#555555")
    return canvas.finish()
