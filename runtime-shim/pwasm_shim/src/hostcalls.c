/* Every hostcall as a Python function, in the order of the ABI table (sdk/pwasm/_abi.py; the two are compared by
   tests/abi/test_views_agree.py). A hostcall without results returns its status; one with results returns
   (status, result, ...), where the results are 0 or b"" unless the status is 0.

   What the host returns is in memory that it allocated with our malloc: one copy from there into the Python object,
   then it is freed. `malloc` is libc's and never enters Python: Envoy kills the VM for a hostcall made inside it. */

#include "shim.h"

WEAK uint32_t proxy_get_log_level(uint32_t *level);
WEAK uint32_t proxy_get_status(uint32_t *code, char **message, size_t *message_size);
WEAK uint32_t proxy_set_property(const char *path, size_t path_size, const char *value, size_t value_size);
WEAK uint32_t proxy_get_property(const char *path, size_t path_size, char **value, size_t *value_size);
WEAK uint32_t proxy_continue_stream(uint32_t stream_type);
WEAK uint32_t proxy_get_shared_data(const char *key, size_t key_size, char **value, size_t *value_size, uint32_t *cas);
WEAK uint32_t proxy_set_shared_data(const char *key, size_t key_size, const char *value, size_t value_size, uint32_t cas);
WEAK uint32_t proxy_register_shared_queue(const char *name, size_t name_size, uint32_t *token);
WEAK uint32_t proxy_resolve_shared_queue(const char *vm_id, size_t vm_id_size, const char *name, size_t name_size, uint32_t *token);
WEAK uint32_t proxy_enqueue_shared_queue(uint32_t token, const char *data, size_t data_size);
WEAK uint32_t proxy_dequeue_shared_queue(uint32_t token, char **data, size_t *data_size);
WEAK uint32_t proxy_get_header_map_value(uint32_t map_type, const char *key, size_t key_size, char **value, size_t *value_size);
WEAK uint32_t proxy_add_header_map_value(uint32_t map_type, const char *key, size_t key_size, const char *value, size_t value_size);
WEAK uint32_t proxy_replace_header_map_value(uint32_t map_type, const char *key, size_t key_size, const char *value, size_t value_size);
WEAK uint32_t proxy_remove_header_map_value(uint32_t map_type, const char *key, size_t key_size);
WEAK uint32_t proxy_get_header_map_pairs(uint32_t map_type, char **pairs, size_t *pairs_size);
WEAK uint32_t proxy_set_header_map_pairs(uint32_t map_type, const char *pairs, size_t pairs_size);
WEAK uint32_t proxy_get_header_map_size(uint32_t map_type, uint32_t *size);
WEAK uint32_t proxy_get_buffer_status(uint32_t buffer_type, uint32_t *size, uint32_t *flags);
WEAK uint32_t proxy_get_buffer_bytes(uint32_t buffer_type, uint32_t start, uint32_t max_size, char **data, size_t *data_size);
WEAK uint32_t proxy_set_buffer_bytes(uint32_t buffer_type, uint32_t start, uint32_t size, const char *data, size_t data_size);
WEAK uint32_t proxy_http_call(const char *cluster, size_t cluster_size, const char *headers, size_t headers_size, const char *body, size_t body_size, const char *trailers, size_t trailers_size, uint32_t timeout_milliseconds, uint32_t *token);
WEAK uint32_t proxy_grpc_call(const char *cluster, size_t cluster_size, const char *service, size_t service_size, const char *method, size_t method_size, const char *initial_metadata, size_t initial_metadata_size, const char *message, size_t message_size, uint32_t timeout_milliseconds, uint32_t *token);
WEAK uint32_t proxy_grpc_stream(const char *cluster, size_t cluster_size, const char *service, size_t service_size, const char *method, size_t method_size, const char *initial_metadata, size_t initial_metadata_size, uint32_t *token);
WEAK uint32_t proxy_grpc_send(uint32_t token, const char *message, size_t message_size, uint32_t end_of_stream);
WEAK uint32_t proxy_grpc_close(uint32_t token);
WEAK uint32_t proxy_grpc_cancel(uint32_t token);
WEAK uint32_t proxy_set_tick_period_milliseconds(uint32_t milliseconds);
WEAK uint32_t proxy_get_current_time_nanoseconds(uint64_t *nanoseconds);
WEAK uint32_t proxy_define_metric(uint32_t metric_type, const char *name, size_t name_size, uint32_t *metric_id);
WEAK uint32_t proxy_increment_metric(uint32_t metric_id, int64_t offset);
WEAK uint32_t proxy_record_metric(uint32_t metric_id, int64_t value);
WEAK uint32_t proxy_get_metric(uint32_t metric_id, uint64_t *value);
WEAK uint32_t proxy_set_effective_context(uint32_t context_id);
WEAK uint32_t proxy_done(void);
WEAK uint32_t proxy_call_foreign_function(const char *name, size_t name_size, const char *arguments, size_t arguments_size, char **result, size_t *result_size);

/* Arguments. Bytes are borrowed; text is str (as UTF-8, lone surrogates as the bytes they stand for) or bytes. */

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
  static PyObject *py_##name(PyObject *self, PyObject *const *args, Py_ssize_t count);                 \
  static PyObject *call_##name(PyObject *const *args);                                                 \
  static PyObject *py_##name(PyObject *self, PyObject *const *args, Py_ssize_t count) {                \
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
#define BYTES(index, name)     \
  slice name = {NULL, 0, NULL}; \
  if (!as_bytes(args[index], &name)) return NULL
#define TEXT(index, name)                                            \
  __attribute__((cleanup(release))) slice name = {NULL, 0, NULL};    \
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

HOSTCALL(proxy_log, 2) {
  U32(0, level);
  TEXT(1, message);
  uint32_t status = proxy_log(level, message.data, message.size);
  return PyLong_FromUnsignedLong(status);
}

HOSTCALL(proxy_get_log_level, 0) {
  uint32_t level = 0;
  uint32_t status = proxy_get_log_level(&level);
  return results(status, PyLong_FromUnsignedLong(level), NULL);
}

HOSTCALL(proxy_get_status, 0) {
  uint32_t code = 0;
  BUFFER(message);
  uint32_t status = proxy_get_status(&code, &message.data, &message.size);
  return results(status, PyLong_FromUnsignedLong(code), take_buffer(status, message));
}

HOSTCALL(proxy_set_property, 2) {
  BYTES(0, path);
  BYTES(1, value);
  uint32_t status = proxy_set_property(path.data, path.size, value.data, value.size);
  return PyLong_FromUnsignedLong(status);
}

HOSTCALL(proxy_get_property, 1) {
  BYTES(0, path);
  BUFFER(value);
  uint32_t status = proxy_get_property(path.data, path.size, &value.data, &value.size);
  return results(status, take_buffer(status, value), NULL);
}

HOSTCALL(proxy_continue_stream, 1) {
  U32(0, stream_type);
  uint32_t status = proxy_continue_stream(stream_type);
  return PyLong_FromUnsignedLong(status);
}

HOSTCALL(proxy_close_stream, 1) {
  U32(0, stream_type);
  uint32_t status = proxy_close_stream(stream_type);
  return PyLong_FromUnsignedLong(status);
}

HOSTCALL(proxy_send_local_response, 5) {
  U32(0, status_code);
  TEXT(1, details);
  BYTES(2, body);
  BYTES(3, headers);
  I32(4, grpc_status);
  uint32_t status = proxy_send_local_response(status_code, details.data, details.size, body.data, body.size, headers.data, headers.size, grpc_status);
  return PyLong_FromUnsignedLong(status);
}

HOSTCALL(proxy_get_shared_data, 1) {
  TEXT(0, key);
  BUFFER(value);
  uint32_t cas = 0;
  uint32_t status = proxy_get_shared_data(key.data, key.size, &value.data, &value.size, &cas);
  return results(status, take_buffer(status, value), PyLong_FromUnsignedLong(cas));
}

HOSTCALL(proxy_set_shared_data, 3) {
  TEXT(0, key);
  BYTES(1, value);
  U32(2, cas);
  uint32_t status = proxy_set_shared_data(key.data, key.size, value.data, value.size, cas);
  return PyLong_FromUnsignedLong(status);
}

HOSTCALL(proxy_register_shared_queue, 1) {
  TEXT(0, name);
  uint32_t token = 0;
  uint32_t status = proxy_register_shared_queue(name.data, name.size, &token);
  return results(status, PyLong_FromUnsignedLong(token), NULL);
}

HOSTCALL(proxy_resolve_shared_queue, 2) {
  TEXT(0, vm_id);
  TEXT(1, name);
  uint32_t token = 0;
  uint32_t status = proxy_resolve_shared_queue(vm_id.data, vm_id.size, name.data, name.size, &token);
  return results(status, PyLong_FromUnsignedLong(token), NULL);
}

HOSTCALL(proxy_enqueue_shared_queue, 2) {
  U32(0, token);
  BYTES(1, data);
  uint32_t status = proxy_enqueue_shared_queue(token, data.data, data.size);
  return PyLong_FromUnsignedLong(status);
}

HOSTCALL(proxy_dequeue_shared_queue, 1) {
  U32(0, token);
  BUFFER(data);
  uint32_t status = proxy_dequeue_shared_queue(token, &data.data, &data.size);
  return results(status, take_buffer(status, data), NULL);
}

HOSTCALL(proxy_get_header_map_value, 2) {
  U32(0, map_type);
  TEXT(1, key);
  BUFFER(value);
  uint32_t status = proxy_get_header_map_value(map_type, key.data, key.size, &value.data, &value.size);
  return results(status, take_buffer(status, value), NULL);
}

HOSTCALL(proxy_add_header_map_value, 3) {
  U32(0, map_type);
  TEXT(1, key);
  TEXT(2, value);
  uint32_t status = proxy_add_header_map_value(map_type, key.data, key.size, value.data, value.size);
  return PyLong_FromUnsignedLong(status);
}

HOSTCALL(proxy_replace_header_map_value, 3) {
  U32(0, map_type);
  TEXT(1, key);
  TEXT(2, value);
  uint32_t status = proxy_replace_header_map_value(map_type, key.data, key.size, value.data, value.size);
  return PyLong_FromUnsignedLong(status);
}

HOSTCALL(proxy_remove_header_map_value, 2) {
  U32(0, map_type);
  TEXT(1, key);
  uint32_t status = proxy_remove_header_map_value(map_type, key.data, key.size);
  return PyLong_FromUnsignedLong(status);
}

HOSTCALL(proxy_get_header_map_pairs, 1) {
  U32(0, map_type);
  BUFFER(pairs);
  uint32_t status = proxy_get_header_map_pairs(map_type, &pairs.data, &pairs.size);
  return results(status, take_buffer(status, pairs), NULL);
}

HOSTCALL(proxy_set_header_map_pairs, 2) {
  U32(0, map_type);
  BYTES(1, pairs);
  uint32_t status = proxy_set_header_map_pairs(map_type, pairs.data, pairs.size);
  return PyLong_FromUnsignedLong(status);
}

HOSTCALL(proxy_get_header_map_size, 1) {
  U32(0, map_type);
  uint32_t size = 0;
  uint32_t status = proxy_get_header_map_size(map_type, &size);
  return results(status, PyLong_FromUnsignedLong(size), NULL);
}

HOSTCALL(proxy_get_buffer_status, 1) {
  U32(0, buffer_type);
  uint32_t size = 0;
  uint32_t flags = 0;
  uint32_t status = proxy_get_buffer_status(buffer_type, &size, &flags);
  return results(status, PyLong_FromUnsignedLong(size), PyLong_FromUnsignedLong(flags));
}

HOSTCALL(proxy_get_buffer_bytes, 3) {
  U32(0, buffer_type);
  U32(1, start);
  U32(2, max_size);
  BUFFER(data);
  uint32_t status = proxy_get_buffer_bytes(buffer_type, start, max_size, &data.data, &data.size);
  return results(status, take_buffer(status, data), NULL);
}

HOSTCALL(proxy_set_buffer_bytes, 4) {
  U32(0, buffer_type);
  U32(1, start);
  U32(2, size);
  BYTES(3, data);
  uint32_t status = proxy_set_buffer_bytes(buffer_type, start, size, data.data, data.size);
  return PyLong_FromUnsignedLong(status);
}

HOSTCALL(proxy_http_call, 5) {
  TEXT(0, cluster);
  BYTES(1, headers);
  BYTES(2, body);
  BYTES(3, trailers);
  U32(4, timeout_milliseconds);
  uint32_t token = 0;
  uint32_t status = proxy_http_call(cluster.data, cluster.size, headers.data, headers.size, body.data, body.size, trailers.data, trailers.size, timeout_milliseconds, &token);
  return results(status, PyLong_FromUnsignedLong(token), NULL);
}

HOSTCALL(proxy_grpc_call, 6) {
  BYTES(0, cluster);
  TEXT(1, service);
  TEXT(2, method);
  BYTES(3, initial_metadata);
  BYTES(4, message);
  U32(5, timeout_milliseconds);
  uint32_t token = 0;
  uint32_t status = proxy_grpc_call(cluster.data, cluster.size, service.data, service.size, method.data, method.size, initial_metadata.data, initial_metadata.size, message.data, message.size, timeout_milliseconds, &token);
  return results(status, PyLong_FromUnsignedLong(token), NULL);
}

HOSTCALL(proxy_grpc_stream, 4) {
  BYTES(0, cluster);
  TEXT(1, service);
  TEXT(2, method);
  BYTES(3, initial_metadata);
  uint32_t token = 0;
  uint32_t status = proxy_grpc_stream(cluster.data, cluster.size, service.data, service.size, method.data, method.size, initial_metadata.data, initial_metadata.size, &token);
  return results(status, PyLong_FromUnsignedLong(token), NULL);
}

HOSTCALL(proxy_grpc_send, 3) {
  U32(0, token);
  BYTES(1, message);
  BOOL(2, end_of_stream);
  uint32_t status = proxy_grpc_send(token, message.data, message.size, end_of_stream);
  return PyLong_FromUnsignedLong(status);
}

HOSTCALL(proxy_grpc_close, 1) {
  U32(0, token);
  uint32_t status = proxy_grpc_close(token);
  return PyLong_FromUnsignedLong(status);
}

HOSTCALL(proxy_grpc_cancel, 1) {
  U32(0, token);
  uint32_t status = proxy_grpc_cancel(token);
  return PyLong_FromUnsignedLong(status);
}

HOSTCALL(proxy_set_tick_period_milliseconds, 1) {
  U32(0, milliseconds);
  uint32_t status = proxy_set_tick_period_milliseconds(milliseconds);
  return PyLong_FromUnsignedLong(status);
}

HOSTCALL(proxy_get_current_time_nanoseconds, 0) {
  uint64_t nanoseconds = 0;
  uint32_t status = proxy_get_current_time_nanoseconds(&nanoseconds);
  return results(status, PyLong_FromUnsignedLongLong(nanoseconds), NULL);
}

HOSTCALL(proxy_define_metric, 2) {
  U32(0, metric_type);
  TEXT(1, name);
  uint32_t metric_id = 0;
  uint32_t status = proxy_define_metric(metric_type, name.data, name.size, &metric_id);
  return results(status, PyLong_FromUnsignedLong(metric_id), NULL);
}

HOSTCALL(proxy_increment_metric, 2) {
  U32(0, metric_id);
  I64(1, offset);
  uint32_t status = proxy_increment_metric(metric_id, offset);
  return PyLong_FromUnsignedLong(status);
}

HOSTCALL(proxy_record_metric, 2) {
  U32(0, metric_id);
  I64(1, value);
  uint32_t status = proxy_record_metric(metric_id, value);
  return PyLong_FromUnsignedLong(status);
}

HOSTCALL(proxy_get_metric, 1) {
  U32(0, metric_id);
  uint64_t value = 0;
  uint32_t status = proxy_get_metric(metric_id, &value);
  return results(status, PyLong_FromUnsignedLongLong(value), NULL);
}

HOSTCALL(proxy_set_effective_context, 1) {
  U32(0, context_id);
  uint32_t status = proxy_set_effective_context(context_id);
  return PyLong_FromUnsignedLong(status);
}

HOSTCALL(proxy_done, 0) {
  uint32_t status = proxy_done();
  return PyLong_FromUnsignedLong(status);
}

HOSTCALL(proxy_call_foreign_function, 2) {
  TEXT(0, name);
  BYTES(1, arguments);
  BUFFER(result);
  uint32_t status = proxy_call_foreign_function(name.data, name.size, arguments.data, arguments.size, &result.data, &result.size);
  return results(status, take_buffer(status, result), NULL);
}

#define METHOD(name) {#name, py_##name, METH_FASTCALL, NULL}

const PyMethodDef hostcall_methods[] = {
    METHOD(proxy_log),
    METHOD(proxy_get_log_level),
    METHOD(proxy_get_status),
    METHOD(proxy_set_property),
    METHOD(proxy_get_property),
    METHOD(proxy_continue_stream),
    METHOD(proxy_close_stream),
    METHOD(proxy_send_local_response),
    METHOD(proxy_get_shared_data),
    METHOD(proxy_set_shared_data),
    METHOD(proxy_register_shared_queue),
    METHOD(proxy_resolve_shared_queue),
    METHOD(proxy_enqueue_shared_queue),
    METHOD(proxy_dequeue_shared_queue),
    METHOD(proxy_get_header_map_value),
    METHOD(proxy_add_header_map_value),
    METHOD(proxy_replace_header_map_value),
    METHOD(proxy_remove_header_map_value),
    METHOD(proxy_get_header_map_pairs),
    METHOD(proxy_set_header_map_pairs),
    METHOD(proxy_get_header_map_size),
    METHOD(proxy_get_buffer_status),
    METHOD(proxy_get_buffer_bytes),
    METHOD(proxy_set_buffer_bytes),
    METHOD(proxy_http_call),
    METHOD(proxy_grpc_call),
    METHOD(proxy_grpc_stream),
    METHOD(proxy_grpc_send),
    METHOD(proxy_grpc_close),
    METHOD(proxy_grpc_cancel),
    METHOD(proxy_set_tick_period_milliseconds),
    METHOD(proxy_get_current_time_nanoseconds),
    METHOD(proxy_define_metric),
    METHOD(proxy_increment_metric),
    METHOD(proxy_record_metric),
    METHOD(proxy_get_metric),
    METHOD(proxy_set_effective_context),
    METHOD(proxy_done),
    METHOD(proxy_call_foreign_function),
    {NULL, NULL, 0, NULL},
};
