/* The internals of CPython 3.14 on wasm32 that the shim relies on beyond the stable ABI: all numbers and layouts, and
   functions of the unstable API. tools/check_cpython.py compares each number with the interpreter at hand, as does
   tests/compiler/test_cpython.py; docs/upgrade.md describes how to move to another version. The internals that the
   compiler relies on are in compiler/pwasm_compiler/cpython314.py. */
#ifndef PWASM_CPYTHON_H
#define PWASM_CPYTHON_H

/* Offsets in objects are in words from the start. */

/* Reference counts from this value on mark immortal objects and do not change (32-bit CPython starts them at 1.25 times
   this value). Source: Include/refcount.h. */
enum { IMMORTAL = 1 << 30 };

/* An instance with inline values (Objects/object_layout.md):

       weak references, dict, two words of the collector | count, type | head, values of the attributes …

   The head contains the number of attributes, and in its first byte the capacity. */
enum { WEAK_REFERENCES = -4, DICT = -3, HEAD = 2, ROOM = 0xff };

/* `PyTypeObject.tp_flags`, and two flags in it: instances are as above; the attributes of the type do not change.
   Source: Include/cpython/object.h, Include/object.h. */
enum { FLAGS_WORD = 21, INLINE_VALUES = 1 << 2, IMMUTABLE_TYPE = 1 << 8 };

/* `PyThreadState.eval_breaker`, in words, and the event that is for builds without the GIL only. Source:
   Include/cpython/pystate.h, Include/internal/pycore_ceval.h (_PY_EVAL_EXPLICIT_MERGE_BIT). */
enum { EVAL_BREAKER = 3, EVAL_UNUSED_EVENT = 1 << 6 };

/* `PyMethodDescrObject.d_method`: the definition of a method of a type in C, in words. Calls read the function in it
   each time. Source: Include/cpython/descrobject.h. */
enum { METHOD_DEFINITION = 5 };

struct PyObject;

typedef int (*watcher)(struct PyObject *type);
int PyType_AddWatcher(watcher);
int PyType_Watch(int watcher, struct PyObject *type);
int PyUnstable_Type_AssignVersionTag(struct PyObject *type); /* without one, watchers are not notified */
void _Py_Dealloc(struct PyObject *);
struct PyObject *PyFrame_GetBack(struct PyObject *frame);
int PyFrame_GetLasti(struct PyObject *frame);

#endif
