// What the files of the TLS engine share. One SSL_CTX per policy (versions, suites, groups, client CA), parsed identities
// (certificate, chain, key) given to single sessions, one SSL and one small struct per session. Mechanism only: who
// decides is TypeScript, through src/os/tls.ts, which documents every call.
//
// Invariants: OpenSSL's error queue is empty whenever a call returns; `tls_output` is empty between calls; a session
// struct outlives its SSL; nothing here calls into JavaScript.
#ifndef SOZU_TLS_H
#define SOZU_TLS_H

#include "native.h"

#include <openssl/ssl.h>

// Handles: 19 bits of slot, 12 bits of generation. A handle of a freed slot is not found again for 4,095 reuses.
enum { TLS_SLOT_BITS = 19, TLS_SLOTS_MAX = 1 << TLS_SLOT_BITS, TLS_GENERATIONS = 4096 };

typedef struct {
  void **items;
  uint16_t *generations;
  int32_t *next_free;
  int32_t first_free; // -1: none
  int32_t used;       // slots ever used
  int32_t capacity;
  int32_t live;
} tls_table;

#define TLS_EMPTY_TABLE {NULL, NULL, NULL, -1, 0, 0, 0}

int32_t tls_table_add(tls_table *table, void *item);
void *tls_table_get(const tls_table *table, int32_t handle);
void *tls_table_remove(tls_table *table, int32_t handle);

extern tls_table tls_contexts;
extern tls_table tls_identities;
extern tls_table tls_sessions;
extern tls_table tls_resumptions;

enum { TLS_ALPN_NONE = 0, TLS_ALPN_HTTP11 = 1, TLS_ALPN_H2 = 2, TLS_ALPN_OTHER = 3 };
enum { TLS_NAME_MAX = 255, TLS_RECORDS_IN_OUTPUT = 5, TLS_RECORD_MAX = 16384 };
// One record is at most 5 + 16384 + 256 bytes; 1 kB of room remains for what goes out beside data.
enum { TLS_OUTPUT_BYTES = TLS_RECORDS_IN_OUTPUT * (TLS_RECORD_MAX + 512) + 1024 };
enum { TLS_LAZY_MAX = 1024 };
enum { TLS_PENDING_MAX = 2 * TLS_OUTPUT_BYTES, TLS_AHEAD_MAX = 65536, TLS_HANDSHAKE_BYTES_MAX = 131072 };

typedef struct {
  SSL_CTX *ctx;
  bool is_client;
  int min_version, max_version;
  uint64_t options;
  int verify_mode;
  int tickets;
  int key_updates_per_second;
  char *groups;
  char *signature_algorithms; // NULL: OpenSSL's
  uint8_t session_id_context[32];
  uint8_t session_id_context_length;
} tls_context;

typedef struct {
  X509 *certificate;
  STACK_OF(X509) *chain;
  EVP_PKEY *key;
  uint8_t *staple;
  size_t staple_length;
} tls_identity;

// States of a session, in their order.
enum { TLS_HELLO_AWAITED, TLS_HELLO_PAUSED, TLS_HELLO_CHOSEN, TLS_ESTABLISHED, TLS_BROKEN };

typedef struct {
  SSL *ssl;
  uint8_t *ahead; // bytes read from the socket before the session was made
  uint8_t *pending; // ciphertext that the kernel did not take
  uint32_t ahead_at, ahead_end;
  uint32_t pending_at, pending_end;
  int32_t fd;
  int32_t identities[2]; // handles, for the staple; -1
  int32_t resumption; // handle of the client role; -1
  int32_t error;      // errno of the socket, positive; 0
  int32_t reason;     // of OpenSSL, after a failure
  uint32_t handshake_bytes;
  uint32_t second; // of the monotonic clock, for handshake_messages
  int16_t handshake_messages; // in this second, after the handshake
  int16_t handshake_messages_max;
  int16_t alert_sent, alert_received; // -1: none
  int16_t refusal;                    // alert chosen by TypeScript; -1
  uint8_t state;
  uint8_t alpn;
  uint8_t cause;
  bool is_client;
  bool owes;    // the last byte of the previous write was kept back from the caller: it comes again
  bool blocked; // the socket had nothing more in this call
  bool drained; // the last recv of this call was short
  bool may_stop_early;
  bool eof;
  bool has_lazy;    // what is pending are tickets that wait for the first answer
  bool ahead_short; // the recv that the bytes ahead came from was short
} tls_session;

// Why a session failed; TLS_CAUSES of src/os/tls-causes.ts has the names.
enum {
  TLS_CAUSE_NONE,
  TLS_CAUSE_ALERT_RECEIVED,
  TLS_CAUSE_PEER_INCOMPATIBLE,
  TLS_CAUSE_PEER_MISBEHAVED,
  TLS_CAUSE_INVALID_MESSAGE,
  TLS_CAUSE_INAPPROPRIATE_MESSAGE,
  TLS_CAUSE_INAPPROPRIATE_HANDSHAKE_MESSAGE,
  TLS_CAUSE_OVERSIZED_RECORD,
  TLS_CAUSE_NO_ALPN,
  TLS_CAUSE_INVALID_CERTIFICATE,
  TLS_CAUSE_DECRYPT_ERROR,
  TLS_CAUSE_NO_CERTIFICATES,
  TLS_CAUSE_OTHER,
  TLS_CAUSE_CLOSED, // end of the stream within the handshake, or without close_notify
  TLS_CAUSE_SOCKET, // an error of the socket
  TLS_CAUSE_REFUSED, // refused by TypeScript
  TLS_CAUSE_FLOOD,  // too many handshake messages a second, or bytes before the handshake was done
};

// tls_bio.c
extern uint8_t tls_output[TLS_OUTPUT_BYTES];
extern uint32_t tls_output_end;
BIO *tls_bio_new(tls_session *session);
int32_t tls_send_output(tls_session *session);
void tls_keep_input(tls_session *session);
void tls_keep_tickets(tls_session *session);
void tls_take_tickets(tls_session *session);
static inline tls_session *tls_session_of(const SSL *ssl) { return BIO_get_data(SSL_get_rbio(ssl)); }
static inline uint32_t tls_output_room(void) { return TLS_OUTPUT_BYTES - tls_output_end; }

// tls_causes.c
void tls_note_failure(tls_session *session);
void tls_store_failure(const tls_session *session);
void tls_set_reason(const char *fallback);
void tls_reason_text(const char *text);
size_t tls_copy_reason(uint8_t *data, size_t length);

// tls_hooks.c
void tls_on_message(int is_write, int version, int type, const void *data, size_t length, SSL *ssl, void *argument);
int tls_on_client_hello(SSL *ssl, int *alert, void *argument);
int tls_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *in,
                unsigned int in_length, void *argument);
int tls_on_status(SSL *ssl, void *argument);
int tls_on_new_session(SSL *ssl, SSL_SESSION *session);
void tls_keep_ticket(SSL_SESSION **place, const SSL_SESSION *ticket);
extern uint8_t *tls_hello_room;
extern int32_t tls_hello_room_length;
extern int32_t tls_hello_length;

// tls_tickets.c
int tls_on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int make);

// tls_contexts.c
bool tls_apply_context(SSL *ssl, const tls_context *context);
// tls_identities.c
bool tls_apply_identity(SSL *ssl, const tls_identity *identity);

extern const native_function tls_context_functions[];
extern const native_function tls_identity_functions[];
extern const native_function tls_session_functions[];
extern const native_function tls_data_functions[];
extern const native_function tls_fact_functions[];
extern const native_function tls_ticket_functions[];

#endif
