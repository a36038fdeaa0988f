"""The modules that agents may import. Never a real module: each is a façade with an explicit list of names.

21 of 51 commonly allowed modules of the standard library reach `sys`, `os` or `builtins` through public attributes
(`re.enum.sys.modules["os"]`), so a name is here because somebody put it here. Modules that only compute are listed in
this file; those that touch the clock, chance, types or attributes are rebuilt for each run in the files beside it.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from sandbox.restricted.guards import Guards
from sandbox.restricted.sources import Sources


class Module:
    """A façade. It has no `__name__`: with one, `from x import y` would fall back to the real `sys.modules["x.y"]`."""

    def __init__(self, title: str, names: Mapping[str, Any]) -> None:
        self.__dict__.update(names)
        self.__dict__["__doc__"] = f"module {title}"

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("modules cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("modules cannot be changed")

    def __repr__(self) -> str:
        return f"<{self.__doc__}>"

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("cannot copy a module")


# Names given as they are: constants, functions that only compute, and classes whose public attributes only compute.
# tests/sandbox/test_modules.py walks all that can be reached from them.
PLAIN: Final[Mapping[str, str]] = {
    "__future__": "annotations division print_function absolute_import unicode_literals generator_stop",
    "base64": "b64encode b64decode standard_b64encode standard_b64decode urlsafe_b64encode urlsafe_b64decode b32encode "
    "b32decode b32hexencode b32hexdecode b16encode b16decode a85encode a85decode b85encode b85decode encodebytes "
    "decodebytes",
    "binascii": "a2b_base64 b2a_base64 a2b_hex b2a_hex hexlify unhexlify crc32 crc_hqx a2b_qp b2a_qp a2b_uu b2a_uu "
    "Error Incomplete",
    "bisect": "bisect bisect_left bisect_right insort insort_left insort_right",
    "calendar": "MONDAY TUESDAY WEDNESDAY THURSDAY FRIDAY SATURDAY SUNDAY JANUARY FEBRUARY isleap leapdays weekday "
    "monthrange monthcalendar calendar month day_name day_abbr month_name month_abbr timegm setfirstweekday "
    "firstweekday Calendar TextCalendar HTMLCalendar IllegalMonthError IllegalWeekdayError",
    "cmath": "acos acosh asin asinh atan atanh cos cosh e exp inf infj isclose isfinite isinf isnan log log10 nan nanj "
    "phase pi polar rect sin sinh sqrt tan tanh tau",
    "collections.abc": "Iterable Iterator Reversible Generator Container Collection Sized Hashable Callable Sequence "
    "MutableSequence Set MutableSet Mapping MutableMapping MappingView KeysView ItemsView ValuesView",
    "csv": "reader writer DictReader DictWriter Dialect excel excel_tab unix_dialect Sniffer Error QUOTE_ALL "
    "QUOTE_MINIMAL QUOTE_NONE QUOTE_NONNUMERIC QUOTE_STRINGS QUOTE_NOTNULL list_dialects get_dialect register_dialect "
    "unregister_dialect field_size_limit",
    "decimal": "Decimal Context DecimalTuple DefaultContext BasicContext ExtendedContext getcontext setcontext "
    "localcontext DecimalException Clamped InvalidOperation DivisionByZero Inexact Rounded Subnormal Overflow "
    "Underflow FloatOperation DivisionImpossible InvalidContext ConversionSyntax DivisionUndefined ROUND_DOWN "
    "ROUND_HALF_UP ROUND_HALF_EVEN ROUND_CEILING ROUND_FLOOR ROUND_UP ROUND_HALF_DOWN ROUND_05UP MAX_PREC MAX_EMAX "
    "MIN_EMIN MIN_ETINY HAVE_THREADS HAVE_CONTEXTVAR",
    "difflib": "SequenceMatcher Differ HtmlDiff get_close_matches ndiff restore unified_diff context_diff diff_bytes "
    "IS_CHARACTER_JUNK IS_LINE_JUNK",
    "fractions": "Fraction",
    "graphlib": "TopologicalSorter CycleError",
    "hashlib": "md5 sha1 sha224 sha256 sha384 sha512 sha3_224 sha3_256 sha3_384 sha3_512 shake_128 shake_256 blake2b "
    "blake2s new pbkdf2_hmac algorithms_guaranteed algorithms_available",
    "heapq": "heappush heappop heappushpop heapify heapreplace merge nlargest nsmallest",
    "hmac": "new digest compare_digest HMAC",
    "html": "escape unescape",
    "io": "StringIO BytesIO SEEK_SET SEEK_CUR SEEK_END UnsupportedOperation",
    "itertools": "accumulate batched chain combinations combinations_with_replacement compress count cycle dropwhile "
    "filterfalse groupby islice pairwise permutations product repeat starmap takewhile tee zip_longest",
    "json": "dumps loads dump load JSONEncoder JSONDecoder JSONDecodeError",
    "math": "acos acosh asin asinh atan atan2 atanh cbrt ceil comb copysign cos cosh degrees dist e erf erfc exp exp2 "
    "expm1 fabs factorial floor fmod frexp fsum gamma gcd hypot inf isclose isfinite isinf isnan isqrt lcm ldexp "
    "lgamma log log10 log1p log2 modf nan nextafter perm pi pow prod radians remainder sin sinh sqrt sumprod tan tanh "
    "tau trunc ulp",
    # attrgetter and methodcaller reach attributes by text
    "operator": "abs add and_ call concat contains countOf delitem eq floordiv ge getitem gt iadd iand iconcat "
    "ifloordiv ilshift imatmul imod imul index indexOf inv invert ior ipow irshift is_ is_not isub itemgetter itruediv "
    "ixor le length_hint lshift lt matmul mod mul ne neg not_ or_ pos pow rshift setitem sub truediv truth xor",
    "re": "A ASCII I IGNORECASE L LOCALE M MULTILINE S DOTALL U UNICODE X VERBOSE NOFLAG RegexFlag Match Pattern "
    "compile error escape findall finditer fullmatch match purge search split sub subn",
    "statistics": "mean fmean geometric_mean harmonic_mean median median_low median_high median_grouped mode multimode "
    "quantiles pstdev pvariance stdev variance covariance correlation linear_regression StatisticsError",
    # Formatter reaches attributes by text
    "string": "ascii_letters ascii_lowercase ascii_uppercase capwords digits hexdigits octdigits printable punctuation "
    "whitespace Template",
    "textwrap": "wrap fill dedent indent shorten TextWrapper",
    "unicodedata": "bidirectional category combining decimal decomposition digit east_asian_width is_normalized lookup "
    "mirrored name normalize numeric unidata_version",
    "urllib.parse": "quote quote_plus quote_from_bytes unquote unquote_plus unquote_to_bytes urlencode urlparse "
    "urlunparse urlsplit urlunsplit urljoin urldefrag parse_qs parse_qsl ParseResult SplitResult DefragResult",
    "zlib": "compress decompress compressobj decompressobj crc32 adler32 error Z_BEST_COMPRESSION Z_BEST_SPEED "
    "Z_DEFAULT_COMPRESSION Z_DEFAULT_STRATEGY Z_FINISH Z_FULL_FLUSH Z_NO_FLUSH Z_SYNC_FLUSH DEFLATED MAX_WBITS",
}

# A module rebuilt for each run: from the run's guards and sources, its names.
Factory = Callable[[Guards, Sources], Mapping[str, Any]]


def plain_names(module: str) -> dict[str, Any]:
    """The listed names of a real module, with their values."""
    real = importlib.import_module(module)
    return {name: getattr(real, name) for name in PLAIN[module].split()}
