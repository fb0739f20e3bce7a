/* Functions of the SDK that filters call for every request, implemented in C: the log functions, and those that read
   and write one header. Each is equivalent to a Python function (sdk/pwasm: _stream/log.py, _hostcalls/header_maps.py)
   for common arguments, and calls that function for all others, before any hostcall. */

#include "records.h"

#define PARAMETERS PyObject *capsule, PyObject *const *args, Py_ssize_t count, PyObject *names

typedef struct {
  const char *data;
  Py_ssize_t size;
} text;

enum { NAMES = 8 };
enum { HEADERS_OF_REQUEST = 0 }; /* number of the map */

/* One function. It caches the names it has written, since filters write constant names, and the phase in which it was
   last allowed. References are owned, so that an address stays valid. */
typedef struct {
  PyMethodDef method;
  PyObject *slow, *number, *helper, *known_names; /* see `make_shortcut` */
  uint32_t map_type;                              /* or the log level */
  PyObject *phase;
  struct {
    PyObject *object;
    text bytes;
  } names[NAMES];
} shortcut;

static shortcut *shortcut_in(PyObject *capsule) { return PyCapsule_GetPointer(capsule, NULL); }

#define CALL_PYTHON() PyObject_Vectorcall(self->slow, args, count, names)

static void store(PyObject **place, PyObject *object) {
  PyObject *old = *place;
  Py_IncRef(object);
  *place = object;
  if (old) Py_DecRef(old);
}

/* The bytes of a str, borrowed; 0 for any other object, with no error set. */
static int is_text(PyObject *object, text *found) {
  if (object->type != &PyUnicode_Type) return 0;
  found->data = PyUnicode_AsUTF8AndSize(object, &found->size);
  if (!found->data) PyErr_Clear(); /* lone surrogates */
  return found->data != NULL;
}

/* Whether all bytes are printable ASCII, eight at a time (Bit Twiddling: "a byte less than", "greater than"). */
static int is_printable_ascii(text checked) {
  const uint64_t ones = ~UINT64_C(0) / 255, high = ones * 128;
  uint64_t found = 0;
  for (Py_ssize_t at = 0; at < checked.size; at += 8) {
    uint64_t word = ones * ' ';
    Py_ssize_t left = checked.size - at;
    memcpy(&word, checked.data + at, left < 8 ? left : 8);
    found |= ((word - ones * ' ') & ~word) | (word + ones * (127 - '~')) | word;
  }
  return !(found & high);
}

/* Whether there is a proxy: there is none while the filter is imported. */
static int in_a_callback(void) { return current && GET(current, current_slots, CURRENT_HOST) == host; }

/* Whether the running callback has access to the map; `access` is the slot of a Phase that lists unavailable maps. */
static int has_map(shortcut *self, int access) {
  PyObject *phase = GET(current, current_slots, CURRENT_PHASE);
  if (phase == self->phase) return 1;
  /* Elsewhere than in their own callback, request headers may have gone, which Python knows (holding, K17). */
  if (access == PHASE_NO_WRITE && self->map_type == HEADERS_OF_REQUEST && phase != phase_of(REQUEST_HEADERS)) return 0;
  if (PyDict_Contains(GET(phase, phase_slots, access), self->number)) return 0;
  store(&self->phase, phase);
  return 1;
}

/* Raises the exception for a status other than OK. */
static PyObject *failed(shortcut *self, uint32_t status, const char *hostcall, PyObject *key) {
  PyObject *args[] = {PyLong_FromUnsignedLong(status), PyUnicode_InternFromString(hostcall), key};
  PyObject *error = args[0] && args[1] ? PyObject_Vectorcall(self->helper, args, 3, NULL) : NULL;
  for (int i = 0; i < 2; i++)
    if (args[i]) Py_DecRef(args[i]);
  if (error) PyErr_SetRaisedException(error);
  return NULL;
}

static PyObject *return_none(void) {
  Py_IncRef(none);
  return none;
}

/* log_…(msg, *args); the helper formats: (msg, args) -> str. */
static PyObject *log_message(PARAMETERS) {
  shortcut *self = shortcut_in(capsule);
  text message;
  if (names || count < 1 || !in_a_callback() || !is_text(args[0], &message)) return CALL_PYTHON();
  uint32_t level = self->map_type, least;
  if (count == 1) {
    if (!is_printable_ascii(message)) return CALL_PYTHON();
    proxy_log(level, message.data, message.size);
    return return_none();
  }
  if (proxy_get_log_level(&least) == STATUS_OK && level < least) return return_none();
  PyObject *values = PyTuple_New(count - 1);
  for (Py_ssize_t i = 1; values && i < count; i++) {
    Py_IncRef(args[i]);
    PyTuple_SetItem(values, i - 1, args[i]);
  }
  PyObject *pair[] = {args[0], values};
  PyObject *formatted = values ? PyObject_Vectorcall(self->helper, pair, 2, NULL) : NULL;
  PyObject *result = formatted ? PyObject_Vectorcall(self->slow, &formatted, 1, NULL) : NULL;
  if (values) Py_DecRef(values);
  if (formatted) Py_DecRef(formatted);
  return result;
}

/* get_http_…(name, default=None) */
static PyObject *get_header(PARAMETERS) {
  shortcut *self = shortcut_in(capsule);
  text name;
  if (names || count < 1 || count > 2 || !in_a_callback() || !is_text(args[0], &name) || !has_map(self, PHASE_NO_READ))
    return CALL_PYTHON();
  char *value = NULL;
  size_t size = 0;
  uint32_t status = proxy_get_header_map_value(self->map_type, name.data, name.size, &value, &size);
  if (status == STATUS_NOT_FOUND) {
    PyObject *otherwise = count == 2 ? args[1] : none;
    Py_IncRef(otherwise);
    return otherwise;
  }
  if (status != STATUS_OK) return failed(self, status, "proxy_get_header_map_value", args[0]);
  PyObject *result = PyUnicode_DecodeUTF8(value ? value : "", value ? size : 0, "surrogateescape");
  free(value);
  return result;
}

/* The bytes of a name that has been validated before (_validate.known_names); 0 for others. */
static int is_known(shortcut *self, PyObject *name, text *found) {
  unsigned place = (uintptr_t)name / 16 % NAMES;
  if (self->names[place].object != name) {
    if (!is_text(name, found) || PySet_Contains(self->known_names, name) != 1) return 0;
    store(&self->names[place].object, name);
    self->names[place].bytes = *found;
  }
  *found = self->names[place].bytes;
  return 1;
}

/* add_http_…(name, value), replace_http_…(name, value). A macro, since an import has no address. */
#define WRITE(name_, hostcall)                                                                                     \
  static PyObject *name_(PARAMETERS) {                                                                             \
    shortcut *self = shortcut_in(capsule);                                                                         \
    text name, value;                                                                                              \
    if (names || count != 2 || !in_a_callback() || !is_known(self, args[0], &name) || !is_text(args[1], &value) || \
        !is_printable_ascii(value) || !has_map(self, PHASE_NO_WRITE))                                              \
      return CALL_PYTHON();                                                                                        \
    uint32_t status = hostcall(self->map_type, name.data, name.size, value.data, value.size);                      \
    return status == STATUS_OK ? return_none() : failed(self, status, #hostcall, args[0]);                         \
  }
WRITE(add_header, proxy_add_header_map_value)
WRITE(replace_header, proxy_replace_header_map_value)

/* remove_http_…(name) */
static PyObject *remove_header(PARAMETERS) {
  shortcut *self = shortcut_in(capsule);
  text name;
  if (names || count != 1 || !in_a_callback() || !is_known(self, args[0], &name) || !has_map(self, PHASE_NO_WRITE))
    return CALL_PYTHON();
  uint32_t status = proxy_remove_header_map_value(self->map_type, name.data, name.size);
  return status == STATUS_OK ? return_none() : failed(self, status, "proxy_remove_header_map_value", args[0]);
}

static const struct {
  const char *verb;
  fastcall_with_keywords function;
} verbs[] = {{"log", log_message},
             {"get", get_header},
             {"add", add_header},
             {"replace", replace_header},
             {"remove", remove_header}};

/* make_shortcut(verb, name, module, slow, number, helper, known_names) -> function, which is never freed.
   `number` is the map type or log level; `helper` creates the exception for a status, or formats a message. */
PyObject *make_shortcut(PyObject *module, PyObject *const *args, Py_ssize_t count) {
  (void)module;
  text verb, name;
  shortcut *self = malloc(sizeof *self);
  if (!self || count != 7 || !is_text(args[0], &verb) || !is_text(args[1], &name))
    return PyErr_Format(PyExc_TypeError, "make_shortcut: wrong arguments");
  *self = (shortcut){.method = {name.data, NULL, METH_FASTCALL | METH_KEYWORDS, NULL},
                     .slow = args[3],
                     .number = args[4],
                     .helper = args[5],
                     .known_names = args[6],
                     .map_type = PyLong_AsUnsignedLong(args[4])};
  for (unsigned i = 0; i < sizeof verbs / sizeof *verbs; i++)
    if (!strcmp(verbs[i].verb, verb.data)) self->method.function = verbs[i].function;
  if (!self->method.function) return PyErr_Format(PyExc_TypeError, "make_shortcut: no function %s", verb.data);
  for (int i = 1; i < 7; i++) Py_IncRef(args[i]);
  return PyCFunction_NewEx(&self->method, PyCapsule_New(self, NULL, NULL), args[2]);
}
