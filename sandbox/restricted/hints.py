"""What to write instead of what is refused. Only text: nothing here decides."""

from collections.abc import Iterable
from typing import Final

_HTTP = "Use services.http.get(url, ...)."
_LLM = "Use services.llm.complete(prompt)."
_DB = "Use services.db."
_FILES = "Agents have no files. Use services.kv to keep values, io.StringIO for text in memory."
_LOG = "Use print(...): it is the agent's log."
_SECRETS = "Agents have no environment. Take an input, or use services.secrets.ref(name)."
_ASYNC = "Write plain functions: calls of services wait by themselves."
_ATTRIBUTES = "Write a lambda, such as lambda item: item.name."
_ALONE = "A run is one process and one thread. Write a loop."
_DATES = "Use datetime and zoneinfo."
_TABLES = "Use csv, lists and dicts, and statistics."
_MARKUP = "Use re on the text, and html.unescape."
_INPUTS = "Make it a parameter of the entry function: parameters are the agent's input."
_END = "Return from the entry function, or raise an exception."
_CODE = "Write the code itself. To choose by name, use a dict of functions."
_NAMES = "Keep names in a dict of your own."
_EMAIL = "Use services.email.send(to, subject, text)."
_PLAINER = "Write it in plainer Python, without this."

_LONGEST_LIST: Final = 500

MODULES: Final = {
    "aiohttp": _HTTP,
    "anthropic": _LLM,
    "argparse": _INPUTS,
    "asyncio": _ASYNC,
    "bs4": _MARKUP,
    "concurrent.futures": _ALONE,
    "dateutil": _DATES,
    "dotenv": _SECRETS,
    "email": _EMAIL,
    "html.parser": _MARKUP,
    "http.client": _HTTP,
    "httpx": _HTTP,
    "logging": _LOG,
    "multiprocessing": _ALONE,
    "numpy": "Use math, statistics, and lists.",
    "openai": _LLM,
    "os": "Agents have no operating system. Take inputs, and keep values in services.kv.",
    "pandas": _TABLES,
    "pathlib": _FILES,
    "pickle": "Use json.dumps and json.loads, or keep JSON values in services.kv.",
    "psycopg": _DB,
    "pydantic": "Use dataclasses, or annotate the parameters of the entry function.",
    "pytz": _DATES,
    "requests": _HTTP,
    "schedule": "Do the work once: an agent runs each time its URL is called.",
    "shutil": _FILES,
    "smtplib": _EMAIL,
    "socket": _HTTP,
    "sqlite3": "Use services.kv.",
    "subprocess": "Agents start no programs. Write it in Python, or use services.http.get(url, ...).",
    "supabase": _DB,
    "sys": "Agents have no interpreter to talk to. Use print, inputs and exceptions.",
    "tempfile": _FILES,
    "threading": _ALONE,
    "traceback": "Raise the exception: the answer of the run shows the agent's own lines.",
    "typing_extensions": "Import it from typing.",
    "urllib3": _HTTP,
    "urllib.request": _HTTP,
    "xml": _MARKUP,
    "yaml": "Use json.",
}

BUILTINS: Final = {
    "BaseExceptionGroup": "Raise one exception.",
    "ExceptionGroup": "Raise one exception.",
    "__build_class__": "Write a class statement.",
    "__import__": "Write an import statement.",
    "aiter": _ASYNC,
    "anext": _ASYNC,
    "breakpoint": _LOG,
    "compile": _CODE,
    "copyright": "Write the text.",
    "credits": "Write the text.",
    "dir": "Use a dict or a dataclass with known names.",
    "eval": "Parse the text: json.loads, int, float, Decimal. To choose by name, use a dict of functions.",
    "exec": _CODE,
    "exit": _END,
    "globals": _NAMES,
    "help": _LOG,
    "input": _INPUTS,
    "license": "Write the text.",
    "locals": _NAMES,
    "memoryview": "Slice the bytes.",
    "open": _FILES,
    "quit": _END,
}

NAMES: Final = {
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


ASYNC: Final = _ASYNC
PLAINER: Final = _PLAINER


def for_reserved(name: str) -> str:
    return RESERVED.get(name, 'Choose a name that does not begin and end with "_".')


def for_attribute(name: str) -> str:
    otherwise = "Use the public attributes and the operators of the object, or keep the value in a dict of your own."
    return ATTRIBUTES.get(name, otherwise)


def for_module(name: str, available: Iterable[str]) -> str:
    top = name.partition(".")[0]
    return MODULES.get(name) or MODULES.get(top) or f"Use the services, and these modules: {_listed(available)}."


def for_builtin(name: str) -> str:
    return BUILTINS.get(name, _PLAINER)


def for_name(module: str, name: str, available: Iterable[str]) -> str:
    return NAMES.get((module, name)) or f"Use what it has: {_listed(available)}."


def _listed(names: Iterable[str]) -> str:
    text = ", ".join(sorted(name for name in names if not name.startswith("_")))
    return text if len(text) <= _LONGEST_LIST else f"{text[:_LONGEST_LIST].rpartition(', ')[0]}, and more"
