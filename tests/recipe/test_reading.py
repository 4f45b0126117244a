"""Reading recipes: what is accepted, and for each way of getting it wrong, where the error points and what it says."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sslrun.errors import RecipeError
from sslrun.recipe import Recipe, read_recipe
from sslrun.recipe.schema import DirectPredictor
from sslrun.recipe.shipped import shipped

QUICKSTART = """\
# A small one.
seed: 3
data:
  kind: digits
  size: 16
views:
  crop: {scale: [.3, 1.0]}
  blur: null
  normalize:
    mean: [0.5]
    std: [0.25]
network:
  backbone: {kind: small_resnet, width: 16}
method:
  kind: byol
  predictor:
    kind: directpred
    epsilon: 1e-1
  ema: {kind: constant, momentum: 0.99}
optimizer:
  network: {lr: 3E-2}
training:
  epochs: 60
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(text: str) -> Path:
        path = tmp_path / "quickstart.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return _write


def refused(path: str | Path, *overrides: str) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        read_recipe(path, overrides)
    assert caught.value.exit_code == 2
    return caught.value


def test_values_and_name(write: Write) -> None:
    recipe = read_recipe(write(QUICKSTART))
    assert recipe.name == "quickstart" and recipe.seed == 3
    assert recipe.views.crop is not None and recipe.views.crop.scale == (0.3, 1.0)
    assert recipe.views.blur is None
    assert recipe.method.predictor.kind == "directpred" and recipe.method.predictor.epsilon == 0.1
    assert recipe.optimizer.network.lr == 0.03


def test_name_of_the_file_is_made_fit(tmp_path: Path) -> None:
    path = tmp_path / "_My grüße (2).yaml"
    path.write_text(QUICKSTART)
    assert read_recipe(path).name == "My-gr-e-2-"


# (replaced in QUICKSTART, replacement, line:column, key path, fragments of the message)
BROKEN: list[tuple[str, str, str, str, tuple[str, ...]]] = [
    ("epsilon:", "epsilom:", "18:5", "method.predictor.epsilom", ("for predictor 'directpred'", "mean 'epsilon'?")),
    ("epsilon: 1e-1", "hidden: 64", "18:5", "method.predictor.hidden", ("it belongs to mlp", "(allowed: rho, ")),
    ("seed: 3", "seed: 3\nepochs: 60", "3:1", "epochs", ("no such section", "did you mean 'training.epochs'")),
    ("seed: 3", "seed: 3\nmethods: {}", "3:1", "methods", ("did you mean 'method'?",)),
    ("seed: 3", "training.epochs: 3", "2:1", "training.epochs", ("indent sections",)),
    (
        "kind: directpred",
        "kind: directpredd",
        "17:11",
        "method.predictor.kind",
        ("no such", "mean 'directpred'?", "mlp"),
    ),
    ("    kind: directpred\n", "", "16:3", "method.predictor", ("its kind is missing", "write kind: none | linear")),
    ("\n  kind: digits\n  size: 16", " digits", "3:7", "data", ("write {kind: digits}",)),
    ("data:\n  kind: digits\n  size: 16\n", "", "2:1", "data", ("is missing", "stl10")),
    ("    std: [0.25]\n", "", "9:3", "views.normalize.std", ("is missing", "Standard deviation of each channel")),
    ("epochs: 60", "epochs: 0", "23:11", "training.epochs", ("0 is not allowed", "a whole number, at least 1")),
    ("epochs: 60", "epochs: 60.0", "23:11", "training.epochs", ("60.0 is not", "write 60")),
    ("epochs: 60", "epochs: '60'", "23:11", "training.epochs", ("'60' is not", "write 60")),
    ("epochs: 60", "epochs: 1_000", "23:11", "training.epochs", ("write 1000",)),
    ("epochs: 60", "epochs: yes", "23:11", "training.epochs", ("'yes' is not allowed",)),
    ("epochs: 60", "epochs: true", "23:11", "training.epochs", ("true is not allowed",)),
    (
        "epochs: 60",
        "channels_last: on",
        "23:18",
        "training.channels_last",
        ("'on' is not", "write true", "true or false"),
    ),
    ("epochs: 60", "precision: bf61", "23:14", "training.precision", ("mean 'bf16'?", "one of float32, bf16")),
    ("epochs: 60", "keep_encoder_at: [5, 3]", "23:20", "training.keep_encoder_at", ("ascend",)),
    ("epochs: 60", "keep_encoder_at: [5, 101]", "23:20", "training.keep_encoder_at", ("epoch 101 never comes", "100")),
    ("epochs: 60", "keep_encoder_at: [0]", "23:21", "training.keep_encoder_at[0]", ("at least 1",)),
    ("epochs: 60", "epochs: 60\n  epochs: 61", "24:3", "", ("'epochs' is given twice (first in line 23)",)),
    ("epochs: 60", "epochs: 3\nevaluation: {every: 4}", "24:21", "evaluation.every", ("training has 3",)),
    ("epochs: 60", "batch_size: 3\nrun: {data: 2012}", "24:13", "run.data", ('write "2012"',)),
    ("size: 16", "limit: 100", "5:10", "data.limit", ("a batch of 128 is larger than the 100 images",)),
    (
        "scale: [.3, 1.0]",
        "scale: [.3]",
        "7:17",
        "views.crop.scale",
        ("[0.3] is not allowed", "a list of 2, each a number"),
    ),
    ("scale: [.3, 1.0]", "scale: [.3, 1, 2]", "7:17", "views.crop.scale", ("a list of 2",)),
    ("scale: [.3, 1.0]", "scale: [.5, .3]", "7:17", "views.crop.scale", ("in order, not 0.5 and 0.3",)),
    ("scale: [.3, 1.0]", "scale: [.5, 1.5]", "7:17", "views.crop.scale", ("1.5 is above 1",)),
    ("scale: [.3, 1.0]", "ratio: [0, 1]", "7:17", "views.crop.ratio", ("positive",)),
    ("blur: null", "blur: {sigma: [2, 1]}", "8:17", "views.blur.sigma", ("in order, not 2 and 1",)),
    ("blur: null", "blur: {kernel: 8}", "8:18", "views.blur.kernel", ("odd", "8")),
    ("blur: null", "flip: 1.5", "8:9", "views.flip", ("a number, at least 0, at most 1",)),
    ("mean: [0.5]", "mean: [0.5, 0.5, 0.5]", "11:10", "views.normalize.std", ("mean has 3 values and std has 1",)),
    ("kind: small_resnet,", "kind: densenet121,", "13:40", "network.backbone.width", ("for ResNets",)),
    ("kind: small_resnet, width: 16", "kind: densenet121, stem: cifar", "13:39", "network.backbone.stem", ("ResNets",)),
    ("{lr: 3E-2}", "{kind: adamw, nesterov: true}", "21:36", "optimizer.network.nesterov", ("an option of sgd",)),
    ("{lr: 3E-2}", "{beta2: 0.9}", "21:20", "optimizer.network.beta2", ("an option of adamw; sgd has none",)),
    ("{lr: 3E-2}", "{nesterov: true, momentum: 0}", "21:23", "optimizer.network.nesterov", ("momentum above 0",)),
    ("{lr: 3E-2}", "{}\n  schedule: {warmup_epochs: 61}", "22:29", "optimizer.schedule.warmup_epochs", ("61", "60")),
    ("seed: 3", "seed: .inf", "2:7", "", (".inf is not a finite number",)),
    ("seed: 3", "seed: 1e999", "2:7", "", ("too large",)),
    ("seed: 3", "seed: 99999999999999999999", "2:7", "", ("too many digits",)),
    ("seed: 3", "seed: !!int 3", "2:7", "", ("tag", "not allowed")),
    ("seed: 3", "seed: !!python/object/apply:os.system [ls]", "2:7", "", ("tag", "not allowed")),
    ("seed: 3", "seed: !x 3", "2:7", "", ("the tag !x is not allowed",)),
    ("seed: 3", "3: seed", "2:1", "", ("3 can't be a key",)),
    ("seed: 3", "on: 3", "2:1", "on", ("no such section",)),
    ("seed: 3", "? [a]\n: 3", "2:3", "", ("can't be a key",)),
    ("seed: 3", "seed: &s 3\n<<: {seed: *s}", "3:1", "", ("merge keys",)),
    ("seed: 3", "seed: &s [*s]", "2:7", "", ("an alias stands inside",)),
    ("seed: 3", "seed: *nowhere", "2:7", "", ("undefined alias",)),
    ("seed: 3", "seed: " + "[" * 40, "2:39", "", ("nested deeper",)),
    ("seed: 3", "seed:\t3", "2:6", "", ("a tab can't stand here",)),
    ("seed: 3", 'name: "\\ud800"', "2:7", "", ("surrogate",)),
    ("seed: 3", "seed: 3\n---\na: 1", "3:1", "", ("a second document begins", "one recipe a file")),
    ("seed: 3", "seed: \x07", "2:7", "", ("U+0007",)),
    ("seed: 3", "name: a b", "2:7", "name", ("'a b' is not allowed", "matching")),
    ("seed: 3", "seed: [3", "3:5", "", ("expected", "begins in line 2")),
]


@pytest.mark.parametrize(("old", "new", "place", "path", "fragments"), BROKEN)
def test_broken(write: Write, old: str, new: str, place: str, path: str, fragments: tuple[str, ...]) -> None:
    assert QUICKSTART.count(old) == 1
    text = QUICKSTART.replace(old, new)
    file = write(text)
    error = refused(file)
    assert error.where == f"{file}:{place}", str(error)
    assert str(error).startswith(f"{file}:{place}: {path}: " if path else f"{file}:{place}: ")
    for fragment in fragments:
        assert fragment in str(error)
    line, column = map(int, place.split(":"))
    excerpt = str(error).splitlines()[1]
    shown = [*text.splitlines(), ""][line - 1].replace("\t", " ").replace("\x07", " ")
    assert excerpt.startswith(f"    {line} │ {shown}".rstrip())
    assert str(error).splitlines()[2].index("^") == len(f"    {line} │ ") + column - 1


def test_rules_between_sections(write: Write) -> None:
    none = QUICKSTART.replace("    kind: directpred\n    epsilon: 1e-1", "    kind: none")
    file = write(none.replace("  network: {lr: 3E-2}", "  predictor: {lr: 1}"))
    assert str(refused(file)).startswith(f"{file}:20:3: optimizer.predictor: there is no predictor to optimise")
    limited = QUICKSTART.replace("size: 16", "limit: 100") + "  batch_size: 101\n"
    file = write(limited)
    assert str(refused(file)).startswith(f"{file}:24:15: training.batch_size: a batch of 101 is larger than the 100")


def test_display_of_a_misspelt_option(write: Write) -> None:
    file = write(QUICKSTART.replace("epsilon:", "epsilom:"))
    allowed = ", ".join(name for name in DirectPredictor.model_fields if name != "kind")
    assert str(refused(file)) == (
        f"{file}:18:5: method.predictor.epsilom: no such option for predictor 'directpred'\n"
        "    18 │     epsilom: 1e-1\n"
        f"       │     ^^^^^^^ did you mean 'epsilon'?  (allowed: {allowed})"
    )


def test_all_mistakes_in_the_order_of_the_file(write: Write) -> None:
    text = QUICKSTART.replace("epochs: 60", "epochs: x").replace("size: 16", "size: 1").replace("seed: 3", "sed: 3")
    lines = str(refused(write(text))).splitlines()
    told = [line for line in lines if "quickstart.yaml:" in line]
    assert [line.rpartition(".yaml:")[2].split(": ")[:2] for line in told] == [
        ["2:1", "sed"],
        ["5:9", "data.size"],
        ["23:11", "training.epochs"],
    ]


def test_many_mistakes_are_cut_short(write: Write) -> None:
    text = QUICKSTART + "".join(f"option_{i}: 1\n" for i in range(9))
    assert str(refused(write(text))).endswith("and 4 more")


def test_aliases_are_allowed_and_bounded(write: Write) -> None:
    recipe = read_recipe(write(QUICKSTART.replace("mean: [0.5]", "mean: &m [0.5]").replace("std: [0.25]", "std: *m")))
    assert recipe.views.normalize is not None and recipe.views.normalize.std == (0.5,)
    bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9))
    assert "more than 10,000 values" in str(refused(write(bomb)))
    tower = "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 40))
    assert "nested deeper" in str(refused(write(tower)))


def test_long_lines_are_shown_around_the_mistake(write: Write) -> None:
    text = "data: {" + " " * 300 + "kind: digit}\nmethod: {kind: byol}\n"
    line, carets = str(refused(write(text))).splitlines()[1:3]
    assert len(line) < 120 and line[carets.index("^") :].startswith("digit") and carets.count("^") == 5


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"", ":1:1: is empty"),
        (b"# nothing\n", ":1:1: is empty"),
        (b"[1, 2]\n", ":1:1: must be sections"),
        (b"just text\n", ":1:1: must be sections"),
        (b"seed: 3\nname: caf\xe9\n", ":2:10: is not UTF-8"),
        (b"\xef\xbb\xbfseed: x\n", ":1:7: seed: 'x' is not allowed"),
        (b"seed: x\r\ndata: 1\r\n", ":2:7: data: 1 is not allowed"),
        (b"%YAML 9" + b"9" * 5000 + b".1\n--- {}\n", "can't be read"),
        (b'name: "\\UFFFFFFFF"\n', "can't be read"),
        (b"#" * 1_000_001, "longer than 1,000,000 bytes"),
    ],
)
def test_foreign_files(tmp_path: Path, content: bytes, fragment: str) -> None:
    path = tmp_path / "foreign.yaml"
    path.write_bytes(content)
    assert fragment in str(refused(path))


def test_missing_files(tmp_path: Path, write: Write) -> None:
    write(QUICKSTART)
    assert "did you mean 'quickstart.yaml'?" in str(refused(tmp_path / "quikstart.yaml"))
    assert "is a folder" in str(refused(tmp_path))
    assert "no such file" in str(refused(tmp_path / "nowhere" / "a.yaml"))
    assert "can't be read" in str(refused(tmp_path / ("x" * 5000)))
    assert "no such file" in str(refused("a\0b.yaml")) or "can't be read" in str(refused("a\0b.yaml"))


def test_a_recipe_starts_from_no_other(write: Write) -> None:
    with pytest.raises(RecipeError, match="1:1: base: a recipe starts from no other") as caught:
        read_recipe(write("base: quickstart\ntraining: {epochs: 2}\n"))
    assert "under `set`" in str(caught.value)
    with pytest.raises(RecipeError, match="is a grid, not a recipe"):
        read_recipe(write("base: quickstart\nset: {training.epochs: 2}\n"))


def test_a_run_folder_points_at_its_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(QUICKSTART)
    assert f"did you mean {tmp_path / 'recipe.yaml'}?" in str(refused(tmp_path))


def test_shipped_recipes_by_bare_name() -> None:
    assert shipped()
    for name, path in shipped().items():
        assert path.is_file() and path.stem == name.rpartition("/")[2]
    assert read_recipe("quickstart") == read_recipe(shipped()["quickstart"])
    assert "did you mean 'quickstart'?" in str(refused("quickstrt"))


def test_recipe_needs_no_torch() -> None:
    code = "import sslrun.recipe.explain, sys; print({'torch', 'numpy', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_recipes_are_frozen(write: Write) -> None:
    recipe = read_recipe(write(QUICKSTART))
    assert isinstance(recipe, Recipe)
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 4
