"""What to write instead of what is refused. Only text: nothing here decides."""

from typing import Final

_CONTAINER = 'All of Python is for engine = "container", on hosts that have that engine.'
_HTTP = "Use services.http.get(url, ...)."
_LLM = "Use services.llm.complete(prompt)."
_DB = "Use services.db."
_FILES = "Agents have no files. Use services.kv to keep values, io.StringIO for text in memory."
_LOG = "Use print(...): it is the agent's log."
_SECRETS = "Agents have no environment. Take an input. " + "Or use services.secrets.ref(name)."
_ASYNC = "Write plain functions: calls of services wait by themselves."
_ATTRIBUTES = "Write a lambda, such as lambda item: item.name."

MODULES: Final = {
    "aiohttp": _HTTP,
    "anthropic": _LLM,
    "asyncio": _ASYNC,
    "dotenv": _SECRETS,
    "httpx": _HTTP,
    "logging": _LOG,
    "openai": _LLM,
    "os": "Agents have no operating system. Take inputs, and keep values in services.kv.",
    "pathlib": _FILES,
    "psycopg": _DB,
    "requests": _HTTP,
    "shutil": _FILES,
    "smtplib": "Use services.email.send(to, subject, text).",
    "sqlite3": "Use services.kv.",
    "supabase": _DB,
    "sys": "Agents have no interpreter to talk to. Use print, inputs and exceptions.",
    "tempfile": _FILES,
    "threading": "A run is one thread. Write a loop.",
    "traceback": "Raise the exception: the answer of the run shows the agent's own lines.",
    "typing_extensions": "Import it from typing.",
    "urllib3": _HTTP,
    "urllib.request": _HTTP,
}

BUILTINS: Final = {
    "breakpoint": _LOG,
    "compile": _CONTAINER,
    "dir": "Use a dict or a dataclass with known names.",
    "eval": "Parse the text: json.loads, int, float, Decimal. " + _CONTAINER,
    "exec": _CONTAINER,
    "exit": "Return from the entry function, or raise an exception.",
    "globals": "Keep names in a dict of your own.",
    "help": _LOG,
    "input": "Make it a parameter of the entry function: parameters are the agent's input.",
    "locals": "Keep names in a dict of your own.",
    "memoryview": "Slice the bytes.",
    "open": _FILES,
    "quit": "Return from the entry function, or raise an exception.",
    "__import__": "Write an import statement.",
}

NAMES: Final = {
    ("collections", "UserDict"): "Extend dict.",
    ("contextlib", "redirect_stdout"): "Use print(..., file=buffer) with an io.StringIO.",
    ("dataclasses", "make_dataclass"): "Write the class.",
    ("functools", "singledispatchmethod"): "Use match, or functools.singledispatch.",
    ("operator", "attrgetter"): _ATTRIBUTES,
    ("operator", "methodcaller"): _ATTRIBUTES,
    ("string", "Formatter"): "Use str.format or an f-string.",
    ("typing", "get_type_hints"): "Use dataclasses.fields, or __init__ parameters.",
    ("uuid", "uuid1"): "Use uuid.uuid4().",
}


RESERVED: Final = {
    "__class_getitem__": "Extend typing.Generic[T].",
    "__del__": "Use a with statement, or contextlib.closing.",
    "__file__": _FILES,
    "__getattribute__": "Use a property, or __getattr__.",
    "__import__": "Write an import statement.",
    "__new__": "Use __init__, a classmethod, or a module-level function that makes the object.",
    "__setattr__": "Use a property with a setter.",
    "super": "Choose another name.",
}

ATTRIBUTES: Final = {
    "__annotations__": "Use dataclasses.fields(...).",
    "__dataclass_fields__": "Use dataclasses.fields(...).",
    "__module__": "Use type(x).__name__.",
    "__new__": "Call the class.",
    "__traceback__": "Let the exception be raised: the answer of the run shows the agent's own lines.",
}


def for_reserved(name: str) -> str:
    return RESERVED.get(name, 'Choose a name that does not begin and end with "_".')


def for_attribute(name: str) -> str:
    return ATTRIBUTES.get(name, "Use the public attributes and the operators of the object. " + _CONTAINER)


def for_module(name: str) -> str:
    top = name.partition(".")[0]
    return MODULES.get(name) or MODULES.get(top) or _CONTAINER


def for_builtin(name: str) -> str:
    return BUILTINS.get(name, _CONTAINER)


def for_name(module: str, name: str) -> str:
    return NAMES.get((module, name), _CONTAINER)


CONTAINER: Final = _CONTAINER
ASYNC: Final = _ASYNC
