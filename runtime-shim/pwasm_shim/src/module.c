/* The extension module `_pwasm_shim`: hostcalls as functions, and functions for the build and the start of a VM. */

#include "shim.h"

/* The SDK's record for the linker: address and size of a text in the snapshot (sdk/pwasm/_guest/freeze.py). The linker
   finds this variable by its export; nothing reads it at run time. */
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
  Py_IncRef(args[0]); /* it stays in memory as long as the module exists */
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
  else result = PyBytes_FromStringAndSize(NULL, 0);
  free(pointers);
  free(buffer);
  return result;
}

#define METHOD(name) {#name, name, METH_FASTCALL, NULL}
#define HOSTCALL(name) {#name, py_##name, METH_FASTCALL, NULL}

static const PyMethodDef methods[] = {
    METHOD(set_callbacks),   METHOD(set_build_record),  METHOD(environment),        METHOD(set_step_budget),
    METHOD(renew_steps),     METHOD(count_step),        METHOD(set_time_budget),    METHOD(watch_reads),
    METHOD(bind_records),    METHOD(take_over_streams), METHOD(find_stream),        METHOD(forget_stream),
    METHOD(keep_stream),     METHOD(count_streams),     METHOD(memory_size),        METHOD(make_shortcut),
    METHOD(make_immutable),  METHOD(watch_draws),       METHOD(generators_changed), METHOD(ignore_request_headers),
    EACH_HOSTCALL(HOSTCALL), {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {.refcount = 1, .name = "_pwasm_shim", .size = -1, .methods = methods};

__attribute__((visibility("default"))) PyObject *PyInit__pwasm_shim(void) {
  return PyModule_Create2(&definition, PYTHON_ABI_VERSION);
}

/* The marker by which a host recognizes the ABI; never called. */
EXPORT(ABI_VERSION_MARKER) void abi_version_marker(void) {}
