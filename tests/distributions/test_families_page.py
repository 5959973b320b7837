"""The page of the families is the one that its script makes."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_page_is_up_to_date():
    made = runpy.run_path(str(ROOT / "scripts/make_families_page.py"))["page"]()
    assert made == (ROOT / "docs/families.md").read_text(), "run scripts/make_families_page.py"
