// Reading and writing over an open session, with the habits of recv and writev: a short read has emptied the socket, a
// short write means that the kernel is full and the rest comes again when the socket is writable.
#include "tls.h"

#include <openssl/err.h>
#include <string.h>

static uint8_t staging[TLS_RECORD_MAX];

/** What a broken session answers; the registers tell why. */
static int32_t failure(const tls_session *session) {
  tls_store_failure(session);
  if (session->cause == TLS_CAUSE_SOCKET) return -session->error;
  return session->cause == TLS_CAUSE_CLOSED ? -ECONNABORTED : -EPROTO;
}

static int32_t read_session(tls_session *session, uint8_t *data, size_t length, bool *more) {
  SSL *ssl = session->ssl;
  size_t got = 0;
  session->blocked = session->drained = session->may_stop_early = false;
  for (;;) {
    size_t part = 0;
    if (SSL_read_ex(ssl, data + got, length - got, &part) == 1 && session->cause == TLS_CAUSE_NONE) {
      got += part;
      if (got == length) return (int32_t)got;
      if (session->drained && !SSL_has_pending(ssl)) return (int32_t)got;
      session->may_stop_early = true;
      continue;
    }
    if (session->blocked && SSL_want(ssl) == SSL_READING && session->cause == TLS_CAUSE_NONE) {
      return got > 0 ? (int32_t)got : -EAGAIN;
    }
    *more = true;
    if ((SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) != 0 && session->alert_received == SSL_AD_CLOSE_NOTIFY &&
        session->cause == TLS_CAUSE_NONE) {
      return (int32_t)got;
    }
    tls_note_failure(session);
    return got > 0 ? (int32_t)got : failure(session);
  }
}

// (handle, offset, length): bytes, 0 at close_notify, -EAGAIN, -ECONNABORTED at an end without close_notify, -EPROTO, or
// -errno. The first extra word is 1 when the next call has something to say without a new event.
REGISTER_CALL(hot_read) {
  tls_session *session = tls_table_get(&tls_sessions, regs[REG_A]);
  uint8_t *data = arena_range(regs[REG_B], regs[REG_C]);
  if (session == NULL || data == NULL || regs[REG_C] == 0) {
    regs[REG_RESULT] = session == NULL ? -EBADF : data == NULL ? -EFAULT : -EINVAL;
    return NULL;
  }
  if (session->state != TLS_ESTABLISHED) {
    regs[REG_RESULT] = session->state == TLS_BROKEN ? failure(session) : -ENOTCONN;
    return NULL;
  }
  bool more = false;
  int32_t result = read_session(session, data, (size_t)regs[REG_C], &more);
  if (tls_output_end != 0 || (session->pending != NULL && !session->has_lazy)) tls_send_output(session);
  regs[REG_RESULT] = result;
  if (result >= 0) regs[REG_EXTRA] = more;
  clock_monotonic();
  return NULL;
}

static bool write_record(tls_session *session, const uint8_t *data, size_t length) {
  size_t written = 0;
  if (SSL_write_ex(session->ssl, data, length, &written) == 1 && written == length) return true;
  tls_note_failure(session);
  return false;
}

typedef struct {
  const int32_t *spans; // pairs of (offset, length)
  int32_t count;
  int32_t index;
  int32_t used; // of the span at index
} cursor;

/** The next at most 16 kB: straight from the arena when one span holds them, else gathered. Their number. */
static size_t next_record(cursor *at, const uint8_t **data) {
  size_t size = 0;
  while (at->index < at->count && size < TLS_RECORD_MAX) {
    const uint8_t *from = arena + at->spans[2 * at->index] + at->used;
    size_t left = (size_t)(at->spans[2 * at->index + 1] - at->used);
    size_t part = left < TLS_RECORD_MAX - size ? left : TLS_RECORD_MAX - size;
    bool is_whole = size == 0 && (part == TLS_RECORD_MAX || at->index == at->count - 1);
    if (is_whole) *data = from;
    else if (part > 0) memcpy(staging + size, from, part);
    if (!is_whole) *data = staging;
    size += part;
    at->used += (int32_t)part;
    if (part == left) {
      at->index++;
      at->used = 0;
    }
    if (is_whole) break;
  }
  return size;
}

static void end_output(tls_session *session) {
  if ((SSL_get_shutdown(session->ssl) & SSL_SENT_SHUTDOWN) != 0) return;
  SSL_shutdown(session->ssl);
  ERR_clear_error();
}

static int32_t write_spans(tls_session *session, cursor *at, int64_t total, bool is_last) {
  if (session->state != TLS_ESTABLISHED) return session->state == TLS_BROKEN ? failure(session) : -ENOTCONN;
  tls_take_tickets(session);
  int32_t sent = session->pending == NULL ? 0 : tls_send_output(session);
  if (sent > 0) return -EAGAIN;
  int64_t done = 0;
  if (session->owes && sent == 0) {
    session->owes = false;
    done = 1;
    while (at->spans[2 * at->index + 1] == 0) at->index++;
    at->used = 1;
  }
  while (sent == 0 && done < total) {
    const uint8_t *data = staging;
    size_t size = next_record(at, &data);
    if (size == 0) break;
    if (!write_record(session, data, size)) {
      tls_send_output(session);
      return failure(session);
    }
    done += (int64_t)size;
    if (done == total && is_last) end_output(session);
    if (done == total || tls_output_room() < TLS_RECORD_MAX + 512) sent = tls_send_output(session);
  }
  if (sent < 0) {
    tls_note_failure(session);
    return failure(session);
  }
  if (sent == 0 || done < total) return (int32_t)done;
  // All is encrypted, but the kernel did not take it. A full result would say that nothing is left to do: the caller keeps
  // the last byte, and gives it again when the socket is writable.
  session->owes = true;
  return done > 1 ? (int32_t)(done - 1) : -EAGAIN;
}

static void write_checked(const int32_t *spans, int32_t count, bool is_last) {
  tls_session *session = tls_table_get(&tls_sessions, regs[REG_A]);
  int64_t total = 0;
  for (int32_t i = 0; i < count; i++) {
    if (arena_range(spans[2 * i], spans[2 * i + 1]) == NULL) {
      regs[REG_RESULT] = -EFAULT;
      return;
    }
    total += spans[2 * i + 1];
  }
  if (session == NULL || total > INT32_MAX) {
    regs[REG_RESULT] = session == NULL ? -EBADF : -EINVAL;
    return;
  }
  cursor at = {.spans = spans, .count = count};
  regs[REG_RESULT] = total == 0 ? 0 : write_spans(session, &at, total, is_last);
  clock_monotonic();
}

// (handle, offset, length, last): with `last` close_notify follows at once, when all is taken
REGISTER_CALL(hot_write) {
  int32_t span[2] = {regs[REG_B], regs[REG_C]};
  write_checked(span, 1, regs[REG_D] != 0);
  return NULL;
}

// (handle, count, last): the first `count` spans of iov
REGISTER_CALL(hot_writev) {
  int32_t count = regs[REG_B];
  if (count < 0 || count > IOV_PAIRS) regs[REG_RESULT] = -EINVAL;
  else write_checked(iov_words, count, regs[REG_C] != 0);
  return NULL;
}

// (handle): close_notify. 0: it is sent; -EAGAIN: call again when the socket is writable; or -errno.
REGISTER_CALL(shutdown_session) {
  tls_session *session = tls_table_get(&tls_sessions, regs[REG_A]);
  if (session == NULL || session->state != TLS_ESTABLISHED) {
    regs[REG_RESULT] = session == NULL ? -EBADF : session->state == TLS_BROKEN ? failure(session) : -ENOTCONN;
    return NULL;
  }
  tls_take_tickets(session);
  end_output(session);
  int32_t sent = tls_send_output(session);
  regs[REG_RESULT] = sent > 0 ? -EAGAIN : sent;
  return NULL;
}

// (handle): bytes of ciphertext that the kernel did not take; they go out with the next call of any kind
REGISTER_CALL(pending_bytes) {
  const tls_session *session = tls_table_get(&tls_sessions, regs[REG_A]);
  bool is_waiting = session != NULL && !session->has_lazy;
  regs[REG_RESULT] = session == NULL ? -EBADF : is_waiting ? (int32_t)(session->pending_end - session->pending_at) : 0;
  return NULL;
}

const native_function tls_data_functions[] = {
    {"tlsRead", hot_read},
    {"tlsWrite", hot_write},
    {"tlsWritev", hot_writev},
    {"tlsShutdown", shutdown_session},
    {"tlsPending", pending_bytes},
    END_OF_FUNCTIONS,
};
