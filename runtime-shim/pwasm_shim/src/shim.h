/* Declarations shared by the shim's files. */
#ifndef PWASM_SHIM_H
#define PWASM_SHIM_H

#include "abi.h"
#include "python_abi.h"

/* No C library headers: the shim is linked against CPython's own libc. */
void *malloc(size_t);
void free(void *);
void *memcpy(void *, const void *, size_t);
int memcmp(const void *, const void *, size_t);
int strcmp(const char *, const char *);

#define EXPORT(name) __attribute__((export_name(name)))

/* The host's part of WASI: weak undefined functions as in abi.h, imported from `wasi_snapshot_preview1`. */
WEAK uint32_t wasi_p1_clock_time_get(uint32_t clock, uint64_t precision, uint64_t *time);
WEAK uint32_t wasi_p1_random_get(uint8_t *buffer, uint32_t size);
WEAK uint32_t wasi_p1_environ_sizes_get(uint32_t *count, uint32_t *size);
WEAK uint32_t wasi_p1_environ_get(char **pointers, char *buffer);

/* hostcalls.c: proxy_log is the import, py_proxy_log the function that Python calls. */
#define PY(name) py_##name
fastcall_function EACH_HOSTCALL(PY);

/* callbacks.c */
fastcall_function set_callbacks, ignore_request_headers;

/* budget.c: the steps and the time of a callback; not counted without a budget. */
void begin_steps(void);
fastcall_function set_step_budget, renew_steps, count_step, set_time_budget;

/* records.c, streams.c, plans.c, shortcuts.c */
fastcall_function bind_records;
fastcall_function take_over_streams, find_stream, forget_stream, keep_stream, count_streams, memory_size;
fastcall_function make_immutable;
fastcall_function make_shortcut;

/* wasi.c: writes output of print() without a final newline; called at the end of a callback. */
void flush_standard_streams(void);

/* reads.c */
enum read { READ_CLOCK, READ_RANDOM };
void tell_of_read(enum read kind);
fastcall_function watch_reads, watch_draws, generators_changed;

/* wasi.c: nanoseconds of a clock that runs during a callback, also where a test has stopped the others; 0 if none. */
uint64_t real_time(void);

#endif
