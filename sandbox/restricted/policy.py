"""The restricted language: RestrictedPython's transformer, which refuses every node it does not know, with additions.

A second line behind the jail, never the boundary. Attributes go through guards (guards.py); what is refused is refused
when the source is checked, with its place and a hint. Each addition says why it is safe.
"""

import ast
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any

from RestrictedPython.transformer import RestrictingNodeTransformer

from sandbox.guest.language import AGENT_FILE, Log, Print, Refused, agent_module, finish_log, problem, syntax_problem
from sandbox.restricted import hints, names
from sandbox.restricted.allowed_builtins import NAMES as BUILTIN_NAMES
from sandbox.restricted.allowed_builtins import make_builtins
from sandbox.restricted.clock_modules import date_substitutes
from sandbox.restricted.guards import Guards, guarded_getattr
from sandbox.restricted.importer import Importer, preload
from sandbox.restricted.patterns import MatchRules, guard_call
from sandbox.restricted.sources import Sources
from sandbox.restricted.static_names import name_problems
from sandbox.restricted.syntax import is_abstract_meta, is_main_block, is_name, is_object_setattr, is_super
from sandbox.restricted.version import POLICY_VERSION


class Policy(MatchRules, RestrictingNodeTransformer):
    """Transforms one module's tree; afterwards `problems` says why it must not be compiled."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[dict[str, Any]] = []
        self._classes: list[str] = []  # enclosing classes, for the mangling of __private names
        self._in_class_body = False

    # Errors

    def refuse(self, node: ast.AST, code: str, message: str, hint: str) -> None:
        self.problems.append(problem(getattr(node, "lineno", 0), getattr(node, "col_offset", 0), code, message, hint))

    def error(self, node: ast.AST, info: str) -> None:
        """What upstream refuses by itself."""
        self.refuse(node, "not_allowed", info, hints.PLAINER)

    def not_allowed(self, node: ast.AST) -> None:
        kind = type(node).__name__
        if kind.startswith("Async") or kind == "Await":
            self.refuse(node, "async_not_allowed", "async code is not available to agents", hints.ASYNC)
        elif kind == "TryStar":
            self.refuse(
                node, "statement_not_allowed", "except* is not available to agents", "Use except, and raise one error."
            )
        else:
            self.refuse(node, "statement_not_allowed", f"{kind} is not available to agents", hints.PLAINER)

    # Names

    def check_name(self, node: Any, name: str | None, allow_magic_methods: bool = False) -> None:
        """Variables may be private (`_rate`): only `_like_this_`, the guards' own names, and dunders are not theirs."""
        if name is None or (name != "super" and names.variable_allowed(name, in_class=bool(self._classes))):
            return
        if allow_magic_methods and self._in_class_body and (name in names.METHODS or name in names.CLASS_NAMES):
            return
        code = "method_not_allowed" if allow_magic_methods and names.is_dunder(name) else "name_not_allowed"
        what = "method" if code == "method_not_allowed" else "name"
        self.refuse(node, code, f"{what} {name!r} is reserved", hints.for_reserved(name))

    def visit_Name(self, node: ast.Name) -> Any:
        """No `printed` and `_print`: print is an ordinary function that writes the log."""
        if isinstance(node.ctx, ast.Load) and node.id in names.READABLE_NAMES:
            return node
        if isinstance(node.ctx, ast.Store) and node.id in names.MODULE_NAMES:
            return node
        if self._in_class_body and node.id in names.METHODS:
            return node  # __radd__ = __add__, __hash__ = None
        if node.id != "super" or not isinstance(node.ctx, ast.Load):
            self.check_name(node, node.id)
        return node

    def visit_Global(self, node: ast.Global) -> Any:
        for name in node.names:
            self.check_name(node, name)
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> Any:
        """Added. Binds a name of an enclosing function, and binding is checked wherever it is done."""
        for name in node.names:
            self.check_name(node, name)
        return node

    # Attributes

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        name = self._mangled(node.attr)
        load = isinstance(node.ctx, ast.Load)
        if load and name in names.SUPER_METHODS and is_super(node.value):
            return node  # super().__init__(...): a method that a class may define anyway
        self._check_attribute(node, name, load)
        value = self.visit(node.value)
        if not load:  # assigned, deleted, or the target of for, with and import
            node.value = guard_call("_write_", value, at=node.value)
            return node
        return guard_call(_reading_guard(name), value, ast.Constant(name), at=node)

    def _mangled(self, name: str) -> str:
        """As the compiler would: `self.__x` in class C is `self._C__x`."""
        if not self._classes or not name.startswith("__") or name.endswith("__"):
            return name
        owner = self._classes[-1].lstrip("_")
        return f"_{owner}{name}" if owner else name

    def _check_attribute(self, node: Any, name: str, load: bool) -> None:
        allowed = names.attribute_allowed(name)
        if allowed and not load and names.is_dunder(name):
            allowed = name in names.WRITABLE_DUNDERS
        if not allowed:
            verb = "read" if load else "set"
            message = f"attribute {name!r} cannot be {verb} by agents"
            self.refuse(node, "attribute_not_allowed", message, hints.for_attribute(name))

    # Items, calls, iteration, unpacking: checked, not wrapped. Upstream's guards for them exist for objects that carry
    # permissions; here they would be functions that return their argument.

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        return self.node_contents_visit(node)

    def visit_For(self, node: ast.For) -> Any:
        return self.node_contents_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> Any:
        if node.is_async:
            self.refuse(node.target, "async_not_allowed", "async code is not available to agents", hints.ASYNC)
        return self.node_contents_visit(node)

    def visit_Assign(self, node: ast.Assign) -> Any:
        if self._in_class_body and len(node.targets) == 1:
            if is_name(node.targets[0], "__slots__"):
                return self._literal_names(node, lambda name: names.variable_allowed(name, in_class=True))
            if is_name(node.targets[0], "__match_args__"):
                return self._literal_names(node, lambda name: not name.startswith("_") and name not in names.GUARDED)
        return self.node_contents_visit(node)

    def _literal_names(self, node: ast.Assign, allowed: Callable[[str], bool]) -> Any:
        """Added: `__slots__` and `__match_args__`, of literal names, which are under the rules for attributes."""
        literals = node.value.elts if isinstance(node.value, ast.Tuple | ast.List | ast.Set) else [node.value]
        for item in literals:
            name = item.value if isinstance(item, ast.Constant) else None
            if type(name) is not str or name in names.INTROSPECTION or not allowed(name):
                hint = "Write the names: a tuple of texts, without underscores at both ends."
                self.refuse(node, "name_not_allowed", "this must be a tuple of literal names of attributes", hint)
        return node

    def visit_With(self, node: ast.With) -> Any:
        return self.node_contents_visit(node)

    def visit_Call(self, node: ast.Call) -> Any:
        if is_object_setattr(node.func):
            node.func = ast.copy_location(ast.Constant(None), node.func)
            self.node_contents_visit(node)
            node.func = ast.copy_location(ast.Name("_object_setattr_", ast.Load()), node.func)
            return node
        return self.node_contents_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        """Added for items and attributes. The statement stays what it is, so that target and subscript are evaluated
        once; an attribute's object must be one that may be written to, which is the agent's own."""
        if isinstance(node.target, ast.Attribute) and node.target.attr in names.GUARDED:
            hint = "Assign to it: x.name = x.name + value."
            self.refuse(node, "attribute_not_allowed", f"{node.target.attr!r} cannot be changed in place", hint)
        return self.node_contents_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        """Added. Target, annotation and value are checked as in an assignment and in an expression."""
        return self.node_contents_visit(node)

    # Functions and classes

    @contextmanager
    def _body(self, *, of_class: bool) -> Iterator[None]:
        before, self._in_class_body = self._in_class_body, of_class
        yield
        self._in_class_body = before

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        """Methods of METHODS may be defined, directly in a class."""
        self.check_name(node, node.name, allow_magic_methods=True)
        self.check_function_argument_names(node)
        body, node.body = node.body, []
        self.node_contents_visit(node)
        with self._body(of_class=False):
            node.body = self.visit_statements(body)
        return node

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        self.check_function_argument_names(node)
        with self._body(of_class=False):
            return self.node_contents_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        """Bases are checked when the class is made, by the guard that stands for `__build_class__`."""
        self.check_name(node, node.name)
        for keyword in node.keywords:
            if keyword.arg is None or (keyword.arg == "metaclass" and not is_abstract_meta(keyword.value)):
                self.refuse(keyword.value, "metaclass_not_allowed", "metaclasses are not available", "Extend abc.ABC.")
        body, node.body = node.body, []
        self.node_contents_visit(node)
        self._classes.append(node.name)
        with self._body(of_class=True):
            node.body = self.visit_statements(body)
        self._classes.pop()
        return node

    def _type_parameter(self, node: Any) -> Any:
        """Added: `def first[T](items: list[T])`. Binds a name; the bound is an expression like any other."""
        self.check_name(node, node.name)
        return self.node_contents_visit(node)

    visit_TypeVar = visit_ParamSpec = visit_TypeVarTuple = _type_parameter

    def visit_TypeAlias(self, node: ast.TypeAlias) -> Any:
        """Added: `type Pair = tuple[int, int]`. A name bound to an expression."""
        return self.node_contents_visit(node)

    # Module

    def visit_Module(self, node: ast.Module) -> Any:
        node.body = self.visit_statements(node.body)
        return node

    def check_import_names(self, node: ast.Import | ast.ImportFrom) -> Any:
        """Which modules and names exist is checked by static_names; here, what they bind."""
        for alias in node.names:
            if alias.name != "*":
                bound = alias.asname or (
                    alias.name if isinstance(node, ast.ImportFrom) else alias.name.partition(".")[0]
                )
                self.check_name(node, bound)
        return node


def _reading_guard(name: str) -> str:
    if name in names.GUARDED or names.is_dunder(name):
        return "_getspecial_"
    return "_getprivate_" if name.startswith("_") else "_getattr_"


class RestrictedLanguage:
    """Python for agents nobody has reviewed. Making one imports all that agents can import: do it before the jail."""

    version = POLICY_VERSION
    finish_log = staticmethod(finish_log)

    def __init__(self, sources: Callable[[], Sources] = Sources) -> None:
        """`sources` makes the clock and the chance of one run."""
        self._sources = sources
        preload()

    def compile(self, source: str) -> CodeType:
        """Code of a module. Raises `Refused` with every problem that was found."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self._compile(source)
        except Refused:
            raise
        except Exception as error:
            raise Refused([syntax_problem(error)]) from None

    def _compile(self, source: str) -> CodeType:
        tree = ast.parse(source, AGENT_FILE)
        policy = Policy()
        # `if __name__ == "__main__":` never holds here, so its body is dropped, not checked.
        tree.body = [statement for statement in tree.body if not is_main_block(statement)]
        problems = list(name_problems(tree, BUILTIN_NAMES))
        tree = policy.visit(tree)
        problems += policy.problems
        if problems:
            raise Refused(problems)
        return compile(ast.fix_missing_locations(tree), AGENT_FILE, "exec", dont_inherit=True)

    def globals(self, *, log: Log, test: bool) -> dict[str, Any]:
        """A new run's namespace: its guards, its modules, its clock."""
        sources = self._sources()
        guards = Guards(date_substitutes(sources))
        printer = Print(log)
        available = {
            **make_builtins(guards),
            "print": printer,
            "__import__": Importer(guards, sources, printer),
        }
        guarded = {
            "_getattr_": guarded_getattr,
            "_getspecial_": guards.special,
            "_getprivate_": guards.private,
            "_write_": guards.write,
            "_match_class_": guards.match_class,
            "_object_setattr_": guards.object_setattr,
        }
        return agent_module({"__builtins__": available, **guarded}, test=test)
