#include "records.h"

slot current_slots[] = {{"host", 0}, {"phase", 0}, {"queued", 0}, {"root", 0}, {"stream", 0}, {NULL, 0}};
slot phase_slots[] = {{"no_read", 0}, {"no_write", 0}, {NULL, 0}};
slot root_slots[] = {{"context", 0}, {"make_http", 0}, {"traits", 0}, {NULL, 0}};
slot stream_slots[] = {{"bare_request", 0},  {"bare_response", 0},  {"calls", 0},
                       {"context", 0},       {"ended", 0},          {"id", 0},
                       {"last", 0},          {"marks", 0},          {"paused", 0},
                       {"request_begun", 0}, {"response_begun", 0}, {"response_seen", 0},
                       {"resumed", 0},       {"root", 0},           {"skip", 0},
                       {"traits", 0},        {"waiting", 0},        {NULL, 0}};

PyObject *none, *no, *yes, *zero, *current, *host;

/* Size of an object in words. */
long words_of(PyObject *object) {
  PyObject *size = PyObject_GetAttrString(object->type, "__basicsize__");
  long bytes = size ? PyLong_AsLong(size) : 0;
  if (size) Py_DecRef(size);
  return bytes / (long)sizeof(PyObject *);
}

int bind_slots(PyObject *sample, slot *slots) {
  long words = words_of(sample);
  for (; slots->name; slots++) {
    PyObject *mark = PyTuple_New(1); /* unlike any other object */
    int written = mark && PyObject_SetAttrString(sample, slots->name, mark) == 0;
    slots->word = 0;
    for (long i = sizeof(PyObject) / sizeof(PyObject *); written && i < words; i++)
      if (((PyObject **)sample)[i] == mark) slots->word = i;
    if (mark) Py_DecRef(mark);
    if (!slots->word) {
      PyErr_Format(PyExc_TypeError, "the record has no slot %s", slots->name);
      return 0;
    }
  }
  return 1;
}

/* bind_records(current, host, sample_current, sample_phase) -> True: set-up for all code that uses the records. */
PyObject *bind_records(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  (void)self;
  if (count != 4) return PyErr_Format(PyExc_TypeError, "bind_records takes 4 arguments, %zd given", count);
  if (!bind_slots(args[2], current_slots) || !bind_slots(args[3], phase_slots)) return NULL;
  Py_IncRef(current = args[0]);
  Py_IncRef(host = args[1]);
  none = Py_GetConstantBorrowed(PY_CONSTANT_NONE);
  no = Py_GetConstantBorrowed(PY_CONSTANT_FALSE);
  yes = Py_GetConstantBorrowed(PY_CONSTANT_TRUE);
  zero = Py_GetConstantBorrowed(PY_CONSTANT_ZERO);
  return PyBool_FromLong(1);
}
