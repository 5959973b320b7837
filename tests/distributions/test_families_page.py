"""The pages of the families are those that their script makes, and every family names its gradient and its source."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MADE = runpy.run_path(str(ROOT / "scripts/make_families_page.py"))
WRAPPERS = ("Independent", "TransformedDistribution")


def test_the_pages_are_up_to_date():
    pages = MADE["pages"]()
    assert {p.name for p in (ROOT / "docs/families").iterdir()} == {Path(p).name for p in pages} - {
        "families.md"
    }
    for path, text in pages.items():
        assert text == (ROOT / "docs" / path).read_text(), "run scripts/make_families_page.py"


@pytest.mark.parametrize("family", MADE["families"](), ids=lambda family: family.__name__)
def test_every_family_says_its_gradient_and_its_source(family):
    text = MADE["page"](family, [], MADE["sources"]())
    assert "\nGradient:" in text
    assert ("\n## Source\n" in text) == (family.__name__ not in WRAPPERS)
