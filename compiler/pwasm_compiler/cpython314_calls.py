"""How functions of CPython fail, and which of their calls need no check against recursion: for `link.passes.guards`.

What a function returns with an exception set follows from where static data holds it: a slot of a type, a method, a
getter. For other functions it is written down here by name, from their declarations. Names that need neither are in
`BOUNDED`, with the reason. `tools/check_cpython.py` compares all of it with the actual interpreter.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


def _words(text: str) -> list[str]:
    return text.split()


NULL: Final = 0
"""Also 0 for the few functions that return an int and 0 for failure."""
ERROR: Final = -1
NOTHING: Final = None
"""The function cannot fail, so it gets no guard: what it calls in turn is checked, or ends (`ROLES`)."""

# --- roles: what static data says ------------------------------------------------------------------------------------

_AWAIT = _words("am_await am_aiter am_anext am_send")
_NUMBER = _words(
    """
    nb_add nb_subtract nb_multiply nb_remainder nb_divmod nb_power nb_negative nb_positive nb_absolute nb_bool nb_invert
    nb_lshift nb_rshift nb_and nb_xor nb_or nb_int nb_reserved nb_float nb_inplace_add nb_inplace_subtract
    nb_inplace_multiply nb_inplace_remainder nb_inplace_power nb_inplace_lshift nb_inplace_rshift nb_inplace_and
    nb_inplace_xor nb_inplace_or nb_floor_divide nb_true_divide nb_inplace_floor_divide nb_inplace_true_divide nb_index
    nb_matrix_multiply nb_inplace_matrix_multiply
    """
)
_MAPPING = _words("mp_length mp_subscript mp_ass_subscript")
_SEQUENCE = _words(
    """
    sq_length sq_concat sq_repeat sq_item sq_slice sq_ass_item sq_ass_slice sq_contains sq_inplace_concat
    sq_inplace_repeat
    """
)
_BUFFER = _words("bf_getbuffer bf_releasebuffer")

TYPE_SIZE = 208
TYPE_NAME, TYPE_BASIC_SIZE = 12, 16
TYPE_FUNCTIONS: Mapping[int, str] = {
    24: "tp_dealloc", 32: "tp_getattr", 36: "tp_setattr", 44: "tp_repr", 60: "tp_hash", 64: "tp_call", 68: "tp_str",
    72: "tp_getattro", 76: "tp_setattro", 92: "tp_traverse", 96: "tp_clear", 100: "tp_richcompare", 108: "tp_iter",
    112: "tp_iternext", 136: "tp_descr_get", 140: "tp_descr_set", 148: "tp_init", 152: "tp_alloc", 156: "tp_new",
    160: "tp_free", 164: "tp_is_gc", 188: "tp_del", 196: "tp_finalize", 200: "tp_vectorcall",
}  # fmt: skip
"""Offsets in a PyTypeObject (Include/cpython/object.h)."""
TYPE_SUITES: Mapping[int, list[str]] = {40: _AWAIT, 48: _NUMBER, 52: _SEQUENCE, 56: _MAPPING, 80: _BUFFER}
"""Offsets of the pointers to tables of further functions."""
TYPE_POINTERS = frozenset({4, 12, 40, 48, 52, 56, 80, 88, 116, 120, 124, 128, 132, 168, 172, 176, 180, 184})
"""Offsets of all that is a pointer to data, or 0."""
HEAP_TYPE: Mapping[int, str] = dict(
    zip(range(TYPE_SIZE, 512, 4), [*_AWAIT, *_NUMBER, *_MAPPING, *_SEQUENCE, *_BUFFER], strict=False)
)
"""Offsets in a PyHeapTypeObject behind the type: what `slotdefs` in Objects/typeobject.c refers to."""

_SLOTS = _words(
    """
    bf_getbuffer bf_releasebuffer mp_ass_subscript mp_length mp_subscript nb_absolute nb_add nb_and nb_bool nb_divmod
    nb_float nb_floor_divide nb_index nb_inplace_add nb_inplace_and nb_inplace_floor_divide nb_inplace_lshift
    nb_inplace_multiply nb_inplace_or nb_inplace_power nb_inplace_remainder nb_inplace_rshift nb_inplace_subtract
    nb_inplace_true_divide nb_inplace_xor nb_int nb_invert nb_lshift nb_multiply nb_negative nb_or nb_positive nb_power
    nb_remainder nb_rshift nb_subtract nb_true_divide nb_xor sq_ass_item sq_concat sq_contains sq_inplace_concat
    sq_inplace_repeat sq_item sq_length sq_repeat tp_alloc tp_base tp_bases tp_call tp_clear tp_dealloc tp_del
    tp_descr_get tp_descr_set tp_doc tp_getattr tp_getattro tp_hash tp_init tp_is_gc tp_iter tp_iternext tp_methods
    tp_new tp_repr tp_richcompare tp_setattr tp_setattro tp_str tp_traverse tp_members tp_getset tp_free
    nb_matrix_multiply nb_inplace_matrix_multiply am_await am_aiter am_anext tp_finalize am_send tp_vectorcall tp_token
    """
)
SLOTS: Mapping[int, str] = dict(enumerate(_SLOTS, start=1))
"""Numbers in a PyType_Slot (Include/typeslots.h)."""
MODULE_SLOTS: Mapping[int, str] = {1: "module_create", 2: "module_exec"}
"""Numbers in a PyModuleDef_Slot, which has the same shape (Include/moduleobject.h)."""
MODULE_SIZE, MODULE_NAME = struct.Struct("<28xi"), 20
MODULE_POINTERS, MODULE_NUMBERS = (24, 32, 36), (0, 4, 8, 12, 16, 28)
MODULE_FUNCTIONS: Mapping[int, str] = {40: "module_traverse", 44: "module_clear", 48: "module_free"}
"""Offsets in a PyModuleDef (Include/moduleobject.h): its size and name, what is data or 0, what is no pointer, and its
functions."""
METHOD_FLAGS = range(1, 0x400)
"""What `ml_flags` of a PyMethodDef can be (Include/methodobject.h)."""

ARGUMENTS: Mapping[str, range] = {
    "getter": range(2, 3), "setter": range(3, 4), "method": range(2, 6), "wrapper": range(3, 5),
    "module_traverse": range(3, 4), "module_clear": range(1, 2), "module_free": range(1, 2),
}  # fmt: skip
"""How many a function of these roles has: their objects have few marks. All but `module_free` return something."""

_SETS = _words(
    """
    setter tp_setattr tp_setattro tp_hash tp_init tp_descr_set nb_bool sq_length sq_ass_item sq_contains mp_length
    mp_ass_subscript bf_getbuffer am_send module_exec
    """
)
_ENDS = _words(
    """
    tp_dealloc tp_traverse tp_clear tp_free tp_del tp_finalize tp_is_gc bf_releasebuffer module_traverse module_clear
    module_free
    """
)
ROLES: Mapping[str, int | None] = {
    # all others return a pointer, or 0 for failure
    **dict.fromkeys(_SETS, ERROR),
    **dict.fromkeys(_ENDS, NOTHING),
}
"""What a function of a role returns with an exception set. Those with NOTHING end: deallocation passes `_Py_Dealloc`,
which compares the stack pointer and defers what is nested too deep; the collector visits without recursion."""

# --- names -----------------------------------------------------------------------------------------------------------

_POINTERS = _words(
    """
    PyEval_EvalCode PyEval_EvalCodeEx PyImport_ImportModuleLevelObject PyIter_Next PyNumber_Absolute PyNumber_Add
    PyNumber_Float PyNumber_InPlaceAdd PyNumber_InPlaceMultiply PyNumber_InPlacePower PyNumber_Invert PyNumber_Long
    PyNumber_Multiply PyNumber_Negative PyNumber_Positive PyOS_FSPath PyObject_Bytes PyObject_CallNoArgs
    PyObject_CallOneArg PyObject_Dir PyObject_GetAIter PyObject_GetAttr PyObject_GetAttrString PyObject_GetItem
    PyObject_GetIter PyObject_Vectorcall PyObject_VectorcallMethod PySequence_Concat PySequence_Fast PySequence_GetItem
    PySequence_GetSlice PySequence_InPlaceConcat PySequence_Repeat PySequence_Tuple PyType_FromMetaclass
    PyUnicode_FromFormatV _PyCode_ConstantKey _PyCodec_Lookup _PyErr_CreateException _PyEval_Vector
    _PyMarshal_WriteObjectToString _PyNumber_InPlacePowerNoMod _PyNumber_Index _PyObject_Call _PyObject_CallFunctionVa
    _PyObject_CallNoArgs _PyObject_CallNoArgsTstate _PyObject_FunctionStr _PyObject_GenericGetAttrWithDict
    _PyObject_LookupSpecial _PyObject_VectorcallDictTstate _PyVectorcall_Call _Py_make_parameters _Py_subs_parameters
    _gen_throw binary_iop binary_op1 complex_from_string_inner conv_content_model dec_from_long deepcopy do_mkvalue
    ga_vectorcall get_or_create_weakref import_star make_new_set method_vectorcall new_date_ex new_datetime_ex2
    new_delta_ex new_time_ex2 new_timezone object_vacall partial_vectorcall set_intersection statresult_new
    sys_profile_call_or_return sys_profile_return sys_profile_start sys_profile_throw sys_profile_unwind
    sys_trace_exception_func sys_trace_instruction_func sys_trace_jump_func sys_trace_line_func sys_trace_return
    sys_trace_start sys_trace_throw sys_trace_unwind sys_trace_yield ternary_op try_complex_special_method
    vectorcall_maybe vectorcall_method warn_explicit wrap_indexargfunc
    """
)
_ZEROS = _words(
    "_PyObject_GetMethod capi_getucname path_converter vgetargs1_impl vgetargskeywords vgetargskeywordsfast_impl"
)
_ERRORS = _words(
    """
    PyFloat_AsDouble PyModule_ExecDef PyObject_AsFileDescriptor PyObject_DelItem PyObject_GetBuffer
    PyObject_GetOptionalAttr PyObject_GetOptionalAttrString PyObject_Hash PyObject_IsTrue PyObject_LengthHint
    PyObject_Not PyObject_RichCompareBool PyObject_SetAttr PyObject_SetAttrString PyObject_SetItem PyObject_Size
    PySequence_Contains PySequence_DelItem PySequence_SetItem PySequence_Size _PyEval_EnsureBuiltinsWithModule
    _PyObject_GenericSetAttrWithDict _PyObject_IsAbstract _PySequence_IterSearch call_character_handler intern_constants
    list_extend_iter_lock_held merge_class_dict mro_hierarchy mro_internal_unlocked profile_trampoline sys_audit_tstate
    trace_trampoline unicode_decode_call_errorhandler_writer unsafe_object_compare unsafe_tuple_compare
    update_subclasses xmlparse_handler_setter
    """
)
FAILS: Mapping[str, int] = {
    **dict.fromkeys([*_POINTERS, *_ZEROS], NULL),
    **dict.fromkeys(_ERRORS, ERROR),
}
"""What functions without a role return with an exception set. They are guarded where a cycle needs it."""

ALWAYS_GUARDED = _words(
    """
    PyImport_ImportModuleLevelObject PySequence_Fast PyUnicode_FromFormatV _PyCode_ConstantKey _PyCodec_Lookup
    _PyMarshal_WriteObjectToString _PyObject_Call _PyObject_IsAbstract _Py_make_parameters _Py_subs_parameters
    _gen_throw conv_content_model deepcopy intern_constants merge_class_dict mro_hierarchy
    unicode_decode_call_errorhandler_writer update_subclasses warn_explicit
    """
)
"""Functions that call themselves, directly or through others, without the table; and `_PyObject_Call`, which checks on
one of its two ways only."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """Functions whose recursion ends, and why."""

    why: str
    patterns: tuple[re.Pattern[str], ...]


def _bounded(why: str, names: str) -> Bounded:
    return Bounded(why, tuple(re.compile(name) for name in names.split()))


BOUNDED = (
    _bounded(
        "allocators call the C library or themselves, never Python",
        r"_?PyMem_\w+ PyObject_(Malloc|Calloc|Realloc|Free) _PyObject_(VirtualAlloc|VirtualFree|New|NewVar) _?mi_\w+"
        r" _Py_NewReference\w* _?Py_?[Tt]race[Mm]alloc_\w+ _PyTraceMalloc_\w+ tracemalloc_\w+ traceback_new raw_free"
        r" _Py_hashtable_\w+ resize_compact _PyBytes_Resize _PyTuple_Resize _PyCode_New",
    ),
    _bounded(
        "the collector visits what it knows from a list, and never recurses",
        r"PyObject_IS_GC PyObject_GC_Is\w+ _PyGC_\w+ PyUnstable_GC_\w+ gc_\w+ deduce_unreachable visit_\w+ mark_stacks"
        r" _PyFrame_Traverse PyObject_VisitManagedDict sock_capi_traverse structseq_traverse subtype_traverse"
        r" subtype_clear",
    ),
    _bounded(
        "deallocation passes _Py_Dealloc, which checks",
        r"_Py_Dealloc subtype_dealloc PyObject_CallFinalizer\w* PyBuffer_Release _Py_DECREF_INT k_mul maybe_small_long"
        r" long_to_decimal_string_internal _PyTrash_\w+",
    ),
    _bounded(
        "called with C functions only: watchers, pending calls, flags, converters of arguments, the profiler's timer",
        r"_PyDict_SendEvent type_modified_unlocked _PyFunction_FromConstructor PyFunction_NewWithQualName"
        r" PyFunction_Set\w+ _make_pending_calls _PyOnceFlag_CallOnceSlow cleanreturn call_timer Py_HashBuffer"
        r" RotatingTree_Enum statsForEntry statsForSubEntry freeEntry freeSubEntry",
    ),
    _bounded(
        "the start and the end of the interpreter, threads, signals and other interpreters, which a module has not",
        r"_Py_Finalize _PyExc_Fini _PyAtExit_Fini finalize_\w+ _Py_FatalErrorFunc _PyParkingLot_Unpark\w* process_queue"
        r" _PyMutex_LockTimed pythread_wrapper thread_run faulthandler_\w+ _PyMem_DumpTraceback (?i:\w*xidata\w*)"
        r" \w*_shared\w* _new_\w+_object _buffer_release_call _Py_CallInInterpreter\w* _apply_sharedns"
        r" pymain_run_interactive_hook PyOS_StdioReadline PyOS_Readline config_set_sys_flag PyInterpreterState_Delete",
    ),
    _bounded(
        "a look into a table of attributes, by the hash of a str; that of a subclass is a slot, which is guarded",
        r"_PyObject_TryGetInstanceAttribute _PyDictKeys_StringLookup\w* _PyType_LookupRef find_name_in_mro",
    ),
    _bounded(
        "the parser and the compiler count their levels; what the tokenizer reads with is guarded",
        r"\w+_rule _PyPegen_\w+ _Pypegen_\w+ _PyTokenizer_\w+ tok_\w+ lookahead verify_end_of_number fp_setreadl"
        r" codegen_\w+ append_\w+ pattern_helper_\w+ ast_repr_max_depth const_folding_check_complexity analyze_block"
        r" fold_const_match_patterns const_cache_insert PyInstructionSequence_Fini",
    ),
    _bounded(
        "called by expat and SQLite, which only guarded functions call",
        r"expat_\w+ my_\w+Handler func_callback step_callback value_callback inverse_callback final_callback"
        r" trace_callback authorizer_callback progress_callback collation_callback destructor_callback",
    ),
    _bounded(
        "tables of C functions of a codec, or of versions of Unicode",
        r"iso2022_\w+ nfc_nfkc nfd_nfkd unicodedata_\w+ multibytecodec_\w+",
    ),
    _bounded(
        "raising: what fails meanwhile raises an exception that is already there",
        r"_?PyErr_SetString _?PyErr_Format PyErr_FormatV _?PyErr_NoMemory _?PyErr_BadInternalCall _?PyErr_SetObject"
        r" PyErr_FormatUnraisable PyErr_Display PyErr_GivenExceptionMatches _PyType_GetFullyQualifiedName",
    ),
    _bounded(
        "few levels: of a number's or a hash's bits, of a buffer's dimensions, of a format, of marshal's own limit",
        r"hamt_node_\w+ sre_ucs\d_\w+ copy_rec cmp_rec tolist_rec factorial_partial_product perm_comb(_small)?"
        r" vector_norm cmath_atanh_impl convertitem skipitem build_string w_\w+object r_object unionbuilder_add_single"
        r" update_code_filenames",
    ),
    _bounded(
        "once: with an object that was made for it, or that is followed no further",
        r"DirEntry_test_mode os_DirEntry_stat_impl deque_extend\w*_impl bytearray_setslice long_new_impl"
        r" bytearray_ass_subscript_lock_held _validate_inner",
    ),
    _bounded(
        "as many levels as a class has bases one above another: memory holds 8,000 (link/RATIONALE.md)",
        r"type_ready assign_version_tag get_base_by_token_recursive solid_base set_flags_recursive",
    ),
)

LIBRARIES_BEGIN = "mpd_dflt_traphandler"
"""The first function that is linked from the libraries in CPython: libmpdec, expat, zlib and SQLite, which have limits
of their own. Everything after it is theirs."""
CALLS_BACK = re.compile(r"PyExpat_XML_\w+|sqlite3\w+")
"""Their functions that may call back into CPython."""
