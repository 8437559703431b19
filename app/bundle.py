"""The image's modules in one file: to look for each of some hundred, open and read it takes a tenth of a start.

Another tenth is compiling the same hundred regular expressions that they hold, so these are in it, too.
When the image is built (Dockerfile), this file becomes /opt/dependencies/sitecustomize.py, which Python itself imports
wherever it starts in the image. It finds its neighbour `modules`, written from what was imported then: the standard
library's part and the dependencies', these in place of their own files. Elsewhere there is no such file, and all this
does nothing. Decided in docs/decisions/lean-image.md.

It imports next to nothing, for that is still looked for the long way; so pathlib's place is taken by os.path.
"""
# ruff: noqa: PTH100, PTH107, PTH110, PTH118, PTH120, PTH123, S302 -- as said; and marshal reads what every import reads

import marshal
import os
import sys
import zlib
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType
    from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))
_FILE = os.path.join(_HERE, "modules")


class Bundle:
    """Finder and loader (PEP 451) of the modules in a file that `write` wrote with the same version of Python."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._descriptor = os.open(file, os.O_RDONLY)
        length = int.from_bytes(os.pread(self._descriptor, 4, 0), "big")
        self._begin = 4 + length
        written_by, self._index, self._patterns = marshal.loads(zlib.decompress(os.pread(self._descriptor, length, 4)))
        if written_by != sys.version:  # the standard library of this interpreter may be another one
            self._index = {name: entry for name, entry in self._index.items() if not entry[0].startswith("/")}
            self._patterns = {}

    def install(self) -> None:
        """Be asked before the finder that looks through folders, and before `re` compiles."""
        sys.meta_path.insert(-1, self)
        if not self._patterns:
            return
        from re import _compiler  # type: ignore[attr-defined]  # noqa: PLC0415 -- found in the bundle, from here on

        compiled, interpreter, patterns = _compiler.compile, _compiler._sre, self._patterns

        def known(pattern: "Any", flags: int = 0) -> "Any":
            form = patterns.get((pattern, int(flags)))
            return compiled(pattern, flags) if form is None else interpreter.compile(pattern, *form)

        _compiler.compile = known

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002 -- the protocol's
        """Say where the module comes from, or None for the next finder."""
        if name not in self._index:
            return None
        origin, package, _, _ = self._index[name]
        origin = os.path.join(_HERE, origin)  # the standard library's are absolute
        spec = ModuleSpec(name, self, origin=origin, is_package=package)  # type: ignore[arg-type]  # it has what a loader needs
        spec.has_location = True
        spec.cached = self._file
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(origin.rpartition("/")[0])
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """An ordinary module."""

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module's code."""
        exec(self.get_code(module.__name__), module.__dict__)  # noqa: S102 -- what importing is

    def get_code(self, name: str) -> "CodeType":
        """The module's code, as runpy and inspect ask for it."""
        _, _, offset, size = self._index[name]
        code: CodeType = marshal.loads(os.pread(self._descriptor, size, self._begin + offset))
        return code

    def get_source(self, name: str) -> None:
        """None: it isn't in the image, or not here (tracebacks find the standard library's)."""

    def is_package(self, name: str) -> bool:
        """Whether the module may have submodules."""
        return bool(self._index[name][1])


def write() -> None:
    """Write the modules that are imported now, and delete the files of those that stand beside this one."""
    index: dict[str, tuple[str, bool, int, int]] = {}
    code = bytearray()
    library = os.path.dirname(os.__file__)
    for name, module in sorted(sys.modules.items()):
        spec: Any = getattr(module, "__spec__", None)
        if spec is None or spec.name != name or not (spec.origin or "").endswith((".py", ".pyc")):
            continue  # in C, frozen into the interpreter, or an alias
        ours = spec.origin.startswith(f"{_HERE}/")
        if (
            name == "sitecustomize"
            or not (ours or spec.origin.startswith(f"{library}/"))
            or "-packages/" in spec.origin
        ):
            continue  # whatever else the builder has
        if not ours and os.path.exists(spec.cached or ""):
            continue  # Python has a compiled file of it already, and needs it before it gets here
        data = marshal.dumps(spec.loader.get_code(name))
        index[name] = (
            os.path.relpath(spec.origin, _HERE) if ours else spec.origin,
            spec.submodule_search_locations is not None,
            len(code),
            len(data),
        )
        code += data
        if ours:
            os.remove(spec.origin)
    head = zlib.compress(marshal.dumps((sys.version, index, _compiled_patterns())))
    with open(_FILE, "wb") as file:
        file.write(len(head).to_bytes(4, "big") + head + code)


def _compiled_patterns() -> "dict[tuple[str | bytes, int], tuple[Any, ...]]":
    """What `re` holds, by pattern and flags, in the form that the interpreter takes; each version has its own."""
    import re  # noqa: PLC0415 -- only when an image is built
    from types import SimpleNamespace  # noqa: PLC0415 -- as above

    try:
        compiler, cached = re._compiler, sorted(re._cache, key=repr)  # type: ignore[attr-defined]
        own = compiler._sre
        found = {}
        for _, pattern, flags in cached:
            forms: list[tuple[Any, ...]] = []
            compiler._sre = SimpleNamespace(**{**vars(own), "compile": lambda _, *form, seen=forms: seen.append(form)})
            try:
                compiler.compile(pattern, flags)
            finally:
                compiler._sre = own
            [(all_flags, code, groups, index, names)] = forms
            found[pattern, flags] = (int(all_flags), [int(word) for word in code], groups, dict(index), names)
    except (AttributeError, TypeError, ValueError) as error:
        sys.stderr.write(
            f"bundle: this Python's re is made otherwise, its patterns are compiled at each start: {error}\n"
        )
        return {}
    return found


if os.path.exists(_FILE):
    Bundle(_FILE).install()
