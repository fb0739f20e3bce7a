/* Tells Python of everything that an import reads and that is then the same in every VM: a clock, random bytes of the
   host, numbers of a generator (sdk/pwasm/_guest/import_effects.py). It costs nothing where nothing is read. After the
   import nobody is told. */

#include "shim.h"

static PyObject *observer;
static PyObject *top; /* the frame whose line the observer has noted last, or NULL */

/* A loop may read a thousand times. Readings by the same calls, from the same places in the code, are told of once:
   these are their hashes. */
enum { PLACES = 64 };
static uint32_t places[PLACES];

static uint32_t mixed(uint32_t hash, uintptr_t number) { return (hash ^ (uint32_t)number) * 0x01000193; }

/* The hash of a reading that is made by `top`, through any number of calls; 0 if by another. */
static uint32_t place_of(enum read kind) {
  uint32_t hash = mixed(0x811c9dc5, kind);
  PyObject *frame = top ? PyThreadState_GetFrame(PyThreadState_Get()) : NULL;
  while (frame) {
    PyObject *code = PyFrame_GetCode(frame);
    hash = mixed(mixed(hash, (uintptr_t)code), PyFrame_GetLasti(frame));
    Py_DecRef(code);
    PyObject *caller = frame == top ? NULL : PyFrame_GetBack(frame);
    int found = frame == top;
    Py_DecRef(frame);
    if (found) return hash;
    frame = caller;
  }
  return 0;
}

static void tell(PyObject *told, enum read kind) {
  PyObject *argument = PyLong_FromLong(kind);
  PyObject *result = argument ? PyObject_Vectorcall(told, &argument, 1, NULL) : NULL;
  if (argument) Py_DecRef(argument);
  if (!result) PyErr_Clear(); /* whoever reads a clock does not expect an exception */
  if (top) Py_DecRef(top);
  top = result;
  if (top == Py_GetConstantBorrowed(PY_CONSTANT_NONE)) top = NULL;
  uint32_t hash = place_of(kind);
  if (hash) places[hash % PLACES] = hash;
}

/* While Python runs, and no exception is set. */
static void tell_python(enum read kind) {
  PyObject *told = observer;
  if (!told) return;
  observer = NULL; /* not of what it reads itself */
  uint32_t hash = place_of(kind);
  if (!hash || places[hash % PLACES] != hash) tell(told, kind);
  observer = told;
}

void tell_of_read(enum read kind) {
  if (!observer) return;
  int state = PyGILState_Ensure(); /* os.urandom has released the lock */
  PyObject *error = PyErr_GetRaisedException();
  tell_python(kind);
  if (error) PyErr_SetRaisedException(error);
  PyGILState_Release(state);
}

/* watch_reads(observer: callable(kind: int) -> the frame whose line it has noted, or None; or no one: None) -> bool */
PyObject *watch_reads(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  PyObject *before = observer;
  (void)self;
  if (count != 1) return PyErr_Format(PyExc_TypeError, "watch_reads takes one argument");
  observer = args[0] == Py_GetConstantBorrowed(PY_CONSTANT_NONE) ? NULL : args[0];
  if (observer) Py_IncRef(observer);
  if (before) Py_DecRef(before);
  if (top) Py_DecRef(top);
  top = NULL;
  for (int place = 0; place < PLACES; place++) places[place] = 0; /* zeros are not shipped */
  return PyBool_FromLong(1);
}

/* Every number of a generator comes from one of two methods in C. They are reached by many ways, some without looking
   up a name (`random.random` is a method that is bound already), so it is their definition that is changed, and changed
   back: no object is another one meanwhile, or afterwards. */
typedef PyObject *method(PyObject *self, PyObject *argument);

enum { METHODS = 2 };
static PyMethodDef *definitions[METHODS];
static method *functions[METHODS];
static PyObject *watched;
static PyObject *last; /* the generator that was asked last, and whether it is among the watched */
static int last_is_watched;

/* generators_changed() -> bool: some have come or gone, so another may be at the address of one. */
PyObject *generators_changed(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  (void)self, (void)args, (void)count;
  last = NULL;
  return PyBool_FromLong(1);
}

static PyObject *draw(int which, PyObject *self, PyObject *argument) {
  if (self != last) {
    PyObject *id = PyLong_FromUnsignedLong((uintptr_t)self);
    int found = id ? PyDict_Contains(watched, id) : -1;
    if (found < 0) PyErr_Clear();
    if (id) Py_DecRef(id);
    last = self, last_is_watched = found > 0;
  }
  if (last_is_watched) tell_python(READ_RANDOM);
  return functions[which](self, argument);
}
static PyObject *draw_first(PyObject *self, PyObject *argument) { return draw(0, self, argument); }
static PyObject *draw_second(PyObject *self, PyObject *argument) { return draw(1, self, argument); }

/* watch_draws(generators: dict by id, method, method) -> bool: of these generators, by these two method descriptors.
   Without arguments it ends. */
PyObject *watch_draws(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  static method *const replacements[METHODS] = {draw_first, draw_second};
  (void)self;
  for (int which = 0; watched && which < METHODS; which++) definitions[which]->function = functions[which];
  if (watched) Py_DecRef(watched);
  watched = last = NULL;
  if (count != 1 + METHODS) return PyBool_FromLong(0);
  watched = args[0];
  Py_IncRef(watched);
  for (int which = 0; which < METHODS; which++) {
    definitions[which] = ((PyMethodDef **)args[1 + which])[METHOD_DEFINITION];
    functions[which] = definitions[which]->function;
    definitions[which]->function = replacements[which];
  }
  return PyBool_FromLong(1);
}
