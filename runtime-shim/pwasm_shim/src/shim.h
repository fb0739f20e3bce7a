/* What the shim's files share. */
#ifndef PWASM_SHIM_H
#define PWASM_SHIM_H

#include "python_abi.h"

/* No C library headers: the shim is linked against CPython's own libc. */
void *malloc(size_t);
void free(void *);
void *memcpy(void *, const void *, size_t);
int strcmp(const char *, const char *);

#define EXPORT(name) __attribute__((export_name(name)))
#define WEAK __attribute__((weak))

enum { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_CRITICAL };
enum { STATUS_OK = 0 };
enum { ACTION_CONTINUE = 0, ACTION_PAUSE = 1 };
enum { STREAM_HTTP_REQUEST, STREAM_HTTP_RESPONSE, STREAM_DOWNSTREAM, STREAM_UPSTREAM };

/* Hostcalls that C code makes itself; the rest is declared in hostcalls.c. A weak undefined function becomes an
   import of the finished module: proxy_… from `env`, wasi_p1_… from `wasi_snapshot_preview1`. */
WEAK uint32_t proxy_log(uint32_t level, const char *message, size_t size);
WEAK uint32_t proxy_close_stream(uint32_t stream);
WEAK uint32_t proxy_send_local_response(uint32_t status, const char *details, size_t details_size, const char *body,
                                        size_t body_size, const char *headers, size_t headers_size, int32_t grpc);
WEAK uint32_t wasi_p1_clock_time_get(uint32_t clock, uint64_t precision, uint64_t *time);
WEAK uint32_t wasi_p1_random_get(uint8_t *buffer, uint32_t size);
WEAK uint32_t wasi_p1_environ_sizes_get(uint32_t *count, uint32_t *size);
WEAK uint32_t wasi_p1_environ_get(char **pointers, char *buffer);

/* hostcalls.c */
extern const PyMethodDef hostcall_methods[];

/* callbacks.c */
PyObject *set_callbacks(PyObject *self, PyObject *const *args, Py_ssize_t count);

/* budget.c: steps of one callback; without a budget nothing counts them. */
void begin_steps(void);
PyObject *set_step_budget(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *renew_steps(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *count_step(PyObject *self, PyObject *const *args, Py_ssize_t count);

/* records.c, streams.c, plans.c, shortcuts.c */
PyObject *prepare(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *accelerate(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *seal(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *find_stream(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *forget_stream(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *keep_stream(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *count_streams(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *shortcut(PyObject *self, PyObject *const *args, Py_ssize_t count);

/* wasi.c: writes what print() left without a newline; called when a callback ends. */
void flush_standard_streams(void);
PyObject *reads(PyObject *self, PyObject *const *args, Py_ssize_t count);

#endif
