/* The part of WASI 0.2 that CPython's libc imports, implemented without a host: each function below is exported as
   `<interface>#<function>`, and the linker binds the import of that name to it. Envoy provides only WASI preview 1, of
   which the module imports four functions (shim.h).

   The signatures are those of the canonical ABI after lowering (component-model, CanonicalABI.md): a result that does
   not fit into one value is written to the address in the last parameter. Handles are numbers of our own.

   Nothing here traps. Files and sockets do not exist: every call on them returns an error code, which Python turns
   into an OSError. */

#include "shim.h"

#define WASI(name) EXPORT("wasi:" name)

enum { HANDLE_STDIN = 1001, HANDLE_STDOUT, HANDLE_STDERR, HANDLE_POLLABLE, HANDLE_NETWORK };

static void put32(uint8_t *at, uint32_t value) { memcpy(at, &value, 4); }
static void put64(uint8_t *at, uint64_t value) { memcpy(at, &value, 8); }
static void put_empty_list(uint8_t *at) { put32(at, 4), put32(at + 4, 0); } /* any aligned pointer is valid */

/* --- standard output and error: one log record for each line, as Envoy's own fd_write would write ------------ */

enum { LINE_MAX = 4096 };

typedef struct {
  uint32_t level;
  uint32_t size;
  char line[LINE_MAX];
} stream;

static stream standard_output = {.level = LOG_INFO}, standard_error = {.level = LOG_ERROR};

static void flush(stream *out) {
  if (out->size) proxy_log(out->level, out->line, out->size);
  out->size = 0;
}

static void write_bytes(stream *out, const char *data, uint32_t size) {
  for (uint32_t i = 0; i < size; i++) {
    if (data[i] == '\n') {
      if (out->size) flush(out);
      else proxy_log(out->level, "", 0);
    } else {
      if (out->size == LINE_MAX) flush(out);
      out->line[out->size++] = data[i];
    }
  }
}

void flush_standard_streams(void) {
  if (standard_output.size) flush(&standard_output);
  if (standard_error.size) flush(&standard_error);
}

/* result<_, stream-error> and result<u64, stream-error>; stream-error = last-operation-failed(own) | closed */
static void stream_ok(uint8_t *result) { result[0] = 0; }
static void stream_closed(uint8_t *result, int payload) { result[0] = 1, result[payload] = 1; }

WASI("io/streams@0.2.0#[method]output-stream.check-write")
void streams_check_write(uint32_t handle, uint8_t *result) {
  (void)handle;
  result[0] = 0;
  put64(result + 8, 65536);
}

WASI("io/streams@0.2.0#[method]output-stream.write")
void streams_write(uint32_t handle, const char *data, uint32_t size, uint8_t *result) {
  write_bytes(handle == HANDLE_STDERR ? &standard_error : &standard_output, data, size);
  stream_ok(result);
}

WASI("io/streams@0.2.0#[method]output-stream.blocking-write-and-flush")
void streams_blocking_write(uint32_t handle, const char *data, uint32_t size, uint8_t *result) {
  streams_write(handle, data, size, result);
}

/* A flush keeps an unfinished line: print(end="", flush=True) does not produce a separate record. */
WASI("io/streams@0.2.0#[method]output-stream.blocking-flush")
void streams_flush(uint32_t handle, uint8_t *result) { (void)handle, stream_ok(result); }

WASI("io/streams@0.2.0#[method]input-stream.read")
void streams_read(uint32_t handle, uint64_t size, uint8_t *result) {
  (void)handle, (void)size;
  stream_closed(result, 4);
}

WASI("cli/stdin@0.2.0#get-stdin") uint32_t get_stdin(void) { return HANDLE_STDIN; }
WASI("cli/stdout@0.2.0#get-stdout") uint32_t get_stdout(void) { return HANDLE_STDOUT; }
WASI("cli/stderr@0.2.0#get-stderr") uint32_t get_stderr(void) { return HANDLE_STDERR; }

/* option<own<terminal>>: none */
#define NO_TERMINAL(name, function) \
  WASI(name) void function(uint8_t *result) { result[0] = 0; }
NO_TERMINAL("cli/terminal-stdin@0.2.0#get-terminal-stdin", get_terminal_stdin)
NO_TERMINAL("cli/terminal-stdout@0.2.0#get-terminal-stdout", get_terminal_stdout)
NO_TERMINAL("cli/terminal-stderr@0.2.0#get-terminal-stderr", get_terminal_stderr)

/* --- environment, exit --------------------------------------------------------------------------------------- */

/* The SDK fills os.environ from Envoy's environment_variables when a VM starts (see environment in module.c). */
WASI("cli/environment@0.2.0#get-environment") void get_environment(uint8_t *result) { put_empty_list(result); }
WASI("cli/environment@0.2.0#get-arguments") void get_arguments(uint8_t *result) { put_empty_list(result); }

/* libc does not expect this to return, but Envoy's own proc_exit returns too. The SDK replaces os._exit and os.abort,
   so only a fatal error of the interpreter itself gets here. */
WASI("cli/exit@0.2.0#exit") void exit_program(uint32_t status) {
  static const char message[] = "pwasm: the interpreter tried to end the process";
  (void)status;
  flush_standard_streams();
  proxy_log(LOG_CRITICAL, message, sizeof message - 1);
}

/* --- clocks and polls: nothing waits ------------------------------------------------------------------------- */

enum { CLOCK_WALL = 0, CLOCK_MONOTONIC = 1 };

static uint64_t nanoseconds(uint32_t clock) {
  tell_of_read(READ_CLOCK);
  uint64_t time = 0;
  return wasi_p1_clock_time_get(clock, 1, &time) == STATUS_OK ? time : 0;
}

/* Hosts ignore the precision. A test's host, whose clocks stand still during a callback, knows this one. */
enum { REAL_TIME = 0x7277 };

uint64_t real_time(void) {
  uint64_t time = 0;
  return wasi_p1_clock_time_get(CLOCK_MONOTONIC, REAL_TIME, &time) == STATUS_OK ? time : 0;
}

/* datetime { seconds: u64, nanoseconds: u32 } */
WASI("clocks/wall-clock@0.2.0#now") void wall_clock_now(uint8_t *result) {
  uint64_t now = nanoseconds(CLOCK_WALL);
  put64(result, now / 1000000000);
  put32(result + 8, now % 1000000000);
}
WASI("clocks/wall-clock@0.2.0#resolution") void wall_clock_resolution(uint8_t *result) {
  put64(result, 0);
  put32(result + 8, 1000);
}
WASI("clocks/monotonic-clock@0.2.0#now") uint64_t monotonic_now(void) { return nanoseconds(CLOCK_MONOTONIC); }
WASI("clocks/monotonic-clock@0.2.0#resolution") uint64_t monotonic_resolution(void) { return 1000; }

#define POLLABLE(name, function, type) \
  WASI(name) uint32_t function(type unused) { return (void)unused, HANDLE_POLLABLE; }
POLLABLE("clocks/monotonic-clock@0.2.0#subscribe-instant", subscribe_instant, uint64_t)
POLLABLE("clocks/monotonic-clock@0.2.0#subscribe-duration", subscribe_duration, uint64_t)
POLLABLE("io/streams@0.2.0#[method]input-stream.subscribe", subscribe_input, uint32_t)
POLLABLE("io/streams@0.2.0#[method]output-stream.subscribe", subscribe_output, uint32_t)
POLLABLE("sockets/ip-name-lookup@0.2.0#[method]resolve-address-stream.subscribe", subscribe_lookup, uint32_t)
POLLABLE("sockets/tcp@0.2.0#[method]tcp-socket.subscribe", subscribe_tcp, uint32_t)
POLLABLE("sockets/udp@0.2.0#[method]udp-socket.subscribe", subscribe_udp, uint32_t)
POLLABLE("sockets/udp@0.2.0#[method]incoming-datagram-stream.subscribe", subscribe_incoming, uint32_t)
POLLABLE("sockets/udp@0.2.0#[method]outgoing-datagram-stream.subscribe", subscribe_outgoing, uint32_t)

WASI("io/poll@0.2.0#[method]pollable.block") void pollable_block(uint32_t handle) { (void)handle; }

/* list<u32>: every pollable is ready, so that no caller waits forever. */
WASI("io/poll@0.2.0#poll") void poll(const uint32_t *handles, uint32_t count, uint8_t *result) {
  uint32_t *ready = malloc(count * sizeof *ready);
  (void)handles;
  if (!ready) count = 0;
  for (uint32_t i = 0; i < count; i++) ready[i] = i;
  put32(result, (uint32_t)(uintptr_t)ready);
  put32(result + 4, count);
}

/* --- randomness ---------------------------------------------------------------------------------------------- */

enum { RANDOM_MAX = 65536 }; /* Envoy refuses more in one call */

/* Used only if the host refuses random_get (a capability restriction): better than the same bytes in every VM, and the
   log warns that the bytes are not secret. */
static void weak_random(uint8_t *buffer, uint32_t size) {
  static const char message[] = "pwasm: the host refuses random_get; random numbers are predictable";
  static uint64_t state;
  if (!state) proxy_log(LOG_CRITICAL, message, sizeof message - 1);
  state ^= nanoseconds(CLOCK_WALL) ^ (nanoseconds(CLOCK_MONOTONIC) << 20) ^ 0x9e3779b97f4a7c15;
  for (uint32_t i = 0; i < size; i++) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    buffer[i] = state >> 32;
  }
}

/* list<u8> */
WASI("random/random@0.2.0#get-random-bytes") void get_random_bytes(uint64_t size, uint8_t *result) {
  uint8_t *bytes = size <= UINT32_MAX ? malloc(size) : NULL;
  uint32_t filled = 0;
  tell_of_read(READ_RANDOM);
  while (bytes && filled < size) {
    uint32_t part = size - filled < RANDOM_MAX ? size - filled : RANDOM_MAX;
    if (wasi_p1_random_get(bytes + filled, part) != STATUS_OK) weak_random(bytes + filled, part);
    filled += part;
  }
  put32(result, (uint32_t)(uintptr_t)bytes);
  put32(result + 4, filled);
}

/* --- files: there are none ----------------------------------------------------------------------------------- */

/* Cases of wasi:filesystem/types error-code, counted from 0. */
enum { BAD_DESCRIPTOR = 3, NO_ENTRY = 20, READ_ONLY = 33 };

/* result<T, error-code>: the payload is at T's alignment (1 if there is no T, or a small one). */
static void error(uint8_t *result, int payload, uint8_t code) { result[0] = 1, result[payload] = code; }

typedef uint32_t w; /* a handle, pointer, size or flag, by its core type */
typedef uint64_t ww;
#define FILES(name) WASI("filesystem/types@0.2.0#" name)
#define DESCRIPTOR(name) FILES("[method]descriptor." name)
#define U __attribute__((unused))

DESCRIPTOR("read-via-stream") void descriptor_read_via_stream(U w a, U ww b, uint8_t *r) {
  error(r, 4, BAD_DESCRIPTOR);
}
DESCRIPTOR("write-via-stream") void descriptor_write_via_stream(U w a, U ww b, uint8_t *r) {
  error(r, 4, BAD_DESCRIPTOR);
}
DESCRIPTOR("append-via-stream") void descriptor_append_via_stream(U w a, uint8_t *r) { error(r, 4, BAD_DESCRIPTOR); }
DESCRIPTOR("advise") void descriptor_advise(U w a, U ww b, U ww c, U w d, uint8_t *r) { error(r, 1, BAD_DESCRIPTOR); }
DESCRIPTOR("sync-data") void descriptor_sync_data(U w a, uint8_t *r) { error(r, 1, BAD_DESCRIPTOR); }
DESCRIPTOR("get-flags") void descriptor_get_flags(U w a, uint8_t *r) { error(r, 1, BAD_DESCRIPTOR); }
DESCRIPTOR("set-size") void descriptor_set_size(U w a, U ww b, uint8_t *r) { error(r, 1, BAD_DESCRIPTOR); }
DESCRIPTOR("set-times") void descriptor_set_times(U w a, U w b, U ww c, U w d, U w e, U ww f, U w g, uint8_t *r) {
  error(r, 1, BAD_DESCRIPTOR);
}
DESCRIPTOR("read") void descriptor_read(U w a, U ww b, U ww c, uint8_t *r) { error(r, 4, BAD_DESCRIPTOR); }
DESCRIPTOR("write") void descriptor_write(U w a, U w b, U w c, U ww d, uint8_t *r) { error(r, 8, BAD_DESCRIPTOR); }
DESCRIPTOR("read-directory") void descriptor_read_directory(U w a, uint8_t *r) { error(r, 4, NO_ENTRY); }
DESCRIPTOR("sync") void descriptor_sync(U w a, uint8_t *r) { error(r, 1, BAD_DESCRIPTOR); }
DESCRIPTOR("create-directory-at") void descriptor_create_directory_at(U w a, U w b, U w c, uint8_t *r) {
  error(r, 1, READ_ONLY);
}
DESCRIPTOR("stat") void descriptor_stat(U w a, uint8_t *r) { error(r, 8, BAD_DESCRIPTOR); }
DESCRIPTOR("stat-at") void descriptor_stat_at(U w a, U w b, U w c, U w d, uint8_t *r) { error(r, 8, NO_ENTRY); }
DESCRIPTOR("set-times-at")
void descriptor_set_times_at(U w a, U w b, U w c, U w d, U w e, U ww f, U w g, U w h, U ww i, U w j, uint8_t *r) {
  error(r, 1, NO_ENTRY);
}
DESCRIPTOR("link-at") void descriptor_link_at(U w a, U w b, U w c, U w d, U w e, U w f, U w g, uint8_t *r) {
  error(r, 1, NO_ENTRY);
}
DESCRIPTOR("open-at") void descriptor_open_at(U w a, U w b, U w c, U w d, U w e, U w f, uint8_t *r) {
  error(r, 4, NO_ENTRY);
}
DESCRIPTOR("readlink-at") void descriptor_readlink_at(U w a, U w b, U w c, uint8_t *r) { error(r, 4, NO_ENTRY); }
DESCRIPTOR("remove-directory-at") void descriptor_remove_directory_at(U w a, U w b, U w c, uint8_t *r) {
  error(r, 1, NO_ENTRY);
}
DESCRIPTOR("rename-at") void descriptor_rename_at(U w a, U w b, U w c, U w d, U w e, U w f, uint8_t *r) {
  error(r, 1, NO_ENTRY);
}
DESCRIPTOR("symlink-at") void descriptor_symlink_at(U w a, U w b, U w c, U w d, U w e, uint8_t *r) {
  error(r, 1, READ_ONLY);
}
DESCRIPTOR("unlink-file-at") void descriptor_unlink_file_at(U w a, U w b, U w c, uint8_t *r) { error(r, 1, NO_ENTRY); }
DESCRIPTOR("metadata-hash") void descriptor_metadata_hash(U w a, uint8_t *r) { error(r, 8, BAD_DESCRIPTOR); }
DESCRIPTOR("metadata-hash-at") void descriptor_metadata_hash_at(U w a, U w b, U w c, U w d, uint8_t *r) {
  error(r, 8, NO_ENTRY);
}
FILES("[method]directory-entry-stream.read-directory-entry") void stream_read_directory_entry(U w a, uint8_t *r) {
  error(r, 4, BAD_DESCRIPTOR);
}
WASI("filesystem/preopens@0.2.0#get-directories") void get_directories(uint8_t *result) { put_empty_list(result); }

/* --- sockets: not supported ---------------------------------------------------------------------------------- */

enum { NOT_SUPPORTED = 2 }; /* a case of wasi:sockets/network error-code */
#define TCP(name) WASI("sockets/tcp@0.2.0#[method]tcp-socket." name)
#define UDP(name) WASI("sockets/udp@0.2.0#[method]udp-socket." name)
static void refuse(uint8_t *result, int payload) { error(result, payload, NOT_SUPPORTED); }
#define ADDRESS U w b, U w c, U w d, U w e, U w f, U w g, U w h, U w i, U w j, U w k, U w l, U w m

WASI("sockets/instance-network@0.2.0#instance-network") uint32_t instance_network(void) { return HANDLE_NETWORK; }
WASI("sockets/tcp-create-socket@0.2.0#create-tcp-socket") void create_tcp_socket(U w a, uint8_t *r) { refuse(r, 4); }
WASI("sockets/udp-create-socket@0.2.0#create-udp-socket") void create_udp_socket(U w a, uint8_t *r) { refuse(r, 4); }
WASI("sockets/ip-name-lookup@0.2.0#resolve-addresses") void resolve_addresses(U w a, U w b, U w c, uint8_t *r) {
  refuse(r, 4);
}
WASI("sockets/ip-name-lookup@0.2.0#[method]resolve-address-stream.resolve-next-address")
void resolve_next_address(U w a, uint8_t *r) { refuse(r, 2); }
TCP("start-bind") void tcp_start_bind(U w a, U w z, ADDRESS, uint8_t *r) { refuse(r, 1); }
TCP("finish-bind") void tcp_finish_bind(U w a, uint8_t *r) { refuse(r, 1); }
TCP("start-connect") void tcp_start_connect(U w a, U w z, ADDRESS, uint8_t *r) { refuse(r, 1); }
TCP("finish-connect") void tcp_finish_connect(U w a, uint8_t *r) { refuse(r, 4); }
TCP("start-listen") void tcp_start_listen(U w a, uint8_t *r) { refuse(r, 1); }
TCP("finish-listen") void tcp_finish_listen(U w a, uint8_t *r) { refuse(r, 1); }
TCP("accept") void tcp_accept(U w a, uint8_t *r) { refuse(r, 4); }
TCP("local-address") void tcp_local_address(U w a, uint8_t *r) { refuse(r, 4); }
TCP("remote-address") void tcp_remote_address(U w a, uint8_t *r) { refuse(r, 4); }
TCP("is-listening") uint32_t tcp_is_listening(U w a) { return 0; }
TCP("set-listen-backlog-size") void tcp_set_listen_backlog_size(U w a, U ww b, uint8_t *r) { refuse(r, 1); }
TCP("keep-alive-enabled") void tcp_keep_alive_enabled(U w a, uint8_t *r) { refuse(r, 1); }
TCP("set-keep-alive-enabled") void tcp_set_keep_alive_enabled(U w a, U w b, uint8_t *r) { refuse(r, 1); }
TCP("keep-alive-idle-time") void tcp_keep_alive_idle_time(U w a, uint8_t *r) { refuse(r, 8); }
TCP("set-keep-alive-idle-time") void tcp_set_keep_alive_idle_time(U w a, U ww b, uint8_t *r) { refuse(r, 1); }
TCP("keep-alive-interval") void tcp_keep_alive_interval(U w a, uint8_t *r) { refuse(r, 8); }
TCP("set-keep-alive-interval") void tcp_set_keep_alive_interval(U w a, U ww b, uint8_t *r) { refuse(r, 1); }
TCP("keep-alive-count") void tcp_keep_alive_count(U w a, uint8_t *r) { refuse(r, 4); }
TCP("set-keep-alive-count") void tcp_set_keep_alive_count(U w a, U w b, uint8_t *r) { refuse(r, 1); }
TCP("hop-limit") void tcp_hop_limit(U w a, uint8_t *r) { refuse(r, 1); }
TCP("set-hop-limit") void tcp_set_hop_limit(U w a, U w b, uint8_t *r) { refuse(r, 1); }
TCP("receive-buffer-size") void tcp_receive_buffer_size(U w a, uint8_t *r) { refuse(r, 8); }
TCP("set-receive-buffer-size") void tcp_set_receive_buffer_size(U w a, U ww b, uint8_t *r) { refuse(r, 1); }
TCP("send-buffer-size") void tcp_send_buffer_size(U w a, uint8_t *r) { refuse(r, 8); }
TCP("set-send-buffer-size") void tcp_set_send_buffer_size(U w a, U ww b, uint8_t *r) { refuse(r, 1); }
TCP("shutdown") void tcp_shutdown(U w a, U w b, uint8_t *r) { refuse(r, 1); }
UDP("start-bind") void udp_start_bind(U w a, U w z, ADDRESS, uint8_t *r) { refuse(r, 1); }
UDP("finish-bind") void udp_finish_bind(U w a, uint8_t *r) { refuse(r, 1); }
UDP("stream") void udp_stream(U w a, U w z, ADDRESS, uint8_t *r) { refuse(r, 4); }
UDP("local-address") void udp_local_address(U w a, uint8_t *r) { refuse(r, 4); }
UDP("remote-address") void udp_remote_address(U w a, uint8_t *r) { refuse(r, 4); }
UDP("unicast-hop-limit") void udp_unicast_hop_limit(U w a, uint8_t *r) { refuse(r, 1); }
UDP("set-unicast-hop-limit") void udp_set_unicast_hop_limit(U w a, U w b, uint8_t *r) { refuse(r, 1); }
UDP("receive-buffer-size") void udp_receive_buffer_size(U w a, uint8_t *r) { refuse(r, 8); }
UDP("set-receive-buffer-size") void udp_set_receive_buffer_size(U w a, U ww b, uint8_t *r) { refuse(r, 1); }
UDP("send-buffer-size") void udp_send_buffer_size(U w a, uint8_t *r) { refuse(r, 8); }
UDP("set-send-buffer-size") void udp_set_send_buffer_size(U w a, U ww b, uint8_t *r) { refuse(r, 1); }
WASI("sockets/udp@0.2.0#[method]incoming-datagram-stream.receive") void incoming_receive(U w a, U ww b, uint8_t *r) {
  refuse(r, 4);
}
WASI("sockets/udp@0.2.0#[method]outgoing-datagram-stream.check-send") void outgoing_check_send(U w a, uint8_t *r) {
  refuse(r, 8);
}
WASI("sockets/udp@0.2.0#[method]outgoing-datagram-stream.send") void outgoing_send(U w a, U w b, U w c, uint8_t *r) {
  refuse(r, 8);
}

/* --- handles: nothing to release ----------------------------------------------------------------------------- */

#define DROP(name, function) \
  WASI(name) void function(uint32_t handle) { (void)handle; }
DROP("io/error@0.2.0#[resource-drop]error", drop_error)
DROP("io/poll@0.2.0#[resource-drop]pollable", drop_pollable)
DROP("io/streams@0.2.0#[resource-drop]input-stream", drop_input_stream)
DROP("io/streams@0.2.0#[resource-drop]output-stream", drop_output_stream)
DROP("cli/terminal-input@0.2.0#[resource-drop]terminal-input", drop_terminal_input)
DROP("cli/terminal-output@0.2.0#[resource-drop]terminal-output", drop_terminal_output)
DROP("filesystem/types@0.2.0#[resource-drop]descriptor", drop_descriptor)
DROP("filesystem/types@0.2.0#[resource-drop]directory-entry-stream", drop_directory_entry_stream)
DROP("sockets/ip-name-lookup@0.2.0#[resource-drop]resolve-address-stream", drop_resolve_address_stream)
DROP("sockets/tcp@0.2.0#[resource-drop]tcp-socket", drop_tcp_socket)
DROP("sockets/udp@0.2.0#[resource-drop]udp-socket", drop_udp_socket)
DROP("sockets/udp@0.2.0#[resource-drop]incoming-datagram-stream", drop_incoming_datagram_stream)
DROP("sockets/udp@0.2.0#[resource-drop]outgoing-datagram-stream", drop_outgoing_datagram_stream)
