"""What is said of broken recipes and grids, word for word: users and the manual rely on the texts.

`messages.jsonl` has the texts that are broken, then a line for each way of breaking one: which lines are replaced, the
`--set` options, the message. `python tests/net/test_messages.py` writes the messages anew and prints what changes:
only where it is meant to read differently.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from sslrun.errors import RecipeError
from sslrun.grids import read_grid
from sslrun.recipe import read_recipe
from sslrun.recipe.shipped import shipped

STORED = Path(__file__).parent / "messages.jsonl"


def stored() -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The cases, and the texts that they break."""
    rows = [json.loads(line) for line in STORED.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if "message" in row], {row["text"]: row["is"] for row in rows if "is" in row}


def message(case: dict[str, Any], texts: dict[str, str], folder: Path) -> str:
    """What reading the broken text says, without the folders of the files that it names."""
    lines = texts[case["text"]].splitlines(keepends=True)
    first, last = case["lines"]
    path = folder / case["file"]
    path.write_bytes("".join([*lines[: first - 1], case["with"], *lines[last:]]).encode())
    try:
        if case["text"] == "grid":
            read_grid(path, case["set"], small=case["small"])
        else:
            read_recipe(path, case["set"])
    except RecipeError as error:
        return str(error).replace(f"{folder}/", "").replace(f"{shipped()['quickstart'].parent}/", "")
    return "(nothing: it was read)"


def test_messages_are_as_they_were(tmp_path: Path) -> None:
    cases, texts = stored()
    now = [message(case, texts, tmp_path) for case in cases]
    changed = [f"{case['message']}\nnow\n{new}" for case, new in zip(cases, now, strict=True) if new != case["message"]]
    assert not changed, "\n\n".join([f"{len(changed)} changed:", *changed[:5]])
    assert len(cases) >= 134


if __name__ == "__main__":
    cases, texts = stored()
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            new = message(case, texts, Path(folder))
            if new != case["message"]:
                print(f"{case['message']}\nnow\n{new}\n")
            case["message"] = new
    rows = [{"text": name, "is": text} for name, text in texts.items()] + cases
    STORED.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
