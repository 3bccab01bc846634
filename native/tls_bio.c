// The one BIO of a session: bytes read ahead, then recv; ciphertext collected in a static area and sent once per call.
// What the kernel does not take is kept with the session, bounded, and goes out before anything else.
//
// In a handshake OpenSSL asks for the five bytes of a record's header and then for its body. The socket is asked once for
// all it has; what OpenSSL does not take in the same call is kept with the session.
#include "tls.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

uint8_t tls_output[TLS_OUTPUT_BYTES];
uint32_t tls_output_end = 0;

// Of the session whose handshake goes on in this call.
static uint8_t input[TLS_RECORD_MAX + 512];
static uint32_t input_at = 0, input_end = 0;

static int from_ahead(tls_session *session, char *data, int length) {
  uint32_t left = session->ahead_end - session->ahead_at;
  uint32_t part = left < (uint32_t)length ? left : (uint32_t)length;
  memcpy(data, session->ahead + session->ahead_at, part);
  session->ahead_at += part;
  if (session->ahead_at == session->ahead_end) {
    free(session->ahead);
    session->ahead = NULL;
    session->drained = session->ahead_short;
  }
  return (int)part;
}

static int from_input(char *data, int length) {
  uint32_t left = input_end - input_at;
  uint32_t part = left < (uint32_t)length ? left : (uint32_t)length;
  memcpy(data, input + input_at, part);
  input_at += part;
  return (int)part;
}

/** After a step of the handshake: keeps what was read and not taken. */
void tls_keep_input(tls_session *session) {
  uint32_t left = input_end - input_at;
  if (left > 0) {
    session->ahead = malloc(left);
    if (session->ahead == NULL) session->error = ENOMEM;
    else memcpy(session->ahead, input + input_at, left);
    session->ahead_at = 0;
    session->ahead_end = left;
    session->ahead_short = session->drained;
  }
  input_at = input_end = 0;
}

/** What recv says; EOF, errors and the end of the handshake's patience are noted. */
static int receive(tls_session *session, void *data, int length) {
  long result;
  do {
    result = syscall(SYS_recvfrom, session->fd, data, (size_t)length, 0, NULL, NULL);
  } while (result < 0 && errno == EINTR);
  session->drained = result < length;
  if (result < 0 && errno != EAGAIN) session->error = errno;
  if (result == 0) session->eof = true;
  if (result > 0 && session->state < TLS_ESTABLISHED) {
    session->handshake_bytes += (uint32_t)result;
    if (session->handshake_bytes > TLS_HANDSHAKE_BYTES_MAX) {
      session->cause = TLS_CAUSE_FLOOD;
      return -1;
    }
  }
  return (int)result;
}

static int bio_read(BIO *bio, char *data, int length) {
  tls_session *session = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (length <= 0 || session->cause == TLS_CAUSE_FLOOD) return -1;
  if (session->ahead != NULL) return from_ahead(session, data, length);
  if (input_at < input_end) return from_input(data, length);
  if (session->eof) return 0;
  // After a short read the socket is empty, and what comes later is a new event: the recv that would say so is saved.
  bool is_empty = session->drained && session->may_stop_early;
  bool is_open = session->state == TLS_ESTABLISHED;
  int result = is_empty ? -1 : receive(session, is_open ? data : (char *)input, is_open ? length : (int)sizeof input);
  if (is_empty || (result < 0 && session->error == 0 && session->cause == TLS_CAUSE_NONE)) {
    session->blocked = true;
    BIO_set_retry_read(bio);
    return -1;
  }
  if (is_open || result <= 0) return result;
  input_at = 0;
  input_end = (uint32_t)result;
  return from_input(data, length);
}

/** Sends; the bytes that the kernel took, fewer when it is full, or -errno. */
static int64_t send_some(int fd, const uint8_t *data, uint32_t length) {
  uint32_t sent = 0;
  while (sent < length) {
    long result = syscall(SYS_sendto, fd, data + sent, (size_t)(length - sent), MSG_NOSIGNAL, NULL, 0);
    if (result >= 0) {
      sent += (uint32_t)result;
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      return -errno;
    }
  }
  return sent;
}

static bool send_pending(tls_session *session) {
  int64_t sent = send_some(session->fd, session->pending + session->pending_at, session->pending_end - session->pending_at);
  if (sent < 0) {
    session->error = (int32_t)-sent;
    return false;
  }
  session->pending_at += (uint32_t)sent;
  if (session->pending_at < session->pending_end) return true;
  free(session->pending);
  session->pending = NULL;
  session->pending_at = session->pending_end = 0;
  return true;
}

static bool keep(tls_session *session, const uint8_t *data, uint32_t length) {
  uint32_t left = session->pending_end - session->pending_at;
  if (left + length > TLS_PENDING_MAX) {
    session->error = ENOBUFS;
    return false;
  }
  uint8_t *pending = malloc(left + length);
  if (pending == NULL) {
    session->error = ENOMEM;
    return false;
  }
  if (left > 0) memcpy(pending, session->pending + session->pending_at, left);
  memcpy(pending + left, data, length);
  free(session->pending);
  session->pending = pending;
  session->pending_at = 0;
  session->pending_end = left + length;
  return true;
}

/** Keeps what this call has made, all of it tickets: they leave with the first answer, in one send. */
void tls_keep_tickets(tls_session *session) {
  if (!keep(session, tls_output, tls_output_end)) return;
  session->has_lazy = true;
  tls_output_end = 0;
}

/** Before anything is written: what was kept comes first. */
void tls_take_tickets(tls_session *session) {
  if (!session->has_lazy || tls_output_end != 0 || session->pending_end > TLS_LAZY_MAX) return;
  session->has_lazy = false;
  tls_output_end = session->pending_end;
  memcpy(tls_output, session->pending, session->pending_end);
  free(session->pending);
  session->pending = NULL;
  session->pending_at = session->pending_end = 0;
}

/** Sends what waits and what this call has made: 0 when all is out, 1 when some is kept, or -errno. */
int32_t tls_send_output(tls_session *session) {
  if (session->error != 0) {
    tls_output_end = 0;
    return -session->error;
  }
  session->has_lazy = false;
  if (session->pending != NULL && !send_pending(session)) {
    tls_output_end = 0;
    return -session->error;
  }
  uint32_t sent = 0;
  if (session->pending == NULL && tls_output_end > 0) {
    int64_t result = send_some(session->fd, tls_output, tls_output_end);
    if (result < 0) session->error = (int32_t)-result;
    else sent = (uint32_t)result;
  }
  if (session->error == 0 && sent < tls_output_end) keep(session, tls_output + sent, tls_output_end - sent);
  tls_output_end = 0;
  if (session->error != 0) return -session->error;
  return session->pending != NULL ? 1 : 0;
}

static int bio_write(BIO *bio, const char *data, int length) {
  tls_session *session = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (length <= 0 || session->error != 0) return -1;
  if ((uint32_t)length > tls_output_room()) {
    // Only a flight of the handshake can be that long.
    if (tls_send_output(session) < 0) return -1;
    if (session->pending != NULL || (uint32_t)length > tls_output_room()) {
      BIO_set_retry_write(bio);
      return -1;
    }
  }
  memcpy(tls_output + tls_output_end, data, (size_t)length);
  tls_output_end += (uint32_t)length;
  return length;
}

static long bio_control(BIO *bio, int command, long number, void *pointer) {
  const tls_session *session = BIO_get_data(bio);
  switch (command) {
    case BIO_CTRL_FLUSH:
    case BIO_CTRL_DUP:
      return 1;
    case BIO_CTRL_EOF:
      return session->eof ? 1 : 0;
    default:
      return 0;
  }
}

/** NULL when there is no memory. */
BIO *tls_bio_new(tls_session *session) {
  static BIO_METHOD *method;
  if (method == NULL) {
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sozu");
    if (method == NULL) return NULL;
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_control);
  }
  BIO *bio = BIO_new(method);
  if (bio == NULL) return NULL;
  BIO_set_data(bio, session);
  BIO_set_init(bio, 1);
  return bio;
}
