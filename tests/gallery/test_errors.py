import pickle

from gallery import BiovitaError, GalleryError, TaxonError


def test_an_error_is_one_line_of_what_and_remedy():
    assert str(BiovitaError("file x is\nempty", "record it again")) == "file x is empty; record it again"
    assert str(BiovitaError("file x is empty")) == "file x is empty"


def test_an_unusable_gallery_and_a_wrong_name_have_their_own_exit_codes():
    assert (GalleryError("x").exit_code, TaxonError("x").exit_code) == (3, 2)


def test_an_error_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(GalleryError("what", "remedy")))
    assert isinstance(error, GalleryError) and str(error) == "what; remedy"
