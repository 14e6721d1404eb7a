"""The mutants of a source file: mutmut's operators, applied to every place where a fault would mean something."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import libcst as cst
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider
from mutmut.mutation.mutators import mutation_operators, operator_string

__all__ = ["MODULE", "Mutant", "mutants_of"]

MODULE = "<module>"  # what is not in a function: tables, defaults of parameters and of fields

# No behaviour is in these: types, and what names them.
_NOT_MUTATED = (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom, cst.TypeAlias)
_CALLS_NOT_MUTATED = {"len", "isinstance", "cast", "TypeVar", "NewType"}


@dataclass(frozen=True)
class Mutant:
    """One fault: the node `was` of `path` is written as `becomes`."""

    path: str  # of the source file, from the root of the working copy
    function: str  # qualified name of the outermost function that holds it, or MODULE
    line: int  # first line of what is changed
    was: str
    becomes: str
    count: int  # of equal changes in this function before this one
    nodes: tuple[cst.CSTNode, cst.CSTNode] = field(compare=False, repr=False)
    module: cst.Module = field(compare=False, repr=False)

    @property
    def key(self) -> str:
        """What it is called. Does not change with code elsewhere in the file."""
        return "\n".join((self.path, self.function, self.was, self.becomes, str(self.count)))

    def rank(self, seed: str) -> str:
        """Place in the random order from which a sample takes the first ones; the same as long as `key` is."""
        return hashlib.sha256(f"{seed}\n{self.key}".encode()).hexdigest()

    def source(self) -> str:
        """The whole file with that fault."""
        changed = self.module.deep_replace(*self.nodes)
        assert isinstance(changed, cst.Module)
        return changed.code


def mutants_of(root: Path, path: str) -> list[Mutant]:
    """Every mutant of a file, in the order of the code."""
    wrapper = MetadataWrapper(cst.parse_module((root / path).read_text()))
    visitor = _Mutants(path, wrapper.module)
    wrapper.visit(visitor)
    seen: Counter[tuple[str, str, str]] = Counter()
    numbered = []
    for mutant in visitor.found:
        place = mutant.function, mutant.was, mutant.becomes
        numbered.append(replace(mutant, count=seen[place]))
        seen[place] += 1
    return numbered


class _Mutants(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider, ParentNodeProvider)

    def __init__(self, path: str, module: cst.Module) -> None:
        super().__init__()
        self.path = path
        self.module = module
        self.found: list[Mutant] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if _means_nothing(node):
            return False
        changes = list(_changes(node))
        if not changes:  # most have none, and spelling them takes its time
            return True
        function = self._holder(node)
        was = self._code(node)
        line = self.get_metadata(PositionProvider, node).start.line
        for changed in changes:
            becomes = self._code(changed)
            self.found.append(Mutant(self.path, function, line, was, becomes, 0, (node, changed), self.module))
        return True

    def _code(self, node: cst.CSTNode) -> str:
        return " ".join(self.module.code_for_node(node).split())

    def _holder(self, node: cst.CSTNode) -> str:
        """Qualified name of the outermost function whose body holds a node."""
        names: list[str] = []
        at: cst.CSTNode | None = node
        while at is not None:
            parent = self.get_metadata(ParentNodeProvider, at, None)
            # Defaults of parameters are made where the function is, not in it.
            if isinstance(parent, cst.FunctionDef) and at is parent.body:
                names = [parent.name.value]
            elif isinstance(parent, cst.ClassDef) and names:
                names.append(parent.name.value)
            at = parent
        return ".".join(reversed(names)) or MODULE


def _changes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    for kind, operator in mutation_operators:
        if isinstance(node, kind):
            for number, changed in enumerate(operator(node)):
                # Of a string's three (XX, lower case, upper case), one: texts would outweigh all else.
                if operator is operator_string and number:
                    break
                assert isinstance(changed, cst.CSTNode)
                yield changed


def _means_nothing(node: cst.CSTNode) -> bool:
    match node:
        case cst.Call(func=cst.Name(value=name)):
            return name in _CALLS_NOT_MUTATED
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value="__all__"))]):
            return True
        case cst.Expr(value=cst.SimpleString() | cst.ConcatenatedString()):
            return True  # documentation
        case cst.If(test=cst.Name(value="TYPE_CHECKING")):
            return True
    return isinstance(node, _NOT_MUTATED)
