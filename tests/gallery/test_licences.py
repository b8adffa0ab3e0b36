"""What may be shown is told by the licence, however its archive writes it."""

import pytest

from gallery.licences import may_be_shown

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
