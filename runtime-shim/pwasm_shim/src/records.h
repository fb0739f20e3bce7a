/* Access to the SDK's records (sdk/pwasm/_stream) from C: Python objects with __slots__, in which each slot is a word.

   `bind_slots` finds the word by writing to the slot through Python, so nothing depends on the interpreter's layout of
   slots; and if the SDK renames a slot, the build fails. */
#ifndef PWASM_RECORDS_H
#define PWASM_RECORDS_H

#include "shim.h"

/* Slots by number, in the order of the names in records.c. */
enum { CURRENT_HOST, CURRENT_PHASE, CURRENT_QUEUED, CURRENT_ROOT, CURRENT_STREAM };
enum { PHASE_NO_READ, PHASE_NO_WRITE };
enum { ROOT_CONTEXT, ROOT_MAKE_HTTP, ROOT_TRAITS };
enum {
  STREAM_BARE_REQUEST,
  STREAM_BARE_RESPONSE,
  STREAM_CALLS,
  STREAM_CONTEXT,
  STREAM_ENDED,
  STREAM_ID,
  STREAM_LAST,
  STREAM_MARKS,
  STREAM_PAUSED,
  STREAM_REQUEST_BEGUN,
  STREAM_RESPONSE_BEGUN,
  STREAM_RESPONSE_SEEN,
  STREAM_RESUMED,
  STREAM_ROOT,
  STREAM_SKIP,
  STREAM_TRAITS,
  STREAM_WAITING
};

typedef struct {
  const char *name;
  int word; /* counted from the start of the object */
} slot;

extern slot current_slots[], phase_slots[], root_slots[], stream_slots[];

/* The value of a slot, borrowed; and an assignment to one. */
#define GET(object, slots, slot) (((PyObject **)(object))[(slots)[slot].word])
#define SET(object, slots, slot, value) set_word(object, (slots)[slot].word, value)

static inline void set_word(PyObject *object, int word, PyObject *value) {
  PyObject **at = (PyObject **)object + word;
  PyObject *old = *at;
  if (value) Py_IncRef(value);
  *at = value;
  if (old) Py_DecRef(old);
}

int bind_slots(PyObject *sample, slot *slots); /* 0 if one is missing; overwrites the sample */
long words_of(PyObject *object);

/* None, False, True and 0; `current.current`; the shim itself as the SDK's Host. NULL before `bind_records`. */
extern PyObject *none, *no, *yes, *zero, *current, *host;

/* streams.c: the phase of a callback, of the numbers in abi.h; NULL before `take_over_streams`. */
PyObject *phase_of(int callback);

#endif
