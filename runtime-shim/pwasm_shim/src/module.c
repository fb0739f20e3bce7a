/* The extension module `_pwasm_shim`: hostcalls as functions, and what the SDK needs at build and start-up. */

#include "shim.h"

/* What the SDK tells the linker: address and size of a JSON document in the snapshot. The linker finds this
   variable by its export; nothing reads it at run time. */
__attribute__((visibility("default"))) struct {
  const char *data;
  uint32_t size;
} pwasm_build_record;

/* set_build_record(record: bytes) -> None */
static PyObject *set_build_record(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  char *data;
  Py_ssize_t size;
  (void)self;
  if (count != 1) return PyErr_Format(PyExc_TypeError, "set_build_record takes one argument");
  if (PyBytes_AsStringAndSize(args[0], &data, &size) < 0) return NULL;
  Py_IncRef(args[0]); /* it stays in memory for as long as the module does */
  pwasm_build_record.data = data;
  pwasm_build_record.size = size;
  return PyBool_FromLong(1);
}

/* environment() -> bytes: NUL-terminated `NAME=value` strings, from Envoy's environment_variables.
   libc's own copy is the build machine's. */
static PyObject *environment(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  uint32_t entries = 0, size = 0;
  (void)self, (void)args, (void)count;
  if (wasi_p1_environ_sizes_get(&entries, &size) != STATUS_OK || entries == 0)
    return PyBytes_FromStringAndSize(NULL, 0);
  char **pointers = malloc(entries * sizeof(char *));
  char *buffer = malloc(size);
  PyObject *result;
  if (pointers && buffer && wasi_p1_environ_get(pointers, buffer) == STATUS_OK)
    result = PyBytes_FromStringAndSize(buffer, size);
  else
    result = PyBytes_FromStringAndSize(NULL, 0);
  free(pointers);
  free(buffer);
  return result;
}

static PyMethodDef methods[64] = {
    {"set_callbacks", set_callbacks, METH_FASTCALL, NULL},
    {"set_build_record", set_build_record, METH_FASTCALL, NULL},
    {"environment", environment, METH_FASTCALL, NULL},
    {"set_step_budget", set_step_budget, METH_FASTCALL, NULL},
    {"renew_steps", renew_steps, METH_FASTCALL, NULL},
    {"count_step", count_step, METH_FASTCALL, NULL},
    {"reads", reads, METH_FASTCALL, NULL},
    {"prepare", prepare, METH_FASTCALL, NULL},
    {"accelerate", accelerate, METH_FASTCALL, NULL},
    {"find_stream", find_stream, METH_FASTCALL, NULL},
    {"forget_stream", forget_stream, METH_FASTCALL, NULL},
    {"keep_stream", keep_stream, METH_FASTCALL, NULL},
    {"count_streams", count_streams, METH_FASTCALL, NULL},
    {"shortcut", shortcut, METH_FASTCALL, NULL},
    {"seal", seal, METH_FASTCALL, NULL},
};
enum { OWN_METHODS = 15 };

static PyModuleDef definition = {.refcount = 1, .name = "_pwasm_shim", .size = -1, .methods = methods};

__attribute__((visibility("default"))) PyObject *PyInit__pwasm_shim(void) {
  for (int i = 0; hostcall_methods[i].name; i++) methods[OWN_METHODS + i] = hostcall_methods[i];
  return PyModule_Create2(&definition, PYTHON_ABI_VERSION);
}

/* The mark by which a host recognises the ABI; never called. */
EXPORT("proxy_abi_version_0_2_1") void proxy_abi_version_0_2_1(void) {}
