/* Every callback of the ABI table (sdk/pwasm/_abi.py): one exported function each, generated where the signature
   suffices. Each calls one Python callable with plain objects; no names are looked up.

   The dispatcher in Python catches everything. Should an exception escape nevertheless (out of memory while handling
   another one, say), the results here fail closed. Nothing here traps. */

#include "callbacks.h"

static PyObject *callables[CALLBACK_COUNT];

/* set_callbacks(callables: tuple) -> bool: one callable for each callback, in the order of the ABI. */
PyObject *set_callbacks(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  (void)self;
  if (count != 1 || PyTuple_Size(args[0]) != CALLBACK_COUNT) {
    PyErr_Clear();
    return PyErr_Format(PyExc_TypeError, "set_callbacks takes a tuple of %d callables", CALLBACK_COUNT);
  }
  for (int i = 0; i < CALLBACK_COUNT; i++) {
    PyObject *old = callables[i];
    callables[i] = PyTuple_GetItem(args[0], i);
    Py_IncRef(callables[i]);
    if (old) Py_DecRef(old);
  }
  return PyBool_FromLong(1);
}

/* The snapshot was taken without an attached thread state. There is only one thread, so it is attached once for all. */
static void attach(void) {
  static int attached;
  if (!attached) {
    PyGILState_Ensure();
    attached = 1;
  }
}

static const char escaped[] = "pwasm: an exception escaped the dispatcher; the stream is failed";

/* After every callback: log an error that has escaped, and write pending output of print(). */
static PyObject *finished(PyObject *result) {
  if (!result) {
    PyErr_Clear();
    proxy_log(LOG_CRITICAL, escaped, sizeof escaped - 1);
  }
  flush_standard_streams();
  return result;
}

/* Calls the Python side with `count` new references, which it consumes; NULL after a failure, with no error set. */
static PyObject *call(int callback, PyObject **args, int count) {
  PyObject *result = NULL;
  int ready = callables[callback] != NULL;
  begin_steps();
  for (int i = 0; i < count; i++) ready = ready && args[i];
  if (ready) result = PyObject_Vectorcall(callables[callback], args, count, NULL);
  for (int i = 0; i < count; i++)
    if (args[i]) Py_DecRef(args[i]);
  return finished(result);
}

/* Callbacks without a result. */
static void notify(int callback, PyObject **args, int count) {
  PyObject *result = call(callback, args, count);
  if (result) Py_DecRef(result);
}

/* Callbacks that return a bool: start-up fails closed; if on_done fails, the context is released. */
static uint32_t ask(int callback, PyObject **args, int count) {
  PyObject *result = call(callback, args, count);
  if (!result) return callback == DONE;
  uint32_t answer = PyObject_IsTrue(result) > 0;
  Py_DecRef(result);
  return answer;
}

static uint32_t fail_closed(int callback) {
  switch (callback) {
    case NEW_CONNECTION:
    case DOWNSTREAM_DATA:
    case UPSTREAM_DATA:
      proxy_close_stream(STREAM_DOWNSTREAM);
      break;
    case RESPONSE_BODY:
    case RESPONSE_TRAILERS: /* the headers are on the wire: too late for another response */
      proxy_close_stream(STREAM_HTTP_RESPONSE);
      break;
    default:
      proxy_send_local_response(500, "pwasm_dispatcher_error", 22, NULL, 0, NULL, 0, -1);
  }
  return ACTION_PAUSE;
}

/* The action in a result. Only 0 and 1 are passed on: other values make Envoy drop data. */
static uint32_t action_in(int callback, PyObject *result) {
  if (!result) return fail_closed(callback);
  long action = PyLong_AsLong(result);
  Py_DecRef(result);
  if (action == ACTION_CONTINUE || action == ACTION_PAUSE) return action;
  PyErr_Clear();
  return fail_closed(callback);
}

/* Callbacks that return an action. */
static uint32_t act(int callback, PyObject **args, int count) {
  return action_in(callback, call(callback, args, count));
}

#define U32(name) PyLong_FromUnsignedLong(name)
#define I32(name) PyLong_FromLong(name)
#define BOOL(name) PyBool_FromLong(name)
#define ARGUMENTS(...) (attach(), (PyObject *[]){__VA_ARGS__}), sizeof((PyObject *[]){__VA_ARGS__}) / sizeof(PyObject *)

static int deaf_to_requests;

/* ignore_request_headers(whether: bool) -> bool: set for a filter without a method for them. The callback is exported
   nevertheless, since only while it runs can be seen which configuration applies (sdk/pwasm, _dispatch/by_rules.py). */
PyObject *ignore_request_headers(PyObject *self, PyObject *const *args, Py_ssize_t count) {
  (void)self;
  if (count != 1) return PyErr_Format(PyExc_TypeError, "ignore_request_headers takes one argument");
  deaf_to_requests = PyObject_IsTrue(args[0]) > 0;
  return PyBool_FromLong(deaf_to_requests);
}

/* The same with size and end_of_stream: the hot path, which rarely needs the dispatcher. */
static uint32_t act_on_data(int callback, uint32_t context_id, uint32_t size, uint32_t end_of_stream) {
  PyObject *action;
  if (callback == REQUEST_HEADERS && deaf_to_requests) return ACTION_CONTINUE;
  attach();
  begin_steps();
  if (stream_data(callback, context_id, size, end_of_stream, &action)) return action_in(callback, finished(action));
  return act(callback, ARGUMENTS(U32(context_id), U32(size), BOOL(end_of_stream)));
}

/* Called before a stream's callback is passed to Python, which expects that the stream exists. */
static void open_stream(uint32_t context_id) {
  attach();
  begin_steps();
  stream_opens(context_id);
}

EXPORT("proxy_on_context_create") void proxy_on_context_create(uint32_t context_id, uint32_t parent_id) {
  if (stream_begins(context_id, parent_id)) return;
  notify(CONTEXT_CREATE, ARGUMENTS(U32(context_id), U32(parent_id)));
}

EXPORT("proxy_on_foreign_function")
void proxy_on_foreign_function(uint32_t context_id, uint32_t function_id, uint32_t arguments_size) {
  notify(FOREIGN_FUNCTION, ARGUMENTS(U32(context_id), U32(function_id), U32(arguments_size)));
}

EXPORT("proxy_on_done") uint32_t proxy_on_done(uint32_t context_id) {
  if (stream_done(context_id)) return 1;
  return ask(DONE, ARGUMENTS(U32(context_id)));
}

EXPORT("proxy_on_delete") void proxy_on_delete(uint32_t context_id) {
  begin_steps(); /* a __del__ may run */
  if (stream_ends(context_id)) {
    flush_standard_streams();
    return;
  }
  notify(DELETE, ARGUMENTS(U32(context_id)));
}

#include "callbacks.inc"
