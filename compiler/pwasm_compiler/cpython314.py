"""What the compiler knows of CPython 3.14, as componentize-py 0.25 builds it: every name, number and layout.

Nothing of it is promised to anybody, so `tools/check_cpython.py` compares all of it with the Python that is there, as
does tests/compiler/test_cpython.py; docs/upgrade.md says how to move to another. What the runtime shim knows lies in
its src/cpython314.h.
"""

from __future__ import annotations

import re
import struct

# --- versions and names -----------------------------------------------------------------------------------------------

VERSION = "3.14"
RELEASE = f"{VERSION}.0"
"""What is said to pip: environment markers compare with it."""
CACHE_TAG = "cpython-314"
"""`sys.implementation.cache_tag`: part of the names of compiled files."""
EXTENSION_SUFFIX = ".cpython-314-wasm32-wasi.so"
"""`sysconfig.get_config_var("EXT_SUFFIX")`: by it componentize-py finds the shim."""
NEW_IN_STANDARD_LIBRARY = frozenset({"annotationlib", "compression"})
"""Modules that Python 3.11, the oldest that pwasm runs on, does not have."""

# --- componentize-py --------------------------------------------------------------------------------------------------

LIBRARY = "/python"
"""Where componentize-py puts the standard library in the guest."""
LIBPYTHON = "libpython3.14.so"
"""Under which name its component has the library that is CPython: symbols are exported as "<name>:<symbol>"."""
CONSTRUCT = "_initialize"
"""Export of a library that runs its constructors; the component's last module calls them."""
STARTS = (CONSTRUCT, "__wasm_call_ctors")
"""Exports of libraries that are called when they start."""
RELOCATORS = ("pwasm_apply_data_relocs_", "__wasm_apply_data_relocs")
"""Exports that fill in a library's pointers; the shim's own has the first name (runtime-shim, src/build.c)."""
HEAP_BASE, STACK_LOW, STACK_POINTER = "__heap_base", "__stack_low", "__stack_pointer"
"""Symbols of wasm-ld that the component keeps."""

# --- built-in modules -------------------------------------------------------------------------------------------------

MODULE_INIT = "PyInit_"
MODULE_REGISTER = "PyModuleDef_Init"
"""What each `PyInit_…` calls with the module's definition, which gets an index then."""
MODULE_DEFINITION = struct.Struct("<12xI4xI")
"""Index and name of a PyModuleDef, behind reference count, type and init; between them is a copy. Source:
Include/moduleobject.h."""
BUILT_IN = (
    "_abc", "_ast", "_asyncio", "_bisect", "_blake2", "_codecs", "_codecs_cn", "_codecs_hk", "_codecs_iso2022",
    "_codecs_jp", "_codecs_kr", "_codecs_tw", "_collections", "_contextvars", "_csv", "_datetime", "_decimal",
    "_elementtree", "_functools", "_heapq", "_hmac", "_imp", "_io", "_json", "_locale", "_lsprof", "_md5",
    "_multibytecodec", "_opcode", "_operator", "_pickle", "_queue", "_random", "_sha1", "_sha2", "_sha3", "_signal",
    "_socket", "_sqlite3", "_sre", "_stat", "_statistics", "_string", "_struct", "_suggestions", "_symtable",
    "_sysconfig", "_thread", "_tokenize", "_types", "_typing", "_weakref", "_zoneinfo", "array", "atexit", "binascii",
    "cmath", "errno", "faulthandler", "gc", "itertools", "math", "posix", "pyexpat", "select", "time", "unicodedata",
    "zlib",
)  # fmt: skip
"""The modules that are compiled into CPython, as componentize-py builds it, and that can be left out."""

# --- modules that are frozen into CPython -----------------------------------------------------------------------------

FROZEN = struct.Struct("<IIii")
"""`struct _frozen` (Include/cpython/import.h): name, code, its size, whether it is a package."""
FROZEN_TABLES = ("_PyImport_FrozenBootstrap", "_PyImport_FrozenStdlib", "_PyImport_FrozenTest")
"""Pointers to arrays of it, each of which ends with an entry of zeros."""

# --- the compiler -----------------------------------------------------------------------------------------------------

_ERROR, _NULL = -1, 0

COMPILER = {
    # what compiles text, by the name that the rest of CPython calls: what it returns with an exception set
    "PyAST_Check": _ERROR,
    "PyAST_mod2obj": _NULL,
    "PyAST_obj2mod": _NULL,
    "_PyAST_Compile": _NULL,
    "_PyAST_Validate": 0,
    "_PyCompile_AstPreprocess": _ERROR,
    "_PyParser_ASTFromFile": _NULL,
    "_PyParser_ASTFromString": _NULL,
    "_PyParser_InteractiveASTFromFile": _NULL,
    "_PySymtable_Build": _NULL,
    "init_types": _ERROR,
}
COMPILER_CALLBACKS = (r"_PyPegen_\w+", r"ast2obj_\w+", r"\w+_rule")
"""Names of functions of the parser and of `ast` that these pass to each other, and so are in the table."""

# --- docstrings in C --------------------------------------------------------------------------------------------------

DOCSTRING = re.compile(rb"\0[A-Za-z_][A-Za-z0-9_.]*\([^\0]*?\)\n--\n\n([^\0]+)")
"""What PyDoc_STRVAR leaves in memory: CPython cuts it at "--" (Objects/typeobject.c, find_signature)."""

# --- the stack --------------------------------------------------------------------------------------------------------

STACK_LIMITS = struct.Struct("<III")
STACK_TOP, STACK_SOFT, STACK_HARD = 0x100000, 0x4000, 0x2000
"""`c_stack_top`, `c_stack_soft_limit` and `c_stack_hard_limit` of `_PyThreadStateImpl`, which follow each other, for a
stack of 1 MiB that ends at `STACK_TOP`. Source: Include/internal/pycore_tstate.h, Python/ceval.c."""

RAISES_RECURSION_ERROR = "Py_EnterRecursiveCall"
RECURSION_CHECKS = (RAISES_RECURSION_ERROR, "_Py_EnterRecursiveCall", "_Py_CheckRecursiveCall")
"""Functions that compare the stack pointer with the limit for those that call them. The second is static in some
builds, and in line in others."""
LARGE_FRAMES = {"_PyEval_EvalFrameDefault": 4096}
"""Functions whose native frame is far larger than others': bytes of shadow stack they take."""
UNCHECKED = {
    # functions that recurse with no check at all: what they return with an exception set
    "PyObject_Hash": _ERROR,
    "_PyObject_IsAbstract": _ERROR,
    "accumulate_next": _NULL,
    "batched_next": _NULL,
    "chain_next": _NULL,
    "compress_next": _NULL,
    "conv_content_model": _NULL,
    "cycle_next": _NULL,
    "deepcopy": _NULL,  # of _elementtree
    "dropwhile_next": _NULL,
    "enum_next": _NULL,
    "filter_next": _NULL,
    "filterfalse_next": _NULL,
    "ga_call": _NULL,
    "ga_getattro": _NULL,
    "ga_vectorcall": _NULL,
    "gen_close": _NULL,
    "_gen_throw": _NULL,
    "groupby_next": _NULL,
    "islice_next": _NULL,
    "map_next": _NULL,
    "mappingproxy_contains": _ERROR,
    "mappingproxy_getitem": _NULL,
    "mappingproxy_getiter": _NULL,
    "mappingproxy_len": _ERROR,
    "mappingproxy_or": _NULL,
    "method_getattro": _NULL,
    "method_vectorcall": _NULL,
    "pairwise_next": _NULL,
    "partial_vectorcall": _NULL,
    "starmap_next": _NULL,
    "takewhile_next": _NULL,
    "zip_longest_next": _NULL,
    "zip_next": _NULL,
}

# --- the heap: wasi-libc's dlmalloc -----------------------------------------------------------------------------------

PREVIOUS_IN_USE, IN_USE, CHUNK_FLAGS = 1, 2, 7
"""Bits of a chunk's second word; the rest is its size."""
CHUNK_HEAD, CHUNK_ALIGNMENT = 8, 16
TREE_CHUNK = 256
"""Free chunks of this size and more are in trees, and have two more pairs of links."""

# --- the standard library ---------------------------------------------------------------------------------------------

IMPORTED_AT_START = (
    "__future__",
    "_collections_abc",
    "_py_warnings",
    "_sitebuiltins",
    "_weakrefset",
    "abc",
    "bisect",
    "codecs",
    "codeop",
    "collections/__init__",
    "contextlib",
    "copyreg",
    "encodings/__init__",
    "encodings/aliases",
    "encodings/ascii",
    "encodings/latin_1",
    "encodings/utf_8",
    "enum",
    "functools",
    "genericpath",
    "importlib/__init__",
    "importlib/machinery",
    "io",
    "keyword",
    "linecache",
    "operator",
    "os",
    "posixpath",
    "re/__init__",
    "re/_casefix",
    "re/_compiler",
    "re/_constants",
    "re/_parser",
    "reprlib",
    "site",
    "stat",
    "struct",
    "textwrap",
    "token",
    "tokenize",
    "traceback",
    "types",
    "warnings",
    "weakref",
)
"""Files that the start of Python and the SDK import, so that they can be compiled before anybody asks. A name that is
missing here, or not needed any more, costs a little time."""

LAZY: dict[str, tuple[str, ...]] = {
    # module: what its functions import on first use, or those of modules that it imports
    "dataclasses": ("math",),
    "datetime": ("_strptime",),
    "decimal": ("numbers",),
    "email": ("email.parser", "email.message", "email.policy"),
    "hashlib": ("_blake2", "_md5", "_sha1", "_sha2", "_sha3"),
    "importlib": ("importlib.resources._adapters", "importlib.resources.readers"),
    "importlib.resources": ("importlib.resources._adapters", "importlib.resources.readers"),
    "locale": ("_locale",),
    "pprint": ("dataclasses",),
    "random": ("hashlib", "statistics"),
    "reprlib": ("math",),
    "tarfile": ("zlib",),
    "time": ("_strptime",),
    "urllib": ("unicodedata",),
    "urllib.parse": ("unicodedata",),
    "typing": ("annotationlib",),
    "uuid": ("hashlib", "random"),
    "xml.etree.ElementTree": ("pyexpat",),
    "zoneinfo": ("importlib.resources", "tzdata"),
}
"""Source: Lib/, Modules/_datetimemodule.c, Modules/timemodule.c, Modules/_decimal/_decimal.c. `tzdata` is a
distribution, not part of it."""

ALWAYS_WANTED = (
    "_suggestions",
    "atexit",
    "encodings.ascii",
    "encodings.latin_1",
    "encodings.utf_8",
    "linecache",
    "traceback",
)
"""Imported into every snapshot: what tracebacks and `weakref.finalize` use, and the codecs that network code names
without thinking."""

WANTED_BY_TEXT: tuple[tuple[str, tuple[str, ...]], ...] = (
    # what stands in a source (a regular expression): what CPython then imports when the source runs
    (r"\bidna\b", ("encodings.idna", "encodings.punycode")),
    (r"\bpunycode\b", ("encodings.punycode",)),
    (r"\\N\{", ("unicodedata",)),  # in a pattern
    (r"\bruntime_checkable\b|\bSupports[A-Z]", ("inspect",)),
    (r"\bsingledispatch", ("typing", "annotationlib")),
    (r"(?m)^\s*(?:class|def|async def|type)\s+\w+\s*\[", ("typing", "annotationlib")),
)

COMPILES_TEXT = frozenset(
    {
        "NamedTuple",
        "dataclass",
        "evaluate_forward_ref",
        "get_type_hints",
        "literal_eval",
        "make_dataclass",
        "namedtuple",
    }
)
"""Functions of the standard library that call `eval`, `exec` or `compile` on behalf of their callers."""
MODULES_THAT_COMPILE = frozenset({"code", "codeop", "doctest", "pdb", "runpy", "symtable", "timeit"})
