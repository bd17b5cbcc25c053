"""The findings: each adds its own change of brightness to a chest.

The change is computed at full visibility and then multiplied by the row's visibility. So the
difference between the images with and without the finding is proportional to the visibility.
"""

import numpy as np

from medaudit.data.phantoms import shapes
from medaudit.data.phantoms.chest.devices import draw_devices
from medaudit.data.phantoms.chest.frontal import AIR, Chest
from medaudit.data.phantoms.chest.traits import Traits


def cardiomegaly(c: Chest, t: Traits, d: list) -> np.ndarray:
    """A wider heart."""
    wider = c.mediastinum(t, c.x, c.y, c.edge, heart=1.16 + 0.28 * d[0])
    return c.lung * (wider - c.middle) * (AIR + 0.06 - 0.6 * c.markings)


def enlarged_cardiomediastinum(c: Chest, t: Traits, d: list) -> np.ndarray:
    """A wide upper mediastinum and a slightly wide heart."""
    wider = c.mediastinum(t, c.x, c.y, c.edge, 1.08, wide=0.35 + 0.65 * d[0])
    return c.lung * (wider - c.middle) * (AIR + 0.04 - 0.6 * c.markings)


def pleural_effusion(c: Chest, t: Traits, d: list) -> np.ndarray:
    """Fluid that blunts the costophrenic angle and climbs the wall in a meniscus."""
    severity = 0.10 + 0.34 * d[0] * d[0]
    a = np.abs(c.x)
    bottom = np.where(c.x > 0, t.dome_left, t.dome_right)
    climb = np.square(np.clip(a / t.wall - 0.15, 0, 1))
    level = bottom + 0.20 - severity - 0.26 * climb
    fluid = c.lung * shapes.ramp(c.y - level, 0.07) * shapes.ramp(c.out - 0.05, 0.5)
    return (AIR - 0.06) * fluid * (1 - c.middle) * _sides(c, d, both=0.3)


def pleural_thickening(c: Chest, t: Traits, d: list) -> np.ndarray:
    """A bright rim along the wall or over the apex."""
    thick = 0.72 - 0.14 * d[0]
    where = np.where(d[1] < 0.4, shapes.ramp(-0.45 - c.y, 0.25), shapes.ramp(c.y + 0.45, 0.4))
    rim = shapes.ramp(c.out - thick, 0.25) * _lateral(c, t)
    return 0.22 * c.lung * rim * where * _sides(c, d, both=0.3)


def pleural_other(c: Chest, t: Traits, d: list) -> np.ndarray:
    """Irregular calcified plaques along the wall and the diaphragm."""
    texture = shapes.ramp(_texture(shapes.patches, c, d[0]) - 0.5, 0.2)
    rim = shapes.ramp(c.out - 0.62, 0.2) + shapes.band(c.floor - c.y - 0.05, 0.05)
    rim = np.clip(rim, 0, 1) * _lateral(c, t)
    return 0.24 * c.lung * rim * texture * _sides(c, d, both=0.5)


def pneumothorax(c: Chest, t: Traits, d: list) -> np.ndarray:
    """Air around a shrunken lung: a dark rim without markings inside a fine pleural line."""
    inner = 0.72 - 0.42 * d[0]
    lateral = _lateral(c, t)
    out = c.out + 0.35 * shapes.ramp(-0.25 - c.y, 0.5) - 0.22 * shapes.ramp(c.y - 0.2, 0.5)
    rim = shapes.ramp(out - inner, 0.14) * lateral
    line = shapes.band(out - inner, 0.10) * lateral
    change = -(0.15 + c.markings) * rim + 0.13 * line + 0.05 * (1 - rim)
    return c.lung * (1 - c.middle) * change * _sides(c, d)


def edema(c: Chest, t: Traits, d: list) -> np.ndarray:
    """Bat-wing haze around both hila and short horizontal lines at the lateral bases."""
    a = np.abs(c.x)
    reach = 0.19 + 0.07 * d[0]
    wing = shapes.blob(a, c.y, 0.27, 0.02, reach, 0.25 + 0.08 * d[1])
    wing = wing * (0.65 + 0.7 * _texture(shapes.patches, c, d[2])) + 0.8 * c.markings
    stripes = np.clip(np.cos(c.y * (2 * np.pi / 0.075) + 6 * d[3]), 0, None)
    kerley = stripes * shapes.ramp(c.out - 0.62, 0.2) * shapes.ramp(c.y + 0.05, 0.3)
    kerley = kerley * _lateral(c, t)
    return c.seen * (0.6 + 0.4 * d[4]) * (0.24 * wing + 0.09 * kerley)


def consolidation(c: Chest, t: Traits, d: list) -> np.ndarray:
    """A dense lobar patch with a sharp fissure and dark bronchi."""
    x0, y0 = _zone(t, d)
    patch = shapes.disc(np.abs(c.x), c.y, x0, y0, 0.20 + 0.06 * d[3], 0.17 + 0.07 * d[4], 0.12)
    fissure = shapes.ramp((y0 + 0.06 - c.y) * np.where(d[5] < 0.5, 1, -1) + 0.10, 0.03)
    density = 0.24 + 0.16 * _texture(shapes.patches, c, d[6]) - 0.5 * c.markings
    return c.seen * patch * fissure * density * _sides(c, d, both=0.1)


def pneumonia(c: Chest, t: Traits, d: list) -> np.ndarray:
    """A patch as in consolidation, less dense, blotchy and without a border."""
    x0, y0 = _zone(t, d)
    patch = shapes.blob(np.abs(c.x), c.y, x0, y0, 0.17 + 0.06 * d[3], 0.16 + 0.08 * d[4])
    return 0.42 * c.seen * patch * _texture(shapes.patches, c, d[6]) * _sides(c, d, both=0.25)


def infiltration(c: Chest, t: Traits, d: list) -> np.ndarray:
    """Ill-defined cloudy haze over a large part of a lung."""
    x0, y0 = _zone(t, d)
    patch = shapes.blob(np.abs(c.x), c.y, x0, y0, 0.22, 0.30 + 0.1 * d[4])
    clouds = shapes.ramp(_texture(shapes.patches, c, d[6]) - 0.45, 0.6)
    return 0.24 * c.seen * patch * clouds * _sides(c, d, both=0.5)


def lung_opacity(c: Chest, t: Traits, d: list) -> np.ndarray:
    """A faint even haze in one zone of one lung or of both."""
    x0, y0 = _zone(t, d)
    patch = shapes.blob(np.abs(c.x), c.y, x0, y0, 0.20 + 0.06 * d[3], 0.22 + 0.08 * d[4])
    return (0.16 + 0.08 * d[5]) * c.seen * patch * _sides(c, d, both=0.4)


def atelectasis(c: Chest, t: Traits, d: list) -> np.ndarray:
    """Plate-like bands above a raised diaphragm, with crowded markings."""
    a = np.abs(c.x)
    lift = 0.05 + 0.09 * d[0]
    raised = shapes.ramp(c.y - c.floor + lift, c.edge)
    slope = 0.35 * (d[1] - 0.5)
    level = np.where(c.x > 0, t.dome_left, t.dome_right) - lift - 0.05 - 0.12 * d[3]
    plates = sum(
        weight * shapes.band(c.y - level + shift - slope * (a - 0.4), 0.035)
        for weight, shift in ((1.0, 0.0), (0.7, 0.11))
    )
    plates = plates * shapes.ramp(a - 0.18, 0.1) * shapes.ramp(0.85 - c.out, 0.3)
    change = (AIR - 0.04) * raised * (1 - c.middle) + (0.19 + 0.06 * d[4]) * plates * (1 - raised)
    return c.lung * change * _sides(c, d, both=0.25)


def nodule(c: Chest, t: Traits, d: list) -> np.ndarray:
    """One small round spot, sometimes two."""
    first = _spot(c, t, d[0], d[1], d[2], 0.045 + 0.035 * d[3])
    second = _spot(c, t, d[4], d[5], d[6], 0.04 + 0.02 * d[7])
    return 0.30 * c.seen * np.clip(first + second * (d[8] < 0.3), 0, 1)


def mass(c: Chest, t: Traits, d: list) -> np.ndarray:
    """A large lobulated spot."""
    radius = 0.11 + 0.07 * d[3]
    first = _spot(c, t, d[0], d[1], d[2], radius)
    second = _spot(c, t, d[0], d[1], d[2], 0.75 * radius, radius * (d[4] - 0.5), radius * 0.7)
    return 0.34 * c.seen * np.maximum(first, second)


def lung_lesion(c: Chest, t: Traits, d: list) -> np.ndarray:
    """A round spot between a nodule and a mass."""
    return 0.32 * c.seen * _spot(c, t, d[0], d[1], d[2], 0.07 + 0.06 * d[3])


def emphysema(c: Chest, t: Traits, d: list) -> np.ndarray:
    """Dark, overfilled lungs with few vessels, a flat diaphragm and a narrow heart."""
    severity = 0.6 + 0.4 * d[0]
    flat = c.lungs(t, c.x, c.y, c.edge, flatten=severity)[2]
    narrow = c.mediastinum(t, c.x, c.y, c.edge, heart=1 - 0.16 * severity)
    shape = -AIR * (flat * (1 - narrow) - c.lung * (1 - c.middle))
    return shape - severity * c.lung * (1 - c.middle) * (0.07 + 0.5 * c.markings)


def fibrosis(c: Chest, t: Traits, d: list) -> np.ndarray:
    """A net of fine lines at the bases and the periphery of both lungs."""
    where = shapes.ramp(c.y - 0.05, 0.7) + 0.6 * shapes.ramp(c.out - 0.45, 0.4) * _lateral(c, t)
    net = _texture(shapes.nets, c, d[0]) - 0.15
    return (0.20 + 0.08 * d[1]) * c.seen * np.clip(where, 0, 1) * net


def hernia(c: Chest, t: Traits, d: list) -> np.ndarray:
    """A round shadow behind the heart with a bubble of gas above a fluid level."""
    x0, y0, radius = 0.04 + 0.08 * d[0], 0.33 + 0.05 * d[1], 0.13 + 0.06 * d[2]
    sac = shapes.disc(c.x, c.y, x0, y0, radius, radius, 0.04)
    gas = shapes.disc(c.x, c.y, x0, y0, 0.8 * radius, 0.8 * radius, 0.04)
    gas = gas * shapes.ramp(y0 + 0.02 - c.y, 0.03)
    above = shapes.ramp(c.floor - c.y + 0.1, 0.1)
    return above * (sac * (0.12 + 0.20 * c.lung * (1 - c.middle)) - 0.38 * gas)


def fracture(c: Chest, t: Traits, d: list) -> np.ndarray:
    """A step in a rib: a dark cleft between two displaced ends."""
    side = np.where(d[0] < 0.5, -1.0, 1.0)
    x0, y0 = side * (0.72 + 0.2 * d[1]) * t.wall, -0.35 + 0.55 * d[2]
    inner = shapes.blob(c.x, c.y, x0 - side * 0.05, y0 - 0.015, 0.032, 0.026)
    outer = shapes.blob(c.x, c.y, x0 + side * 0.05, y0 + 0.035, 0.032, 0.026)
    cleft = shapes.blob(c.x, c.y, x0, y0 + 0.01, 0.016, 0.045)
    return 0.30 * inner + 0.30 * outer - 0.24 * cleft


def support_devices(c: Chest, t: Traits, d: list) -> np.ndarray:
    """Tubes, lines, electrodes or a pacemaker."""
    return draw_devices(c.x.shape[-1], d)


FINDINGS = {
    function.__name__: function
    for function in (
        atelectasis,
        cardiomegaly,
        consolidation,
        edema,
        emphysema,
        enlarged_cardiomediastinum,
        fibrosis,
        fracture,
        hernia,
        infiltration,
        lung_lesion,
        lung_opacity,
        mass,
        nodule,
        pleural_effusion,
        pleural_other,
        pleural_thickening,
        pneumonia,
        pneumothorax,
        support_devices,
    )
}
DRAWS = (len(FINDINGS), 12)  # uniform random numbers of each image: one row per finding
SEVERITY, SIDE = 10, 11  # the columns that decide contrast and side
FAINTEST, STRONGEST = 0.9, 1.3  # factors of a finding's contrast


def add(picture: np.ndarray, c: Chest, t: Traits, strength: dict, draws: np.ndarray) -> None:
    """Add all findings to `picture`, in place.

    Parameters
    ----------
    picture : numpy.ndarray
        ``[n, size, size]`` brightness.
    c, t : Chest, Traits
        The n chests and patients.
    strength : dict of str to numpy.ndarray
        Visibility ``[n]`` of each finding, 0 where it is absent.
    draws : numpy.ndarray
        Uniform random numbers ``[n, *DRAWS]``.
    """
    for order, (name, draw) in enumerate(FINDINGS.items()):
        rows = np.flatnonzero(strength.get(name, ()))
        if len(rows):
            details = [column[:, None, None] for column in draws[rows, order].T]
            change = draw(c.take(rows), t.take(rows), details)
            severity = FAINTEST + (STRONGEST - FAINTEST) * details[SEVERITY]
            picture[rows] += strength[name][rows, None, None] * severity * change


def _sides(c: Chest, d: list, both: float = 0.0) -> np.ndarray:
    """Return 1 on the affected side, and on both sides in a share `both` of the images."""
    draw = d[SIDE]
    chosen = np.where(draw < both / 2 + 0.5, -1, 1)
    bilateral = np.abs(draw - 0.5) < both / 2
    return np.where(bilateral | (c.side == chosen), np.float32(1), np.float32(0))


def _lateral(c: Chest, t: Traits) -> np.ndarray:
    """Return 0 near the mediastinum and 1 in the outer part of the lungs."""
    return shapes.ramp(np.abs(c.x) - 0.32 * t.wall, 0.2)


def _zone(t: Traits, d: list) -> tuple[np.ndarray, np.ndarray]:
    """Return the centre of a patch, which is more often low in the lung than high."""
    high = d[0] < 0.35
    return (0.55 + 0.2 * (d[1] - 0.5)) * t.wall, np.where(high, -0.42, 0.12) + 0.2 * (d[2] - 0.5)


def _spot(c: Chest, t: Traits, side, x, y, radius, dx=0.0, dy=0.0) -> np.ndarray:
    x0 = np.where(side < 0.5, -1.0, 1.0).astype(np.float32) * (0.34 + 0.42 * x) * t.wall
    y0 = -0.5 + 0.75 * y
    return shapes.disc(c.x, c.y, x0 + dx, y0 + dy, radius, radius, 0.04)


def _texture(bank, c: Chest, draw: np.ndarray) -> np.ndarray:
    pictures = bank(c.x.shape[-1])
    return pictures[(draw.ravel() * shapes.BANK).astype(int)]
