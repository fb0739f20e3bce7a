/* Every hostcall as a Python function `py_proxy_…`. A hostcall without results returns its status; one with results
   returns (status, result, ...), where the results are 0 or b"" unless the status is 0. The functions follow from the
   ABI table (sdk/pwasm/_abi.py), so they are generated; this file has their building blocks.

   The host returns bytes in memory that it allocates with our malloc: they are copied once, into the Python object, and
   then freed. `malloc` is libc's and never enters Python: Envoy ends the VM if a hostcall is made inside it. */

#include "shim.h"

/* Arguments. Bytes are borrowed; text is str (as UTF-8, lone surrogates as the bytes they escape) or bytes. */

typedef struct {
  const char *data;
  Py_ssize_t size;
  PyObject *owner; /* a temporary object, or NULL */
} slice;

static void release(slice *text) {
  if (text->owner) Py_DecRef(text->owner);
}

static int as_u32(PyObject *object, uint32_t *value) {
  *value = PyLong_AsUnsignedLong(object);
  return *value != UINT32_MAX || !PyErr_Occurred();
}

static int as_i32(PyObject *object, int32_t *value) {
  *value = PyLong_AsLong(object);
  return *value != -1 || !PyErr_Occurred();
}

static int as_i64(PyObject *object, int64_t *value) {
  *value = PyLong_AsLongLong(object);
  return *value != -1 || !PyErr_Occurred();
}

static int as_bytes(PyObject *object, slice *value) {
  return PyBytes_AsStringAndSize(object, (char **)&value->data, &value->size) == 0;
}

static int as_text(PyObject *object, slice *value) {
  value->data = PyUnicode_AsUTF8AndSize(object, &value->size);
  if (value->data) return 1;
  PyErr_Clear(); /* not a str, or one with lone surrogates */
  if (as_bytes(object, value)) return 1;
  PyErr_Clear();
  value->owner = PyUnicode_AsEncodedString(object, "utf-8", "surrogateescape");
  return value->owner && as_bytes(value->owner, value);
}

#define HOSTCALL(name, parameters)                                                                     \
  static PyObject *call_##name(PyObject *const *args);                                                 \
  PyObject *py_##name(PyObject *self, PyObject *const *args, Py_ssize_t count) {                       \
    (void)self;                                                                                        \
    if (count != (parameters))                                                                         \
      return PyErr_Format(PyExc_TypeError, #name " takes %d arguments, %zd given", parameters, count); \
    return call_##name(args);                                                                          \
  }                                                                                                    \
  static PyObject *call_##name(__attribute__((unused)) PyObject *const *args)

#define U32(index, name) \
  uint32_t name;         \
  if (!as_u32(args[index], &name)) return NULL
#define I32(index, name) \
  int32_t name;          \
  if (!as_i32(args[index], &name)) return NULL
#define I64(index, name) \
  int64_t name;          \
  if (!as_i64(args[index], &name)) return NULL
#define BOOL(index, name) uint32_t name = PyObject_IsTrue(args[index]) > 0
#define BYTES(index, name)      \
  slice name = {NULL, 0, NULL}; \
  if (!as_bytes(args[index], &name)) return NULL
#define TEXT(index, name)                                         \
  __attribute__((cleanup(release))) slice name = {NULL, 0, NULL}; \
  if (!as_text(args[index], &name)) return NULL

/* Results. */

typedef struct {
  char *data;
  size_t size;
} buffer;

#define BUFFER(name) buffer name = {NULL, 0}

static PyObject *take_buffer(uint32_t status, buffer taken) {
  /* A host may leave the pointer null for an empty value, with status OK. */
  int filled = status == STATUS_OK && taken.data;
  PyObject *object = PyBytes_FromStringAndSize(filled ? taken.data : NULL, filled ? (Py_ssize_t)taken.size : 0);
  free(taken.data);
  return object;
}

static PyObject *results(uint32_t status, PyObject *first, PyObject *second) {
  PyObject *tuple = first ? PyTuple_New(second ? 3 : 2) : NULL;
  if (!tuple) {
    if (first) Py_DecRef(first);
    if (second) Py_DecRef(second);
    return NULL;
  }
  PyTuple_SetItem(tuple, 0, PyLong_FromUnsignedLong(status));
  PyTuple_SetItem(tuple, 1, first);
  if (second) PyTuple_SetItem(tuple, 2, second);
  return tuple;
}

#include "hostcalls.inc"
