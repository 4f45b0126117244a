"""Plug-ins: modules from outside the package that bring kinds of their own (`sslrun.extend` has what they need).

A recipe names those that it needs under `imports`; nothing else is loaded. A name is an entry point of the group
`sslrun`, or a module: beside the recipe, in the current folder, or installed. Its source is part of the run's identity,
unless all that it brings are evaluations: theirs have it then.
"""

import importlib
import importlib.util
import inspect
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from pydantic import Field

from sslrun.errors import InputError, SslrunError
from sslrun.paths import user_path
from sslrun.recipe.plugin_sources import digest, origin, root, sources
from sslrun.recipe.schema.base import Kind, Section, defined, definitions, kinds
from sslrun.recipe.schema.judging import EvaluationSection

GROUP = "sslrun"
NAME = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"
PluginName = Annotated[str, Field(pattern=NAME)]


@dataclass(frozen=True)
class Plugin:
    """A loaded plug-in: the name that recipes give it, its module, and the digest of its code."""

    name: str
    module: str
    digest: str
    """Of its source files and the version of the distribution that it comes with; 64 hex digits (`plugin_sources`)."""

    def owns(self, thing: Any) -> bool:
        """Whether a class or function was defined in it."""
        return f"{thing.__module__}.".startswith(f"{self.module}.")


_loaded: dict[str, Plugin] = {}
_by_file: set[str] = set()
"""Those that were asked for by their files: they are meant wherever a recipe has the name."""


class PluginMissing(InputError):
    """No module of a plug-in's name is to be found."""


def load(name: str, folders: Iterable[Path] = (), *, asked: bool = False) -> Plugin:
    """The plug-in of that name, imported once a process; `folders` are looked into first, then the current one. If it
    is `asked` for by its file, it is meant wherever a recipe names it from then on.

    Raises `PluginMissing`; and `InputError` with the plug-in's file and line where importing it fails, a kind is taken,
    or a section has nothing that builds it. Nothing of a plug-in that was refused stays.
    """
    module_name = next((point.module for point in entry_points(group=GROUP, name=name)), name)
    if name in _by_file and name in _loaded and not asked:
        return _loaded[name]
    file = _file(module_name, [*folders, Path.cwd()])
    if name in _loaded:
        known = sys.modules[module_name]
        if file is not None and not _same(origin(known), file):
            what = f"another module of the name {name} is loaded: {origin(known)}"
            raise InputError(what, where=str(file), remedy="Give one of them another name.")
        _by_file.update([name] if asked else [])
        return _loaded[name]
    before = set(sys.modules)
    builders = [(builder, dict(builder.registry)) for builder in filter(None, map(_builder, defined(Section)))]
    try:
        with definitions(module_name), _first(root(file, module_name) if file and asked else None):
            module = _import(module_name, name)
            if file is not None and not _same(origin(module), file):
                what = f"another module of the name {name} comes first: {origin(module)}"
                raise InputError(what, where=str(file), remedy="Give the file another name.")
            plugin = Plugin(name, module_name, digest(module))
            _check_builders(plugin, module)
    except BaseException:
        for new in set(sys.modules) - before:
            if new == module_name or new.startswith(f"{module_name}."):
                del sys.modules[new]
        for builder, registry in builders:
            for section, made_by in registry.items():
                if builder.registry[section] is not made_by:
                    builder.register(section, made_by)
        raise
    _loaded[name] = plugin
    _by_file.update([name] if asked else [])
    return plugin


def load_all(names: Iterable[str | Path], folders: Sequence[Path] = ()) -> list[str]:
    """Load plug-ins by their names or their files (`rules/mine.py`); gives the names by which recipes know them."""
    loaded = []
    for given in map(str, names):
        path = user_path(given, "--import")
        is_file = path.suffix == ".py" or "/" in given
        try:
            name, places = (path.stem, [path.parent, *folders]) if is_file else (given, folders)
            loaded.append(load(name, places, asked=is_file).name)
        except PluginMissing:
            if is_file:
                raise PluginMissing(
                    "no such file", where=given, remedy="--import takes a .py file, or a name"
                ) from None
            raise
    return loaded


def at_work(things: Iterable[Any]) -> list[str]:
    """The names of the loaded plug-ins that any of these things is an instance of a class of."""
    classes = {type(thing) for thing in things}
    return [plugin.name for plugin in _loaded.values() if any(map(plugin.owns, classes))]


def digests(names: Iterable[str]) -> Mapping[str, str]:
    """The digest of each plug-in of these names that may have a part in a pretraining: of all but those that bring
    evaluations and nothing else."""
    plugins = [load(name) for name in names]
    return {plugin.name: plugin.digest for plugin in plugins if not _only_judges(plugin)}


def sources_of(names: Iterable[str]) -> dict[str, bytes]:
    """The source files of plug-ins, by their names below a folder that they can be imported from."""
    return {path: content for name in names for path, content in sources(sys.modules[load(name).module]).items()}


def _only_judges(plugin: Plugin) -> bool:
    sections = [section for section in defined(Section) if plugin.owns(section)]
    return bool(sections) and all(issubclass(section, EvaluationSection) for section in sections)


def plugin_of(section: type[Section]) -> Plugin | None:
    """The loaded plug-in that a section class is from, if it is from one."""
    return next((plugin for plugin in _loaded.values() if plugin.owns(section)), None)


def named(section: type[Section], names: Iterable[str]) -> bool:
    """Whether a section class is the package's own or of one of these plug-ins."""
    return _ours(section) or any(load(name).owns(section) for name in names)


def _ours(section: type[Section]) -> bool:
    return section.__module__.partition(".")[0] == "sslrun"


def _file(module_name: str, folders: list[Path]) -> Path | None:
    """The module's file in the first folder that has it, which then counts as a place of modules; else none."""
    top = module_name.partition(".")[0]
    for folder in dict.fromkeys(folder.resolve() for folder in folders):
        if (folder / f"{top}.py").is_file() or (folder / top / "__init__.py").is_file():
            if str(folder) not in sys.path:
                sys.path.append(str(folder))
                importlib.invalidate_caches()
            whole = folder.joinpath(*module_name.split("."))
            return whole / "__init__.py" if whole.is_dir() else whole.with_suffix(".py")
    return None


@contextmanager
def _first(folder: Path | None) -> Iterator[None]:
    """Look for modules in this folder before all others, the current one among them."""
    if folder is not None:
        sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if folder is not None:
            sys.path.remove(str(folder))


def _same(one: Path, other: Path) -> bool:
    """Whether two files are one, or copies of it."""
    return one == other or (one.is_file() and one.read_bytes() == other.read_bytes())


def _import(module_name: str, name: str) -> ModuleType:
    try:
        with warnings.catch_warnings():  # of what pydantic says less well than `Section`
            warnings.filterwarnings("ignore", 'Field name ".*" shadows', UserWarning)
            return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            remedy = "looked next to the recipe, here and among what is installed; --import takes its file"
            if name.endswith(".py"):
                remedy = f"a module has its name without .py: {name.removesuffix('.py')}"
            raise PluginMissing(f"no such module: {name}", where="imports", remedy=remedy) from None
        raise _failed(error, module_name, name) from error
    except Exception as error:  # whatever a stranger's module does while it is imported
        raise _failed(error, module_name, name) from error


def _failed(error: Exception, module_name: str, name: str) -> InputError:
    """What importing a plug-in ended in, at the last line of its own that was at work."""
    where = _line(error, [module_name.partition(".")[0]]) or name
    if isinstance(error, SyntaxError):
        where = f"{error.filename}:{error.lineno}"
    return InputError(f"the plug-in {name} can't be imported: {_text(error)}", where=where)


def failed(error: Exception) -> SslrunError | None:
    """What an error of Python's tells the user if it comes from a plug-in: at the last line of a plug-in that was at
    work, with what was noted of it. None if no plug-in was."""
    where = _line(error, [plugin.module for plugin in _loaded.values()])
    notes = "\n".join(getattr(error, "__notes__", ()))
    return None if where is None else SslrunError(_text(error), where=where, remedy=notes or None)


def reason(error: BaseException) -> str:
    """An error of Python's in one line: where, the last line of a plug-in, else of ours, and what."""
    where = _line(error, [plugin.module for plugin in _loaded.values()]) or _line(error, ["sslrun"])
    return ": ".join([*([where] if where else []), *_text(error).splitlines()[:1]])


def _line(error: BaseException, modules: Iterable[str]) -> str | None:
    """`file:line` of the innermost code of these modules that was at work when an error was raised, if any was."""
    within = tuple(f"{module}." for module in modules)
    lines = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if f"{frame.f_globals.get('__name__', '')}.".startswith(within)
    ]
    return lines[-1] if lines else None


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip()}".removesuffix(": ")


def _builder(section: type[Section]) -> Any:
    """The generic function that makes what a section says; none if its module is not imported."""
    module, _, name = str(getattr(section, "BUILDER", "")).partition(":")
    return getattr(sys.modules.get(module), name, None) if name else None


def _check_builders(plugin: Plugin, module: ModuleType) -> None:
    """Whether each of its sections has what builds it, and it replaces nothing that builds ours."""
    for section in defined(Section):
        name = str(getattr(section, "BUILDER", "")).rpartition(":")[2]
        if not name or (issubclass(section, Kind) and not kinds(section)):
            continue
        builder = _builder(section)
        made_by = builder.dispatch(section) if builder else None
        called = " | ".join(kinds(section)) or str(getattr(section, "NAME", section.__name__))
        if plugin.owns(section) and (builder is None or made_by is builder.dispatch(object)):
            where = f"{inspect.getsourcefile(section)}:{inspect.getsourcelines(section)[1]}"
            remedy = f"Write a function for it: @{name}.register, its first parameter `section: {section.__name__}`."
            raise InputError(f"nothing builds '{called}'", where=where, remedy=remedy)
        if made_by and plugin.owns(made_by) and (lacking := sorted(getattr(made_by, "__abstractmethods__", ()))):
            where = f"{origin(module)}:{inspect.getsourcelines(made_by)[1]}"
            raise InputError(f"{made_by.__name__} lacks {' and '.join(lacking)}", where=where, remedy="Define them.")
        if _ours(section) and made_by and plugin.owns(made_by):
            where = f"{origin(module)}:{inspect.getsourcelines(made_by)[1]}"
            raise InputError(f"replaces what builds '{called}'", where=where, remedy="Define a kind of your own.")
