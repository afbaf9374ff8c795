"""submission.toml: what is accepted, what is refused, and that all of it is said at once."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.score_files import Scaling
from submissions.card import MOST_BYTES, Card, parsed

GOOD = {
    "method": '"Max Logit"',
    "authors": '["A. Researcher", "Bärbel Forscherin"]',
    "contact": '"a@example.org"',
    "network": '"DeepLabV3+"',
    "trained_on": '["cityscapes_train"]',
    "proxy_outliers": '["COCO"]',
    "same_checkpoint": "true",
    "accepts_terms": "true",
}


def toml(tables: str = "", **fields: str | None) -> bytes:
    """The good card with some fields changed, or left out where None."""
    lines = [f"{key} = {value}" for key, value in {**GOOD, **fields}.items() if value is not None]
    return ("\n".join(lines) + f"\n{tables}\n").encode()


def card(content: bytes) -> Card:
    found, problems = parsed(content)
    assert problems == ()
    assert found is not None
    return found


def sentences(content: bytes) -> list[str]:
    found, problems = parsed(content)
    assert (found is None) == any(each.level == "error" for each in problems)
    return [each.sentence for each in problems]


def test_a_card_is_read():
    found = card(toml("[claimed]\nAP = 26.8\nFPR95 = 63", paper='"https://arxiv.org/abs/1"'))
    assert found.method == "Max Logit"
    assert found.authors == ("A. Researcher", "Bärbel Forscherin")
    assert found.same_checkpoint
    assert not found.open_maps
    assert found.claimed == {"AP": 26.8, "FPR95": 63.0}
    assert found.scaling is None


def test_proxy_outliers_count_as_seen_and_are_marked():
    assert card(toml()).seen == ("cityscapes_train", "COCO as proxy outliers")
    seen = card(toml(proxy_outliers='["lost_and_found_test"]')).seen
    assert seen[1:] == ("lost_and_found_test", "lost_and_found_test as proxy outliers")


def test_the_contact_is_not_public():
    assert "a@example.org" not in str(card(toml()).public())


def test_authors_may_be_anonymous():
    assert card(toml(authors=None, anonymous="true")).authors == ()


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm():
    assert card(b"\xef\xbb\xbf" + toml().replace(b"\n", b"\r\n")).method == "Max Logit"


def test_letters_are_composed():
    assert card(toml(method='"Mu\u0308ller"')).method == "Müller"


def test_scale_and_offset_are_read():
    assert card(toml("[scores]\nscale = 0.5\noffset = -3")).scaling == Scaling(0.5, -3.0)


@pytest.mark.parametrize("field", [each for each in GOOD if each != "authors"])
def test_a_missing_field_is_named(field):
    (said,) = sentences(toml(**{field: None}))
    assert f"{field} is missing" in said


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"method": '"  "'}, "method is empty"),
        ({"method": "3"}, "method is 3; expected text"),
        ({"method": '"' + "m" * 81 + '"'}, "method has more than 80 characters"),
        ({"method": r'"a\nb"'}, r"method holds the character '\n'"),
        ({"method": r'"a\u202eb"'}, r"method holds the character '\u202e'"),
        ({"method": r'"a\u0000b"'}, r"method holds the character '\x00'"),
        ({"authors": None}, "authors is missing"),
        ({"authors": "[]"}, "authors is missing"),
        ({"authors": '"me"'}, "authors is 'me'; expected a list"),
        ({"authors": "[1]"}, "authors is [1]; expected a list"),
        ({"anonymous": "true"}, "either authors or anonymous"),
        ({"contact": '"me"'}, "contact is no e-mail"),
        ({"paper": '"javascript:alert(1)"'}, "paper is 'javascript:alert(1)'; expected"),
        ({"code": '"https://u:p@example.org"'}, "code is"),
        ({"code": '"https://example.org/a\\"><script>"'}, "code is"),
        ({"same_checkpoint": '"yes"'}, "same_checkpoint is 'yes'; expected true or false"),
        ({"accepts_terms": "false"}, "accepts_terms is false; true is needed"),
        ({"accepts_terms": "1"}, "accepts_terms is 1; expected true or false"),
        ({"traned_on": "[]"}, "did you mean trained_on?"),
        ({"trained_on": "0x" + "f" * 6000}, "trained_on is a huge number"),
    ],
)
def test_a_wrong_field_is_one_sentence(fields, said):
    (found,) = sentences(toml(**fields))
    assert said in found


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ("[scores]\nscale = 1", "needs both scale and offset"),
        ("[scores]\nscale = 0\noffset = 0", "scale must be above 0"),
        ("[scores]\nscale = -1\noffset = 0", "scale must be above 0"),
        ("[scores]\nscale = nan\noffset = 0", "scale in [scores] is nan; expected a number"),
        ("[scores]\nscale = true\noffset = 0", "scale in [scores] is True; expected a number"),
        ("[scores]\nscale = 1e-9\noffset = 1.0", "float32 merges levels"),
        ("[scores]\nscale = 1\noffset = 0\nofset = 0", "did you mean offset?"),
        ("[claimed]\nAUROK = 3", "did you mean AUROC?"),
        ("[claimed]\nAP = 101", "claimed AP is 101.0; expected per cent"),
        ('[claimed]\nAP = "3"', "AP in [claimed] is '3'; expected a number"),
        ("[claimed]\nAP = 0.4", "all below 1; they are read as per cent"),
        ("[claims]\nAP = 3", "did you mean claimed?"),
    ],
)
def test_a_wrong_table_is_one_sentence(tables, said):
    (found,) = sentences(toml(tables))
    assert said in found


def test_all_problems_are_said_at_once():
    assert len(sentences(toml("[scores]", method="1", contact='"x"', nework='"n"'))) == 4


def test_text_that_looks_like_html_or_sql_stays_text():
    name = "<script>alert(1)</script>'; DROP TABLE runs;--"
    assert card(toml(method=f'"{name}"')).method == name


@pytest.mark.parametrize(
    "content",
    [
        b"method = ",
        b"\xff\xfe",
        b"a = " + b"[" * 4000,
        b".".join([b"a"] * 4000) + b" = 1",
        b"#" * (MOST_BYTES + 1),
        b"a = 1\na = 2",
    ],
)
def test_what_is_no_toml_is_one_sentence(content):
    found, problems = parsed(content)
    assert found is None
    assert problems
    assert "Traceback" not in problems[0].sentence


UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)


@UNHURRIED
@given(st.binary(max_size=300))
def test_any_bytes_are_answered(content):
    found, problems = parsed(content)
    assert found is None
    assert problems


TEXTS = st.text(max_size=90).map(lambda text: "'''" + text.replace("'", "") + "'''")
VALUES = st.one_of(
    TEXTS,
    st.integers().map(str),
    st.floats().map(lambda x: "nan" if math.isnan(x) else repr(x)),
    st.sampled_from(["true", "false", "[]", "[[]]", "{}", "2026-01-01", "{scale = 1}", "{AP = 5}"]),
    st.lists(TEXTS, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
)


@UNHURRIED
@given(st.dictionaries(st.sampled_from([*GOOD, "paper", "code", "scores", "claimed", "x"]), VALUES))
def test_any_values_are_answered_and_an_accepted_card_is_clean(fields):
    found, problems = parsed(toml(**fields))
    assert (found is None) == any(each.level == "error" for each in problems)
    if found is not None:
        texts = (found.method, found.network, *found.authors, *found.trained_on)
        assert all(text.isprintable() and text == text.strip() for text in texts)
        assert found.method
