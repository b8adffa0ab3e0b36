"""What may be shown is told by the licence, however its archive writes it."""

import pytest

from gallery.licences import elements, may_be_shown, spdx

SHOWN = """
CC0
CC0 1.0
cc-zero
CC BY
CC-BY
cc_by_nc_4_0
CC BY-NC-SA 4.0
CC BY-ND 2.0 de
CC BY 3.0 (set); clip CC0
CC-PDDC
cc-pdm
https://creativecommons.org/licenses/by-nc-sa/4.0/
http://creativecommons.org/publicdomain/zero/1.0/
Creative Commons Attribution-ShareAlike 4.0 International
Public domain
US public domain (USGS ARMI)
No known copyright restrictions
"""
NOT_SHOWN = """
all rights reserved
CC BY 4.0? No: All Rights Reserved
© J. Doe
Copyright 2020 Bycatch Ltd
not in the public domain
custom: attribution
https://example.org/licence
cc bystander
C
?
"""


@pytest.mark.parametrize("licence", ["", "  ", *SHOWN.strip().splitlines()])
def test_open_licences_and_ones_own_photos_may_be_shown(licence: str):
    assert may_be_shown(licence)


@pytest.mark.parametrize("licence", NOT_SHOWN.strip().splitlines())
def test_reserved_and_unknown_licences_may_not(licence: str):
    assert not may_be_shown(licence)


NAMED = """
C -> all-rights-reserved
http://rightsstatements.org/vocab/InC/1.0/ -> all-rights-reserved
publicdomain -> public-domain
not CC0 -> unknown
not licensed under CC BY -> unknown
Free for non-commercial use, CC BY otherwise -> unknown
CC BY 4.0 International (CC BY-NC 4.0 for photos) -> CC-BY-NC-4.0
CC-BY-NC 4.0 (http://creativecommons.org/licenses/by/4.0/) -> CC-BY-NC-4.0
//creativecommons.org/licenses/by-nc-sa/4.0/ -> CC-BY-NC-SA-4.0
http://creativecommons.org/licenses/by/4.0/legalcode -> CC-BY-4.0
https://creativecommons.org/licenses/by-sa/2.5/ca/ -> CC-BY-SA-2.5-CA
https://creativecommons.org/licenses/by-nc-nd/2.0/fr/deed.en -> CC-BY-NC-ND-2.0-FR
https://creativecommons.org/licenses/by/3.0/igo/ -> CC-BY-3.0-IGO
http://creativecommons.org/publicdomain/zero/1.0/legalcode -> CC0-1.0
http://creativecommons.org/publicdomain/mark/1.0/ -> PDM-1.0
https://creativecommons.org/licenses/publicdomain/ -> public-domain
https://creativecommons.org/licenses/sampling+/1.0 -> unknown
CC_BY_NC_4_0 -> CC-BY-NC-4.0
CC0_1_0 -> CC0-1.0
cc-by-nc -> CC-BY-NC
CC BY NC SA 4.0 -> CC-BY-NC-SA-4.0
BY-NC-SA 4.0 -> CC-BY-NC-SA-4.0
CC BY-ND-NC 1.0 -> CC-BY-NC-ND-1.0
CC BY-SA 3.0 de -> CC-BY-SA-3.0-DE
CC BY 2.5 au -> CC-BY-2.5-AU
cc-by-sa-3.0,2.5,2.0,1.0 -> CC-BY-SA-3.0
CC-BY-SA-3.0-migrated -> CC-BY-SA-3.0
CC BY 4.0 International -> CC-BY-4.0
CC BY-SA 3.0 / GFDL -> CC-BY-SA-3.0
Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International -> CC-BY-NC-SA-4.0
Creative Commons Attribution Noncommercial No Derivatives 3.0 -> CC-BY-NC-ND-3.0
Creative Commons Attribution-Share Alike 3.0 Germany -> CC-BY-SA-3.0-DE
Attribution-NonCommercial 4.0 International -> CC-BY-NC-4.0
Creative Commons CC0 1.0 Universal Public Domain Dedication -> CC0-1.0
Public Domain Mark 1.0 -> PDM-1.0
pd-old -> public-domain
(c) J. Doe, some rights reserved (CC BY-NC) -> CC-BY-NC
(c) J. Doe, no rights reserved (CC0) -> CC0-1.0
(c) J. Doe, all rights reserved -> all-rights-reserved
GFDL 1.2 -> GFDL-1.2
CC BY+NC -> CC-BY-NC
CC BY (NC) 4.0 -> CC-BY-NC-4.0
CC-BY; NC -> CC-BY-NC
CC BY, National Museum -> CC-BY
Creative Commons BY-NC 4.0 -> CC-BY-NC-4.0
CC BY 4.0, not for commercial use -> unknown
CC BY 4.0 (no derivatives) -> unknown
CC BY 4.0, no commercial use -> unknown
Creative Commons Attribution 4.0 no derivatives -> CC-BY-ND-4.0
CC BY 3.0 no -> CC-BY-3.0-NO
Some rights reserved -> unknown
UNSPECIFIED -> unknown
"""


@pytest.mark.parametrize("line", NAMED.strip().splitlines())
def test_a_licence_has_one_name_however_it_is_written(line: str):
    written, name = line.split(" -> ")
    assert spdx(written) == name
    assert spdx(name) == name


def test_the_conditions_of_a_licence_are_told():
    assert elements("CC-BY-NC-SA-3.0-DE") == {"NC", "SA"}
    assert elements("CC-BY-4.0") == elements("unknown") == set()
