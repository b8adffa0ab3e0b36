"""How much of the location of a station leaves it: nests and rare species are not for everybody."""

from __future__ import annotations

EXACT, COARSE, NO = "exact", "coarse", "no"
SHARING = (EXACT, COARSE, NO)
COARSE_DECIMALS = 1  # of degrees: about 11 km


def shared(latitude: float | None, longitude: float | None, how: str) -> tuple[float | None, float | None]:
    """Latitude and longitude as others may know them: as they are, to a tenth of a degree, or not at all."""
    if how == NO or latitude is None or longitude is None:
        return None, None
    if how == COARSE:
        return round(latitude, COARSE_DECIMALS), round(longitude, COARSE_DECIMALS)
    return latitude, longitude
