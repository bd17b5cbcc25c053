"""Support devices on a frontal chest: tubes, lines, electrodes and pacemakers, drawn as strokes."""

import cv2
import numpy as np

from medaudit.data.phantoms.shapes import FIELD

SCALE = 2  # drawn at twice the size, then averaged


def draw_devices(size: int, d: list) -> np.ndarray:
    """Return the brightness that support devices add, float32 ``[n, size, size]``.

    Parameters
    ----------
    size : int
        Side in pixels.
    d : list of numpy.ndarray
        Uniform random numbers ``[n, 1, 1]``: which devices (at least one), and where.
    """
    draws = np.stack([column.ravel() for column in d], axis=1)
    return np.stack([_draw_one(size, one) for one in draws])


def _draw_one(size: int, d: np.ndarray) -> np.ndarray:
    canvas = np.zeros((SCALE * size, SCALE * size), np.uint8)
    kinds = [
        (0.0 <= d[0] < 0.45, _tube),
        (0.3 <= d[0] < 0.8, _line),
        (0.7 <= d[0] < 0.85, _pacemaker),
        (0.85 <= d[0] <= 1.0, _chest_tube),
        (d[1] < 0.4, _electrodes),
    ]
    for present, draw in kinds:
        if present:
            draw(canvas, d)
    picture = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    return picture.astype(np.float32) / 255


def _tube(canvas: np.ndarray, d: np.ndarray) -> None:
    tip = -0.32 + 0.12 * d[2]
    _stroke(canvas, [(0.02, -1.0), (0.0, -0.6), (0.01, tip)], 0.020, 90)
    if d[3] < 0.6:
        _stroke(canvas, [(-0.02, -1.0), (0.03, -0.3), (0.04, 0.3), (0.16, 0.62)], 0.012, 80)


def _line(canvas: np.ndarray, d: np.ndarray) -> None:
    start = (-0.28, -1.0) if d[4] < 0.5 else (-0.85, -0.48)
    bend = (-0.15, -0.62 + 0.1 * (d[4] - 0.5))
    _stroke(canvas, [start, bend, (-0.10, -0.3), (-0.09, -0.08 + 0.1 * d[5])], 0.012, 110)


def _pacemaker(canvas: np.ndarray, d: np.ndarray) -> None:
    x, y = 0.52 + 0.06 * d[6], -0.58 + 0.06 * d[7]
    _stroke(canvas, [(x - 0.05, y), (x + 0.05, y)], 0.11, 150)
    wire = [(x, y - 0.06), (0.2, -0.62), (-0.08, -0.35), (-0.06, 0.1), (0.2, 0.34)]
    _stroke(canvas, wire, 0.012, 110)


def _chest_tube(canvas: np.ndarray, d: np.ndarray) -> None:
    side = -1 if d[8] < 0.5 else 1
    points = [(0.95, 0.28), (0.62, 0.12), (0.5, -0.25), (0.42, -0.55)]
    _stroke(canvas, [(side * x, y) for x, y in points], 0.022, 90)


def _electrodes(canvas: np.ndarray, d: np.ndarray) -> None:
    for x, y in ((-0.55, -0.5), (0.55, -0.45), (0.5, 0.35)):
        x, y = x + 0.1 * (d[9] - 0.5), y + 0.1 * (d[8] - 0.5)
        _stroke(canvas, [(x, y), (x, y)], 0.045, 120)
        _stroke(canvas, [(x, y), (1.4 * x, y - 0.35)], 0.010, 70)


def _stroke(canvas: np.ndarray, points: list, width: float, grey: int) -> None:
    unit = len(canvas) / (2 * FIELD)
    pixels = np.round((np.array(_bend(points)) + FIELD) * unit * 16).astype(np.int32)
    wanted = width * unit
    thickness = max(1, round(wanted))
    shade = round(grey * min(1.0, wanted / thickness))
    cv2.polylines(canvas, [pixels], False, shade, thickness, cv2.LINE_AA, shift=4)


def _bend(points: list) -> np.ndarray:
    """Return a smooth curve through the points."""
    knots = np.arange(len(points))
    steps = np.linspace(0, len(points) - 1, 8 * len(points))
    corners = np.array([np.interp(steps, knots, axis) for axis in np.array(points).T])
    padded = np.pad(corners, ((0, 0), (3, 3)), mode="edge")
    return np.stack([np.convolve(axis, np.full(7, 1 / 7), mode="valid") for axis in padded], 1)
