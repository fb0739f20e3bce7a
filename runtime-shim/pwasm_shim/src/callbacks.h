/* The callbacks by number, in the order of the ABI table (sdk/pwasm/_abi.py), and those that streams.c answers. */
#ifndef PWASM_CALLBACKS_H
#define PWASM_CALLBACKS_H

#include "shim.h"

enum {
  CONTEXT_CREATE,
  VM_START,
  CONFIGURE,
  TICK,
  QUEUE_READY,
  NEW_CONNECTION,
  DOWNSTREAM_DATA,
  DOWNSTREAM_CONNECTION_CLOSE,
  UPSTREAM_DATA,
  UPSTREAM_CONNECTION_CLOSE,
  REQUEST_HEADERS,
  REQUEST_BODY,
  REQUEST_TRAILERS,
  RESPONSE_HEADERS,
  RESPONSE_BODY,
  RESPONSE_TRAILERS,
  HTTP_CALL_RESPONSE,
  GRPC_RECEIVE_INITIAL_METADATA,
  GRPC_RECEIVE,
  GRPC_RECEIVE_TRAILING_METADATA,
  GRPC_CLOSE,
  FOREIGN_FUNCTION,
  DONE,
  LOG,
  DELETE,
  CALLBACK_COUNT
};

/* streams.c: 1 when the callback is answered, 0 when it is for the Python dispatcher; see there. */
int stream_begins(uint32_t id, uint32_t parent);
int stream_data(int callback, uint32_t id, uint32_t size, uint32_t end_of_stream, PyObject **action);
int stream_done(uint32_t id);
int stream_ends(uint32_t id);
void stream_opens(uint32_t id); /* to be called before a stream's callback goes to Python */

#endif
