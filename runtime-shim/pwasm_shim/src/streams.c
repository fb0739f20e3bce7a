/* The dispatcher's work (sdk/pwasm/_dispatch) for common streams in C, on the dispatcher's own records.

   A common stream is one of a registered class without traits whose callbacks return None or Action.CONTINUE. All
   others stay with the Python dispatcher, which is the reference: for a stream that is unknown or unusual, the
   functions here leave the callback to it, with the records in the state that the Python code would have left. */

#include "plans.h"

/* --- the table of streams ------------------------------------------------------------------------------------- */

/* A hash table in which ids are their own hashes: hosts count contexts, so consecutive ids get consecutive places.
   `root` is NULL in a free place, `stream` until the first callback (the dispatcher's `_unopened`). Both are owned. */
typedef struct {
  uint32_t id;
  PyObject *root, *stream;
} entry;

static entry *table;
static uint32_t places, used; /* places: a power of two, or 0 */

static entry *place_of(uint32_t id) {
  uint32_t at = id & (places - 1);
  while (table[at].root && table[at].id != id) at = (at + 1) & (places - 1);
  return table + at;
}

static entry *find(uint32_t id) {
  entry *found = used ? place_of(id) : NULL;
  return found && found->root ? found : NULL;
}

/* Makes room for one more entry; 0 if out of memory. At most half of the places are in use. */
static int make_room(void) {
  if (used < places / 2) return 1;
  entry *old = table;
  uint32_t old_places = places;
  uint32_t more = places ? 2 * places : 64;
  entry *grown = malloc(more * sizeof *grown);
  if (!grown) return 0;
  for (uint32_t i = 0; i < more; i++) grown[i] = (entry){0, NULL, NULL};
  table = grown, places = more;
  for (uint32_t i = 0; i < old_places; i++)
    if (old[i].root) *place_of(old[i].id) = old[i];
  free(old);
  return 1;
}

/* Removes an entry; entries after it that belong further forward move up, so that no search ends too early. */
static entry take_out(uint32_t id) {
  entry *gap = place_of(id);
  entry taken = *gap;
  uint32_t mask = places - 1;
  for (uint32_t at = (gap - table + 1) & mask; table[at].root; at = (at + 1) & mask) {
    uint32_t home = table[at].id & mask, free_place = gap - table;
    if (((at - home) & mask) >= ((at - free_place) & mask)) {
      *gap = table[at];
      gap = table + at;
    }
  }
  gap->root = gap->stream = NULL;
  used--;
  return taken;
}

/* --- the dispatcher ------------------------------------------------------------------------------------------- */

/* The arguments of `take_over_streams` after the samples, in this order. */
enum {
  ROOTS,           /* dict, id → Root */
  PATTERN,         /* a new Stream, which is copied for others */
  CREATING,        /* the Phase in which contexts are created */
  CONTINUE,        /* Action.CONTINUE */
  OPEN,            /* (root, id) -> Stream, for roots whose streams are not common ones */
  CREATION_FAILED, /* (stream, error) */
  ANSWERED,        /* (stream, phase, result) -> action, for other results */
  FAILED,          /* (phase, stream, error) -> action */
  PLAN,            /* see plans.c */
  OBJECTS
};
static PyObject *objects[OBJECTS];
static PyObject *phases[CALLBACK_COUNT], *methods[CALLBACK_COUNT];
static PyObject *name_context_id, *name_plugin;
static long stream_words;
static int taken_over;
static PyObject *last_root; /* borrowed from ROOTS */
static uint32_t last_root_id;

PyObject *phase_of(int callback) { return phases[callback]; }

static void drop_spare_contexts(void);

/* take_over_streams(sample_stream, sample_root, phases, methods, …) -> True: new streams are handled here from now on.
   `phases` and `methods` (names) are tuples in the order of the callbacks. */
PyObject *take_over_streams(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  (void)self;
  if (count != 4 + OBJECTS || PyTuple_Size(args[2]) != CALLBACK_COUNT || PyTuple_Size(args[3]) != CALLBACK_COUNT)
    return PyErr_Format(PyExc_TypeError, "take_over_streams: wrong arguments");
  if (!bind_slots(args[0], stream_slots) || !bind_slots(args[1], root_slots)) return NULL;
  for (int i = 0; i < OBJECTS; i++) Py_IncRef(objects[i] = args[4 + i]);
  for (int i = 0; i < CALLBACK_COUNT; i++) {
    Py_IncRef(phases[i] = PyTuple_GetItem(args[2], i));
    Py_IncRef(methods[i] = PyTuple_GetItem(args[3], i));
  }
  name_context_id = PyUnicode_InternFromString("context_id");
  name_plugin = PyUnicode_InternFromString("plugin");
  stream_words = words_of(objects[PATTERN]);
  taken_over = name_context_id && name_plugin && stream_words && start_plans(objects[PLAN], drop_spare_contexts);
  return taken_over ? PyBool_FromLong(1) : NULL;
}

/* Drops the result of a call; 0 with the error set if it failed. */
static int drop(PyObject *result) {
  if (result) Py_DecRef(result);
  return result != NULL;
}

static PyObject *call(int object, PyObject *a, PyObject *b, PyObject *c) {
  if (!a || !b) return NULL;
  PyObject *args[] = {a, b, c};
  return PyObject_Vectorcall(objects[object], args, c ? 3 : 2, NULL);
}

/* Lets Python handle the error that is set: (…, error). Returns its result, or NULL. */
static PyObject *handle(int object, PyObject *a, PyObject *b) {
  PyObject *error = PyErr_GetRaisedException();
  PyObject *result = b ? call(object, a, b, error) : call(object, a, error, NULL);
  if (error) Py_DecRef(error);
  return result;
}

/* The Root with this id, borrowed, or NULL. The last one is cached, since a plugin has many streams. */
static PyObject *root_of(uint32_t id) {
  if (last_root && last_root_id == id) return last_root;
  PyObject *key = PyLong_FromUnsignedLong(id);
  last_root = key ? PyDict_GetItemWithError(objects[ROOTS], key) : NULL;
  last_root_id = id;
  if (key) Py_DecRef(key);
  if (!last_root) PyErr_Clear();
  return last_root;
}

/* proxy_on_context_create: 1 if the stream is noted (idempotent), 0 if it is not for this file. */
int stream_begins(uint32_t id, uint32_t parent) {
  if (!taken_over || !parent) return 0;
  if (find(id)) return 1;
  PyObject *root = root_of(parent);
  if (!root || !make_room()) return 0;
  Py_IncRef(root);
  *place_of(id) = (entry){id, root, NULL};
  used++;
  return 1;
}

/* Ended streams that nothing else refers to: creating a new one costs more than resetting all slots. A plain context
   stays with its stream (see plans.c). */
enum { SPARE_MAX = 64 };
static PyObject *spare[SPARE_MAX];
static int spares;

static void drop_spare_contexts(void) {
  for (int i = 0; i < spares; i++) SET(spare[i], stream_slots, STREAM_CONTEXT, none);
}

/* The initial values are defined in one place, `Stream.__init__` in Python: this copies them from the pattern. */
static void make_fresh(PyObject *stream, PyObject *context) {
  PyObject **to = (PyObject **)stream, **from = (PyObject **)objects[PATTERN];
  int kept = stream_slots[STREAM_CONTEXT].word;
  for (long i = sizeof(PyObject) / sizeof(PyObject *); i < stream_words; i++)
    if (to[i] != from[i] && i != kept) set_word(stream, i, from[i]);
  SET(stream, stream_slots, STREAM_CONTEXT, context);
}

static PyObject *new_stream(PyObject *root, PyObject *id) {
  PyObject *stream = spares ? spare[--spares] : PyType_GenericAlloc(objects[PATTERN]->type, 0);
  if (!stream) return NULL;
  if (!GET(stream, stream_slots, STREAM_ID)) make_fresh(stream, none); /* all slots are empty */
  SET(stream, stream_slots, STREAM_ID, id);
  SET(stream, stream_slots, STREAM_ROOT, root);
  return stream;
}

/* Calls the class; 0 with an error set. */
static int call_maker(PyObject *root, PyObject *stream, int planned) {
  PyObject *id = GET(stream, stream_slots, STREAM_ID), *plugin = GET(root, root_slots, ROOT_CONTEXT);
  PyObject *context = PyObject_CallNoArgs(GET(root, root_slots, ROOT_MAKE_HTTP));
  if (!context) return 0;
  SET(stream, stream_slots, STREAM_CONTEXT, context);
  Py_DecRef(context);
  if (PyObject_SetAttr(context, name_context_id, id) < 0 || PyObject_SetAttr(context, name_plugin, plugin) < 0)
    return 0;
  if (planned) note_context(context, id, plugin);
  return 1;
}

/* `Contexts._open_for` for the common case; 0 with an error set. */
static int make_context(PyObject *root, PyObject *stream) {
  SET(current, current_slots, CURRENT_ROOT, root);
  SET(current, current_slots, CURRENT_STREAM, none);
  SET(current, current_slots, CURRENT_PHASE, objects[CREATING]);
  PyObject *maker = GET(root, root_slots, ROOT_MAKE_HTTP), *context = GET(stream, stream_slots, STREAM_CONTEXT);
  int planned = has_plan(maker);
  if (planned && context->type == maker) {
    give_context(context, GET(stream, stream_slots, STREAM_ID), GET(root, root_slots, ROOT_CONTEXT));
  } else {
    SET(stream, stream_slots, STREAM_CONTEXT, none); /* of another class, or the class was modified */
    if (!call_maker(root, stream, planned)) return 0;
  }
  SET(stream, stream_slots, STREAM_TRAITS, GET(root, root_slots, ROOT_TRAITS));
  return 1;
}

/* The stream of an entry, borrowed; created if this is its first callback. NULL with an error set. */
static PyObject *opened(entry *found) {
  if (found->stream) return found->stream;
  uint32_t id = found->id;
  PyObject *root = found->root, *key = PyLong_FromUnsignedLong(id);
  if (!key) return NULL;
  int made;
  if (GET(root, root_slots, ROOT_MAKE_HTTP) == none) {
    made = drop(call(OPEN, root, key, NULL)); /* passes the stream to `keep_stream` */
  } else {
    PyObject *stream = found->stream = new_stream(root, key);
    made = stream && (make_context(root, stream) || drop(handle(CREATION_FAILED, stream, NULL)));
  }
  Py_DecRef(key);
  found = find(id); /* the filter's code has run */
  return made && found ? found->stream : NULL;
}

/* Called before any callback of a stream is passed to Python, which calls `find_stream`. */
void stream_opens(uint32_t id) {
  entry *found = find(id);
  if (found && !opened(found)) PyErr_Clear();
}

static const int directions[CALLBACK_COUNT] = {
    [DOWNSTREAM_DATA] = STREAM_DOWNSTREAM,     [UPSTREAM_DATA] = STREAM_UPSTREAM,
    [REQUEST_HEADERS] = STREAM_HTTP_REQUEST,   [REQUEST_BODY] = STREAM_HTTP_REQUEST,
    [RESPONSE_HEADERS] = STREAM_HTTP_RESPONSE, [RESPONSE_BODY] = STREAM_HTTP_RESPONSE,
};

/* `Contexts._enter_stream`, for a stream that is not held. */
static void enter(PyObject *stream, int callback) {
  SET(current, current_slots, CURRENT_STREAM, stream);
  SET(current, current_slots, CURRENT_PHASE, phases[callback]);
  SET(current, current_slots, CURRENT_QUEUED, none);
  SET(stream, stream_slots, STREAM_RESUMED, zero);
  if (directions[callback] == STREAM_HTTP_RESPONSE) SET(stream, stream_slots, STREAM_RESPONSE_SEEN, yes);
}

/* Calls the filter's method, and handles its result. */
static PyObject *deliver(PyObject *stream, int callback, uint32_t size, uint32_t end_of_stream) {
  PyObject *number = PyLong_FromUnsignedLong(size);
  if (!number) return NULL;
  enter(stream, callback);
  if (callback == REQUEST_HEADERS) SET(stream, stream_slots, STREAM_BARE_REQUEST, end_of_stream ? yes : no);
  if (callback == RESPONSE_HEADERS) SET(stream, stream_slots, STREAM_BARE_RESPONSE, end_of_stream ? yes : no);
  if (callback == REQUEST_BODY || callback == RESPONSE_BODY)
    SET(stream, stream_slots, STREAM_LAST, end_of_stream ? yes : no);
  PyObject *context = GET(stream, stream_slots, STREAM_CONTEXT);
  PyObject *args[] = {NULL, context, number, end_of_stream ? yes : no};
  Py_IncRef(context);
  PyObject *function = planned_function(context, callback);
  size_t count = 3 | PY_VECTORCALL_ARGUMENTS_OFFSET;
  PyObject *result = function ? PyObject_Vectorcall(function, args + 1, count, NULL)
                              : PyObject_VectorcallMethod(methods[callback], args + 1, count, NULL);
  Py_DecRef(context);
  Py_DecRef(number);
  if (!result) return handle(FAILED, phases[callback], stream);
  if (result == none || result == objects[CONTINUE]) {
    Py_DecRef(result);
    if (size && callback == REQUEST_BODY) SET(stream, stream_slots, STREAM_REQUEST_BEGUN, yes);
    if (size && callback == RESPONSE_BODY) SET(stream, stream_slots, STREAM_RESPONSE_BEGUN, yes);
    return zero;
  }
  PyObject *action = call(ANSWERED, stream, phases[callback], result);
  Py_DecRef(result);
  return action;
}

/* Bits of Stream.marks, shifted by the direction; see sdk/pwasm/_stream/marks.py. */
enum { BODY_SEEN = 4, HEADERS_PAUSED = 16, HEADERS_HELD = 64 };

/* Whether this is the empty part with which Envoy ends a body that the filter has already seen whole, and let pass. */
static int only_ends(PyObject *stream, int callback, uint32_t size) {
  if (size || (callback != REQUEST_BODY && callback != RESPONSE_BODY)) return 0;
  if (GET(stream, stream_slots, STREAM_WAITING) != none) return 0;
  long marks = PyLong_AsLong(GET(stream, stream_slots, STREAM_MARKS)) >> directions[callback];
  return (marks & (BODY_SEEN | HEADERS_PAUSED | HEADERS_HELD)) == BODY_SEEN;
}

/* A callback with size and end_of_stream. 1 if it was delivered; its action (a new reference, or NULL with an error
   set) is then in `*action`. */
int stream_data(int callback, uint32_t id, uint32_t size, uint32_t end_of_stream, PyObject **action) {
  entry *found = find(id);
  if (!found) return 0;
  PyObject *stream = *action = opened(found);
  if (!stream) return 1;
  if (GET(stream, stream_slots, STREAM_SKIP) != no || GET(stream, stream_slots, STREAM_PAUSED) != zero) return 0;
  if (GET(stream, stream_slots, STREAM_TRAITS) != none) {
    *action = zero;
    return only_ends(stream, callback, size);
  }
  Py_IncRef(stream);
  *action = deliver(stream, callback, size, end_of_stream);
  Py_DecRef(stream);
  return 1;
}

static size_t pages_told; /* the size of the memory that the gauge of it has, see `Contexts.proxy_on_delete` */
enum { PAGE = 65536 };

/* proxy_on_done of a stream: only recorded. */
int stream_done(uint32_t id) {
  entry *found = find(id);
  if (!found) return 0;
  if (found->stream) SET(found->stream, stream_slots, STREAM_ENDED, yes);
  return 1;
}

/* proxy_on_delete: 1 if the context was removed, 0 if there is more to do. */
int stream_ends(uint32_t id) {
  entry *found = find(id);
  if (last_root_id == id) last_root = NULL;
  if (!found) {
    drop_spare_contexts(); /* this may be a plugin, to which they refer */
    return 0;
  }
  PyObject *stream = found->stream;
  if (stream && (GET(stream, stream_slots, STREAM_WAITING) != none || GET(stream, stream_slots, STREAM_CALLS) != none ||
                 GET(stream, stream_slots, STREAM_PAUSED) != zero || __builtin_wasm_memory_size(0) != pages_told))
    return 0;
  Py_DecRef(take_out(id).root);
  if (!stream) return 1;
  PyObject *context = GET(stream, stream_slots, STREAM_CONTEXT);
  SET(stream, stream_slots, STREAM_ENDED, yes);
  if (context->refcount != 1 || !is_plain(context)) {
    /* a __del__ that runs now acts on a stream that has ended */
    SET(current, current_slots, CURRENT_STREAM, stream);
    SET(stream, stream_slots, STREAM_CONTEXT, none);
  }
  SET(current, current_slots, CURRENT_STREAM, none);
  if (stream->refcount == 1 && spares < SPARE_MAX) {
    make_fresh(stream,
               GET(stream, stream_slots, STREAM_CONTEXT)); /* immediately, to release the objects it refers to */
    spare[spares++] = stream;
  } else {
    Py_DecRef(stream);
  }
  return 1;
}

/* memory_size() -> int: the bytes of the VM's memory; Python has been told, until it grows. */
PyObject *memory_size(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  (void)self, (void)args, (void)count;
  pages_told = __builtin_wasm_memory_size(0);
  return PyLong_FromUnsignedLong(pages_told * PAGE);
}

/* For Python code that looks up a stream by its id (`_guest.vm.Streams`). */

/* find_stream(id) -> Stream or None */
PyObject *find_stream(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  (void)self;
  entry *found = count == 1 ? find(PyLong_AsUnsignedLong(args[0])) : NULL;
  PyObject *stream = found && found->stream ? found->stream : none;
  PyErr_Clear(); /* not an id */
  Py_IncRef(stream);
  return stream;
}

/* count_streams() -> int: the number of streams that have begun and not ended */
PyObject *count_streams(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  (void)self, (void)args, (void)count;
  return PyLong_FromUnsignedLong(used);
}

/* keep_stream(id, Stream) -> whether the stream is in this table. */
PyObject *keep_stream(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  (void)self;
  entry *found = count == 2 ? find(PyLong_AsUnsignedLong(args[0])) : NULL;
  if (found && !found->stream) Py_IncRef(found->stream = args[1]);
  return PyBool_FromLong(found && found->stream == args[1]);
}

/* forget_stream(id) -> Stream or None */
PyObject *forget_stream(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  PyObject *stream = find_stream(self, args, count);
  if (stream == none) return stream;
  entry gone = take_out(PyLong_AsUnsignedLong(GET(stream, stream_slots, STREAM_ID)));
  Py_DecRef(gone.root);
  Py_DecRef(gone.stream);
  return stream;
}
